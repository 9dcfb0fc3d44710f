"""ONNX files that are read with options: open extents that are fixed, and networks that end at a named tensor."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from network.errors import NetworkError, RequestError, UnsupportedOperator
from network.network import Network
from network.reading import read_network
from network.reading_options import ReadingOptions
from tests.network.float_reference import evaluate
from tests.network.onnx_reading.onnx_models import model, node, positive, random, runtime_outputs

NETWORKS = Path(__file__).parents[4] / "shared" / "networks"

needs_networks = pytest.mark.skipif(not NETWORKS.is_dir(), reason="the published networks are not in the project")

CONSTANTS: dict[str, Any] = {
    "w": random(4, 3, 3, 3), "v": random(4, 4, 3, 3, seed=1), "m": random(4, 5), "g": positive(4), "b": random(4),
    "s": np.array([-1, 4]), "scales": np.array([1, 1, 2, 2], np.float32), "slope": random(4, 1, 1),
}  # fmt: skip

BACKBONE = [
    node("Conv", "x w", "c1", pads=[1, 1, 1, 1]),
    node("BatchNormalization", "c1 g b b g", "n1"),
    node("Relu", "n1", "r1"),
    node("Conv", "r1 v", "c2", pads=[1, 1, 1, 1]),
    node("Add", "c2 r1", "a2"),
]
CLASSES = [
    node("GlobalAveragePool", "a2", "p"), node("Reshape", "p s", "f"), node("Gemm", "f m", "y"),
]  # fmt: skip
ENLARGED = [node("Resize", "a2 - scales", "e"), node("PRelu", "e slope", "q"), node("Conv", "q v", "y")]


def read(built: onnx.ModelProto, *outputs: str, shapes: tuple[str, ...] = ()) -> Network:
    return read_network(built.SerializeToString(), "tiny", options=ReadingOptions.of_texts(shapes, outputs))


def assert_equals_onnxruntime(network: Network, built: onnx.ModelProto, names: tuple[str, ...]) -> None:
    """Compare the outputs of a network with the values of these names in onnxruntime."""
    changed = onnx.ModelProto()
    changed.CopyFrom(built)
    del changed.graph.output[:]
    changed.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    samples = np.random.default_rng(3).normal(size=(2, *network.only_input.format.dims)).astype(np.float32)
    tensors = evaluate(network, samples)
    for tensor, expected in zip(network.outputs, runtime_outputs(changed, samples), strict=True):
        np.testing.assert_allclose(tensors[tensor].ravel(), expected.ravel(), rtol=1e-4, atol=1e-4)


CUTS = {
    # outputs that are named, and the layers that are left
    "behind a convolution, before its batch norm": (("c1",), ["c1"]),
    "behind its batch norm": (("n1",), ["n1"]),
    "behind its clamp": (("r1",), ["r1"]),
    "behind the sum": (("a2",), ["r1", "c2", "a2"]),
    "twice, before and behind a clamp": (("r1", "n1"), ["n1", "r1"]),
    "in another order": (("a2", "r1"), ["r1", "c2", "a2"]),
}


@pytest.mark.parametrize("rest", [CLASSES, ENLARGED], ids=["of a network that is read", "of one that is refused"])
@pytest.mark.parametrize("case", CUTS)
def test_a_network_ends_at_the_named_tensors(case: str, rest: list[onnx.NodeProto]) -> None:
    names, layers = CUTS[case]
    built = model([*BACKBONE, *rest], constants=CONSTANTS)
    network = read(built, *names)
    assert network.outputs == names
    assert [layer.output for layer in network.layers] == layers
    assert network.host_steps == ()
    assert_equals_onnxruntime(network, built, names)


def test_what_leads_to_a_named_tensor_is_left_to_the_host() -> None:
    behind = [node("Sigmoid", "r1", "z"), node("Conv", "z v", "y")]
    built = model([*BACKBONE, *behind], constants=CONSTANTS)
    with pytest.raises(UnsupportedOperator):
        read(built)
    network = read(built, "z")
    assert network.outputs == ("r1",)
    assert [str(steps) for steps in network.host_steps] == ["Sigmoid of 'r1'"]


def test_a_final_softmax_behind_the_cut_is_not_noted() -> None:
    built = model(
        [*BACKBONE, *CLASSES[:-1], node("Gemm", "f m", "g2"), node("Softmax", "g2", "y")], constants=CONSTANTS
    )
    assert read(built).ends_in_softmax
    assert not read(built, "g2").ends_in_softmax


def test_a_tensor_that_no_output_needs_can_be_named() -> None:
    built = model([*BACKBONE, *CLASSES, node("Conv", "r1 v", "dead")], constants=CONSTANTS)
    assert [layer.output for layer in read(built, "dead").layers] == ["r1", "dead"]


def test_an_input_that_only_the_rest_reads_is_dropped() -> None:
    built = model([*BACKBONE, node("GRU", "a2 h h", "y")], constants=CONSTANTS)
    built.graph.input.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 1, 4]))
    assert read(built, "a2").only_input.name == "x"
    first = model([*BACKBONE, node("GRU", "a2 h h", "y")], constants=CONSTANTS)
    first.graph.input.insert(0, helper.make_tensor_value_info("h", TensorProto.FLOAT, [1, 1, 4]))
    assert read(first, "a2").only_input.name == "x"


def test_an_unknown_tensor_is_refused_with_close_names_and_the_outputs() -> None:
    built = model([*BACKBONE, *CLASSES], constants=CONSTANTS)
    for name in ("r11", "x", "w"):
        with pytest.raises(RequestError) as caught:
            read(built, name)
        message = str(caught.value)
        assert f"names '{name}', which no operator writes" in message
        assert message.endswith("the outputs are 'y'")
        assert ("close names are 'r1'" in message) == (name == "r11")


def test_a_refusal_names_the_last_tensors_that_can_be_read() -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        read(model([*BACKBONE, *ENLARGED], constants=CONSTANTS))
    assert str(caught.value).endswith("ends the network at the last tensors that can be read: --output 'a2'")


def test_a_refusal_without_weights_before_it_names_no_tensor() -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        read(model([node("Relu", "x", "r"), node("Resize", "r - scales", "e"), node("Conv", "e w", "y")],
                   constants=CONSTANTS))  # fmt: skip
    assert "--output" not in str(caught.value)


@needs_networks
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("yunet_s.onnx", 31),
        ("fastestdet.onnx", 8),
        ("sinet.onnx", 1),
        ("autoencoder_1d.onnx", 6),
        ("compact_transformer.onnx", 2),
        ("slimnet_portrait.tflite", 1),
    ],
)
def test_the_named_tensors_of_published_networks_can_be_read(name: str, least: int) -> None:
    content = (NETWORKS / name).read_bytes()
    with pytest.raises(NetworkError) as caught:
        read_network(content, "published")
    named = re.findall(r"'([^']*)'", str(caught.value).partition("--output ")[2])
    assert named
    for tensor in named:
        network = read_network(content, "published", options=ReadingOptions(outputs=(tensor,)))
        assert network.outputs == (tensor,)
        assert len(network.layers) >= least
    together = read_network(content, "published", options=ReadingOptions(outputs=tuple(named)))
    assert together.outputs == tuple(named)


SEQUENCE = [
    node("Conv", "x w", "c", pads=[1, 1]),
    node("Relu", "c", "r"),
    node("Conv", "r v", "y", pads=[1, 1]),
]
SEQUENCE_WEIGHTS = {"w": random(4, 40, 3), "v": random(2, 4, 3)}


@pytest.mark.parametrize("opset", [9, 17])
@pytest.mark.parametrize("given", ["40,98", "1,40,98", "x=1x40x98"])
def test_an_open_time_is_fixed(given: str, opset: int) -> None:
    built = model(SEQUENCE, ("N", 40, "time"), SEQUENCE_WEIGHTS, opset=opset)
    if opset < 11:
        built.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, "time"]))
    network = read(built, shapes=(given,))
    assert network.only_input.format.dims == (40, 98)
    assert_equals_onnxruntime(network, built, ("y",))


@needs_networks
@pytest.mark.parametrize("given", ["1,40", "1,1,40", "x=1x1x40"])
def test_the_minimal_file_with_an_open_time_is_read(given: str) -> None:
    built = onnx.load(NETWORKS / "minimal" / "open_time.onnx")
    network = read(built, shapes=(given,))
    assert network.only_input.format.dims == (1, 40)
    assert_equals_onnxruntime(network, built, ("y",))


def test_an_open_image_is_fixed_with_a_cut() -> None:
    built = model([*BACKBONE, *ENLARGED], ("N", 3, "height", "width"), CONSTANTS)
    network = read(built, "a2", shapes=("1,3,10,12",))
    assert network.shapes["a2"] == (4, 10, 12)
    assert_equals_onnxruntime(network, built, ("a2",))


def test_a_shape_that_the_file_computes_follows_the_option() -> None:
    weights = {**CONSTANTS, "first": np.array([0]), "rest": np.array([-1]), "m": random(4 * 6 * 7, 5)}
    rest = [
        node("Shape", "a2", "all"), node("Gather", "all first", "batch"), node("Concat", "batch rest", "s2", axis=0),
        node("Reshape", "a2 s2", "f"), node("Gemm", "f m", "y"),
    ]  # fmt: skip
    built = model([*BACKBONE, *rest], ("N", 3, "height", "width"), weights)
    assert_equals_onnxruntime(read(built, shapes=("3,6,7",)), built, ("y",))


@pytest.mark.parametrize(
    ("dims", "example"),
    [
        (("N", 40, "time"), "--input-shape 1,40,96"),
        ((1, 3, "h", "w"), "--input-shape 1,3,96,96"),
        (("N", 3, 0, -1), "--input-shape 1,3,96,96"),
    ],
)
def test_an_open_extent_names_the_option_with_the_extents_of_the_file(
    dims: tuple[int | str, ...], example: str
) -> None:
    nodes = SEQUENCE if len(dims) == 3 else BACKBONE[:1]
    built = model(
        nodes, dims, SEQUENCE_WEIGHTS if len(dims) == 3 else CONSTANTS, outputs="y" if len(dims) == 3 else "c1"
    )
    with pytest.raises(UnsupportedOperator, match=re.escape(f"option input_shape, for example {example}")):
        read(built)
