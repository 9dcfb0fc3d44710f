"""Where TFLite networks end: what needs no kernel behind the last layers is left to the host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.litert_reference import LiteRTReference
from network.errors import UnsupportedOperator
from network.network import Network
from network.reading import read_network
from network.tflite_reading.host_operators import OPERATORS
from tests.deploy.host_runs import outputs_by_host, write_host
from tests.network.tflite_reading.tflite_models import SHARED, Op, T, build, constant

IMAGE = (1, 4, 4, 2)
SCORES = (1, 6)

Form = tuple[list[T], list[Op]]
"""Tensors from number 5 on, the last of them the output, and operators that read the image 2 or the scores 4."""


def network_content(form: Form, outputs: tuple[int, ...] | None = None) -> bytes:
    """A file of a convolution (tensor 2), a fully connected layer (4), and operators behind them."""
    rng = np.random.default_rng(2)
    tensors = [
        T(IMAGE, name="image"), constant(rng.normal(size=(2, 3, 3, 2))), T(IMAGE, name="hidden"),
        constant(rng.normal(size=(6, 32)) * 0.2), T(SCORES, name="scores"),
    ]  # fmt: skip
    tensors += form[0]
    operators = [
        Op("CONV_2D", (0, 1, len(tensors)), (2,), {"StrideH": 1, "StrideW": 1}),
        Op("FULLY_CONNECTED", (2, 3), (4,)),
    ]
    bias = constant(rng.normal(size=2))
    return build([*tensors, bias], [*operators, *form[1]], outputs=outputs or (len(tensors) - 1,))


def logistic(kind: str, dims: tuple[int, ...] = SCORES, *constants: T, output: str = "FLOAT32", **options: Any) -> Form:
    """Return a form: an operator on the sigmoid of the scores, so that no layer can compute it."""
    inputs = (5, *range(6, 6 + len(constants)))
    return [T(SCORES, name="p"), *constants, T(dims, kind=output, name="y")], [
        Op("LOGISTIC", (4,), (5,)),
        Op(kind, inputs, (inputs[-1] + 1,), options),
    ]


def ints(*values: int) -> T:
    return constant(values, "int32")


FORMS: dict[str, Form] = {
    "ABS": logistic("ABS"),
    "ADD": logistic("ADD", SCORES, constant(np.full(6, -0.5)), FusedActivationFunction=1),
    "ARG_MAX": logistic("ARG_MAX", (1,), constant(1, "int32"), output="INT64", OutputType=4),
    "ARG_MIN": logistic("ARG_MIN", (1,), constant(-1, "int32"), output="INT64", OutputType=4),
    "CONCATENATION": ([T(SCORES), T((1, 12), name="y")],
                      [Op("LOGISTIC", (4,), (5,)), Op("CONCATENATION", (5, 4), (6,), {"Axis": -1})]),
    "DIV": logistic("DIV", SCORES, constant(np.arange(1, 7))),
    "ELU": logistic("ELU"),
    "EXP": logistic("EXP"),
    "EXPAND_DIMS": logistic("EXPAND_DIMS", (1, 1, 6), constant(1, "int32")),
    "GATHER": logistic("GATHER", (1, 2), ints(4, 0), Axis=1),
    "HARD_SWISH": logistic("HARD_SWISH"),
    "LEAKY_RELU": ([T(SCORES), constant(np.full(6, 0.5)), T(SCORES), T(SCORES, name="y")],
                   [Op("LOGISTIC", (4,), (5,)), Op("SUB", (5, 6), (7,)), Op("LEAKY_RELU", (7,), (8,), {"Alpha": 0.3})]),
    "LOG": logistic("LOG"),
    "LOGISTIC": ([T(SCORES, name="y")], [Op("LOGISTIC", (4,), (5,))]),
    "LOG_SOFTMAX": logistic("LOG_SOFTMAX"),
    "MAXIMUM": logistic("MAXIMUM", SCORES, constant(0.5)),
    "MEAN": logistic("MEAN", (1,), ints(1)),
    "MINIMUM": logistic("MINIMUM", SCORES, constant(0.5)),
    "MUL": logistic("MUL", SCORES, constant(np.arange(6)), FusedActivationFunction=3),
    "NEG": logistic("NEG"),
    "PRELU": ([T(SCORES), constant(np.full(6, 0.5)), T(SCORES), constant(np.arange(6) / 6), T(SCORES, name="y")],
              [Op("LOGISTIC", (4,), (5,)), Op("SUB", (5, 6), (7,)), Op("PRELU", (7, 8), (9,))]),
    "REDUCE_MAX": logistic("REDUCE_MAX", (1,), ints(1)),
    "REDUCE_MIN": logistic("REDUCE_MIN", (1,), ints(1)),
    "RELU": logistic("RELU"),
    "RELU6": logistic("RELU6"),
    "RELU_0_TO_1": logistic("RELU_0_TO_1"),
    "RELU_N1_TO_1": logistic("RELU_N1_TO_1"),
    "RESHAPE": logistic("RESHAPE", (1, 3, 2), ints(1, 3, 2)),
    "RSQRT": logistic("RSQRT"),
    "SLICE": logistic("SLICE", (1, 4), ints(0, 2), ints(1, -1)),
    "SOFTMAX": ([T(SCORES, name="y")], [Op("SOFTMAX", (4,), (5,), {"Beta": 0.5})]),
    "SPLIT": ([T(SCORES), constant(1, "int32"), T((1, 3)), T((1, 3), name="y")],
              [Op("LOGISTIC", (4,), (5,)), Op("SPLIT", (6, 5), (7, 8), {"NumSplits": 2})]),
    "SPLIT_V": ([T(SCORES), ints(2, 4), constant(1, "int32"), T((1, 2)), T((1, 4), name="y")],
                [Op("LOGISTIC", (4,), (5,)), Op("SPLIT_V", (5, 6, 7), (8, 9), {"NumSplits": 2})]),
    "SQRT": logistic("SQRT"),
    "SQUARED_DIFFERENCE": logistic("SQUARED_DIFFERENCE", SCORES, constant(np.arange(6))),
    "SQUEEZE": logistic("SQUEEZE", (6,), SqueezeDims=[0]),
    "STRIDED_SLICE": logistic("STRIDED_SLICE", (1,), ints(0, -2), ints(1, 0), ints(1, 1), ShrinkAxisMask=2,
                              BeginMask=1, EndMask=1),
    "SUB": logistic("SUB", SCORES, constant(np.full(6, 0.5)), FusedActivationFunction=2),
    "SUM": logistic("SUM", (1,), ints(1)),
    "TANH": ([T(SCORES, name="y")], [Op("TANH", (4,), (5,))]),
    "TOPK_V2": ([T(SCORES), constant(2, "int32"), T((1, 2)), T((1, 2), kind="INT32", name="y")],
                [Op("LOGISTIC", (4,), (5,)), Op("TOPK_V2", (5, 6), (7, 8))]),
    "TRANSPOSE": ([T(IMAGE), ints(0, 2, 1, 3), T(IMAGE, name="y")],
                  [Op("LOGISTIC", (2,), (5,)), Op("TRANSPOSE", (5, 6), (7,))]),
}  # fmt: skip

IN_REAL_NUMBERS = {"DEQUANTIZE", "QUANTIZE"}
"""Operators that change no real number: they are tested in a quantized file."""


def litert_outputs(content: bytes, sample: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    interpreter.set_tensor(given["index"], sample.reshape(given["shape"]))
    interpreter.invoke()
    return [interpreter.get_tensor(each["index"]) for each in interpreter.get_output_details()]


def assert_host_computes(content: bytes, directory: Path, *, rtol: float = 1e-4) -> Network:
    network = read_network(content, "ending")
    files = write_host(network, directory)
    assert set(files) <= {"host.py", "host.npz"}
    assert b"Not in this file" not in files["host.py"]
    sample = np.random.default_rng(4).normal(size=network.only_input.format.dims).astype(np.float32)
    found = outputs_by_host(network, sample, directory)
    for wanted, values in zip(litert_outputs(content, sample), found, strict=True):
        assert values.shape == wanted.shape
        assert values.dtype.kind == wanted.dtype.kind
        spread = float(np.ptp(wanted.astype(np.float64))) or float(abs(wanted).max()) or 1.0
        assert float(abs(wanted.astype(np.float64) - values).max()) <= rtol * spread
    return network


@pytest.mark.parametrize("form", FORMS)
def test_the_host_computes_what_litert_computes(form: str, tmp_path: Path) -> None:
    network = assert_host_computes(network_content(FORMS[form]), tmp_path)
    assert form in network.host_steps[-1].operators
    assert network.outputs in {("scores",), ("hidden",)}
    assert len(network.layers) == 2 if network.outputs == ("scores",) else 1


def test_every_operator_of_the_host_has_a_form() -> None:
    assert FORMS.keys() | IN_REAL_NUMBERS == OPERATORS.keys()


def test_an_output_that_is_an_image_or_reshaped(tmp_path: Path) -> None:
    form: Form = ([ints(1, 32), T((1, 32), name="flat"), T((1, 6), name="p")],
                  [Op("RESHAPE", (2, 5), (6,)), Op("LOGISTIC", (4,), (7,))])  # fmt: skip
    network = assert_host_computes(network_content(form, outputs=(6, 7, 2)), tmp_path)
    assert network.outputs == ("hidden", "scores")
    assert [str(steps) for steps in network.host_steps] == ["LOGISTIC of 'scores'"]


def test_joined_heads(tmp_path: Path) -> None:
    form: Form = (
        [ints(1, 16, 2), T((1, 16, 2)), ints(1, 3, 2), T((1, 3, 2)), T((1, 19, 2), name="boxes")],
        [Op("RESHAPE", (2, 5), (6,)), Op("RESHAPE", (4, 7), (8,)), Op("CONCATENATION", (6, 8), (9,), {"Axis": 1})],
    )
    network = assert_host_computes(network_content(form), tmp_path)
    assert network.outputs == ("hidden", "scores")
    assert [str(steps) for steps in network.host_steps] == ["CONCATENATION of 'hidden' and 'scores'"]


def test_steps_of_a_quantized_file() -> None:
    tensors = [
        T((1, 6), kind="INT8", scales=(0.1,), zero_points=(0,), name="codes"),
        T((1, 6), kind="INT8", scales=(1 / 256,), zero_points=(-128,), name="p"), T((1, 6), name="y"),
    ]  # fmt: skip
    operators = [Op("QUANTIZE", (4,), (5,)), Op("LOGISTIC", (5,), (6,)), Op("DEQUANTIZE", (6,), (7,))]
    network = read_network(network_content((tensors, operators)), "quantized")
    assert [str(steps) for steps in network.host_steps] == ["LOGISTIC of 'scores'"]


def test_an_operator_without_a_form_is_named_and_left_out(tmp_path: Path) -> None:
    form: Form = ([T(SCORES, name="y")], [Op("custom:Decode", (4,), (5,))])
    network = read_network(network_content(form), "custom")
    assert [str(steps) for steps in network.host_steps] == ["custom operator 'Decode' of 'scores'"]
    assert network.host_graph is None
    assert b"Not in this file" in write_host(network, tmp_path)["host.py"]


def test_softmax_is_a_host_step_and_still_recorded() -> None:
    form: Form = ([T(SCORES, name="y")], [Op("SOFTMAX", (4,), (5,), {"Beta": 1.0})])
    network = read_network(network_content(form), "softmax")
    assert network.ends_in_softmax
    assert [str(steps) for steps in network.host_steps] == ["SOFTMAX of 'scores'"]


@pytest.mark.parametrize("kind", ["WHILE", "READ_VARIABLE", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
def test_state_and_loops_are_never_left_to_the_host(kind: str) -> None:
    form: Form = ([T(SCORES, name="y")], [Op(kind, (4,), (5,))])
    with pytest.raises(UnsupportedOperator, match=kind):
        read_network(network_content(form), "state")


def test_weights_behind_an_operator_keep_it_in_the_way() -> None:
    form: Form = ([T(SCORES), constant(np.ones((3, 6))), T((1, 3))],
                  [Op("LOGISTIC", (4,), (5,)), Op("FULLY_CONNECTED", (5, 6), (7,))])  # fmt: skip
    with pytest.raises(UnsupportedOperator, match="1 of 4 operators stands in the way: 1 LOGISTIC"):
        read_network(network_content(form), "weights")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
@pytest.mark.parametrize(
    "name", ["ad01_float", "hello_world_float", "mnist_cnn", "resnet8_float", "tinymaix_cifar10", "vww_96_float"]
)
def test_published_networks(name: str, tmp_path: Path) -> None:
    assert_host_computes((SHARED / f"{name}.tflite").read_bytes(), tmp_path)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
def test_a_published_int8_network(tmp_path: Path) -> None:
    content = (SHARED / "kws_int8.tflite").read_bytes()
    network = read_network(content, "kws")
    write_host(network, tmp_path)
    sample = LiteRTReference(content).samples(1, 0.2)[0].reshape(network.only_input.format.dims)
    (found,) = outputs_by_host(network, sample, tmp_path)
    expected = LiteRTReference(content).run(sample.reshape(1, *network.only_input.format.dims))
    np.testing.assert_allclose(found.ravel(), expected, atol=0.05)
