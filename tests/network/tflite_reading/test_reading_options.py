"""TFLite files that are read with options: open extents that are fixed, and networks that end at a named tensor."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from network.errors import RequestError, UnsupportedOperator
from network.network import Network
from network.reading import read_network
from network.reading_options import ReadingOptions
from tests.network.float_reference import evaluate
from tests.network.tflite_reading.tflite_models import SHARED, Op, T, build, constant

RNG = np.random.default_rng(8)
SAME = {"StrideH": 1, "StrideW": 1, "Padding": 0}
OPEN_IMAGE = (-1, -1, -1, 3)


def numbers(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def image(channels: int, **given: Any) -> T:
    """A tensor whose height and width are open; the file has 1 in their place, as the converter writes it."""
    return T((1, 1, 1, channels), signature=(-1, -1, -1, channels), **given)


OPEN = [
    image(3, name="in"), constant(numbers(4, 3, 3, 3)), constant(numbers(4)), image(4, name="conv/Relu;conv/Conv2D"),
    image(4, name="pool"), constant([1, 2], "int32"), T((1, 4), signature=(-1, 4), name="mean"),
    constant(numbers(5, 4)), constant(numbers(5)), T((1, 5), signature=(-1, 5), name="classes"),
]  # fmt: skip

READ = build(
    OPEN,
    [
        Op("CONV_2D", (0, 1, 2), (3,), SAME | {"FusedActivationFunction": 1}),
        Op("MAX_POOL_2D", (3,), (4,), SAME | {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}),
        Op("MEAN", (4, 5), (6,), {"KeepDims": 0}),
        Op("FULLY_CONNECTED", (6, 7, 8), (9,)),
    ],
)

FLATTENED = build(
    [
        *OPEN[:5], constant([1, -1], "int32"), T((1, 4), signature=(-1, -1), name="flat"),
        constant(numbers(5, 48)), constant(numbers(5)), T((1, 5), signature=(-1, 5), name="classes"),
    ],
    [
        Op("CONV_2D", (0, 1, 2), (3,), SAME | {"FusedActivationFunction": 1}),
        Op("MAX_POOL_2D", (3,), (4,), SAME | {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2}),
        Op("RESHAPE", (4, 5), (6,)),
        Op("FULLY_CONNECTED", (6, 7, 8), (9,)),
    ],
)  # fmt: skip

AFTER = [constant(numbers(4, 3, 3, 4)), constant(numbers(4))]

REFUSED = build(
    [*OPEN[:4], constant([8, 8], "int32"), T((1, 8, 8, 4), name="enlarged"), *AFTER, T((1, 8, 8, 4), name="last")],
    [
        Op("CONV_2D", (0, 1, 2), (3,), SAME | {"FusedActivationFunction": 1}),
        Op("RESIZE_BILINEAR", (3, 4), (5,)),
        Op("CONV_2D", (5, 6, 7), (8,), SAME),
    ],
)


def read(content: bytes, *outputs: str, shapes: tuple[str, ...] = ()) -> Network:
    return read_network(content, "tiny", options=ReadingOptions.of_texts(shapes, outputs))


def litert(content: bytes, sample: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """LiteRT's output for a sample of another size than the file has in place of the open extents."""
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = Interpreter(model_content=content)
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, sample.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, sample)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("shape", ["8,6,3", "1,8,6,3", "in=1x8x6x3"])
@pytest.mark.parametrize("content", [READ, FLATTENED], ids=["mean", "flattened"])
def test_open_extents_are_fixed_as_litert_does(shape: str, content: bytes) -> None:
    network = read(content, shapes=(shape,))
    assert network.only_input.format.dims == (8, 6, 3)
    sample = numbers(1, 8, 6, 3)
    ours = evaluate(network, sample)[network.outputs[0]]
    np.testing.assert_allclose(ours.ravel(), litert(content, sample).ravel(), rtol=1e-4, atol=1e-4)


def test_weights_that_do_not_match_the_given_extents_are_refused() -> None:
    with pytest.raises(UnsupportedOperator, match="FULLY_CONNECTED"):
        read(FLATTENED, shapes=("9,9,3",))


def test_an_open_extent_names_the_option_with_the_extents_of_the_file() -> None:
    with pytest.raises(UnsupportedOperator, match=r"'in'.*option input_shape, for example --input-shape 1,96,96,3"):
        read(READ)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("1,9,6,4", r"fixes the extents 1,\?,\?,3"),
        ("9,6", "as many extents, or one less"),
        ("other=1x9x6x3", "one of the inputs of the file: 'in'"),
    ],
)
def test_a_contradiction_to_the_file_is_refused(shape: str, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read(READ, shapes=(shape,))


@pytest.mark.parametrize("name", ["conv/Relu;conv/Conv2D", "conv/Relu"])
@pytest.mark.parametrize("content", [READ, REFUSED], ids=["that is read", "that is refused"])
def test_a_network_ends_at_a_tensor_of_the_file_or_of_the_network(content: bytes, name: str) -> None:
    network = read(content, name, shapes=("9,6,3",))
    assert network.outputs == ("conv/Relu",)
    assert [layer.name for layer in network.layers] == ["conv/Relu"]


def test_several_outputs_stay_in_their_order() -> None:
    network = read(READ, "classes", "pool", shapes=("9,6,3",))
    assert network.outputs == ("classes", "pool")


def test_a_refusal_names_the_last_tensors_that_can_be_read() -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        read(REFUSED, shapes=("9,6,3",))
    assert str(caught.value).endswith("ends the network at the last tensors that can be read: --output 'conv/Relu'")


def test_an_unknown_tensor_is_refused_with_close_names_and_the_outputs() -> None:
    with pytest.raises(RequestError) as caught:
        read(READ, "conv/Relu6", shapes=("9,6,3",))
    assert "close names are 'conv/Relu'," in str(caught.value)
    assert str(caught.value).endswith("the outputs are 'classes'")


def test_fixed_extents_of_a_file_are_checked_as_before() -> None:
    wrong = build(
        [T((1, 4, 4, 3)), *OPEN[1:3], T((1, 5, 5, 4), name="conv")],
        [Op("CONV_2D", (0, 1, 2), (3,), SAME)],
    )
    for shapes in ((), ("4,4,3",)):
        with pytest.raises(Exception, match=r"\[1, 5, 5, 4\] in the file"):
            read(wrong, shapes=shapes)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are not in the project")
def test_the_codes_of_a_quantized_file_keep_their_ranges_before_the_cut() -> None:
    content = (SHARED / "resnet8_int8.tflite").read_bytes()
    whole = read(content)
    middle = whole.layers[5].output
    network = read(content, middle)
    assert network.outputs == (middle,)
    assert network.ranges == {tensor: whole.ranges[tensor] for tensor in network.shapes}
