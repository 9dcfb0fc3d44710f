"""Which layers of a file share a weight tensor, and which networks with shared weights are refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from network.errors import InvalidNetwork
from network.json_reading.description import read_json, write_json
from network.layers import Convolution, FullyConnected, Layer, Padding, Shape
from network.network import Network
from network.onnx_reading import read_onnx
from network.reading import read_network
from network.shared_weights import with_shared_weights
from network.tflite_reading import read_tflite
from tests.builders import network_of
from tests.network.onnx_reading.onnx_models import agreeing, model, node, positive, random, read
from tests.network.onnx_reading.quantized_models import statically_quantized
from tests.network.tflite_reading.tflite_models import Op, T, build, constant

SHARED = Path(__file__).resolve().parents[3] / "shared"
PADS = {"pads": [1, 1, 1, 1]}
NO_STRIDE = {"Padding": 0, "StrideH": 1, "StrideW": 1}


def sharing(network: Network) -> list[list[str]]:
    """Return the names of the layers of each shared weight tensor."""
    return [list(names) for names in network.weight_owners.sharing.values()]


def test_convolutions_that_read_one_initializer_share_it() -> None:
    built = model(
        [
            node("Conv", "x w0", "a", **PADS),
            node("Conv", "a w b", "b1", **PADS),
            node("BatchNormalization", "b1 gamma beta mean variance", "c"),
            node("Relu", "c", "d"),
            node("Conv", "d w", "e", strides=[2, 2]),
            node("Conv", "e w2", "y"),
        ],
        constants={
            "w0": random(4, 3, 3, 3), "w": random(4, 4, 3, 3), "b": random(4), "w2": random(4, 4, 3, 3, seed=1),
            "gamma": random(4), "beta": random(4), "mean": random(4), "variance": positive(4),
        },
    )  # fmt: skip
    network = agreeing(built)
    assert sharing(network) == [["B1", "E"]]
    layers = {layer.name: layer for layer in network.weight_layers}
    assert layers["B1"].weight is layers["E"].weight
    assert network.weight_owners.of["Y"] == "Y"


def test_equal_values_of_two_initializers_are_two_tensors() -> None:
    weight = random(3, 3, 3, 3)
    built = model(
        [node("Conv", "x w", "a", **PADS), node("Conv", "a v", "y", **PADS)], constants={"w": weight, "v": weight}
    )
    assert sharing(agreeing(built)) == []


def test_a_scaled_or_transposed_reading_is_another_tensor() -> None:
    matrix = random(4, 4)
    built = model(
        [
            node("Gemm", "x m", "a"),
            node("Gemm", "a m", "b", transB=1),
            node("Gemm", "b m", "c", alpha=2.0),
            node("Gemm", "c m", "d"),
            node("Gemm", "d m", "e"),
            node("Mul", "e two", "y"),
        ],
        ("N", 4),
        {"m": matrix, "two": np.array([1, 2, 3, 4], np.float32)},
    )
    assert sharing(agreeing(built)) == [["A", "D"]]  # the last product is folded into the weights of E


def test_a_matrix_that_every_reader_transposes_is_one_tensor() -> None:
    built = model(
        [
            node("Transpose", "m", "t1", perm=[1, 0]),
            node("MatMul", "x t1", "a"),
            node("Transpose", "m", "t2", perm=[1, 0]),
            node("MatMul", "a t2", "y"),
        ],
        ("N", 4),
        {"m": random(4, 4)},
    )
    assert sharing(agreeing(built)) == [["A", "Y"]]


def test_depthwise_and_full_convolutions_of_one_tensor_are_two_tensors() -> None:
    built = model(
        [node("Conv", "x w", "a", group=1), node("Conv", "a w", "y", group=2)],
        ("N", 1, 8, 8),
        {"w": random(2, 1, 3, 3)},
    )
    assert sharing(agreeing(built)) == []


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_codes_that_several_layers_read_are_one_tensor(form: str) -> None:
    built = model(
        [
            node("Conv", "x w0", "a", **PADS),
            node("Relu", "a", "b"),
            node("Conv", "b w", "c", **PADS),
            node("Relu", "c", "d"),
            node("Conv", "d w", "e", **PADS),
            node("Relu", "e", "f"),
            node("GlobalAveragePool", "f", "y"),
        ],
        constants={"w0": random(4, 3, 3, 3), "w": random(4, 4, 3, 3)},
    )
    network = read(statically_quantized(built, form))
    assert [len(names) for names in sharing(network)] == [2]


def image(*, bias: bool = False) -> list[Any]:
    return [T((1, 6, 6, 3)), T((1, 6, 6, 3)), T((1, 6, 6, 3)), *([constant(random(3))] if bias else [])]


def test_tflite_layers_that_read_one_tensor_or_one_buffer_share_it() -> None:
    weight = random(3, 3, 3, 3)
    for second in (3, 4):
        content = build(
            [
                *image(),
                constant(weight),
                *([T(weight.shape, weight, data_of=3)] if second == 4 else []),
            ],
            [Op("CONV_2D", (0, 3), (1,), NO_STRIDE), Op("CONV_2D", (1, second), (2,), NO_STRIDE)],
            outputs=(2,),
        )
        assert [len(names) for names in sharing(read_tflite(content, "tiny"))] == [2]


def test_tflite_layers_with_two_buffers_do_not_share() -> None:
    weight = random(3, 3, 3, 3)
    content = build(
        [*image(), constant(weight), constant(weight)],
        [Op("CONV_2D", (0, 3), (1,), NO_STRIDE), Op("CONV_2D", (1, 4), (2,), NO_STRIDE)],
        outputs=(2,),
    )
    assert sharing(read_tflite(content, "tiny")) == []


def described(**second: Any) -> bytes:
    """Return a JSON description of two convolutions, of which the second has these further keys."""
    conv = {"kind": "convolution", "output_channels": 2, "kernel": 1}
    weight = [[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]
    layers = [
        {**conv, "name": "one", "weight": weight, "shared_weight": "w"},
        {**conv, "name": "two", "shared_weight": "w", **second},
    ]
    return json.dumps({"input": {"shape": [2, 4, 4]}, "layers": layers}).encode()


def test_a_json_description_gives_shared_weights_once() -> None:
    network = read_json(described(), "n")
    assert sharing(network) == [["one", "two"]]
    assert network.has_weights
    written = write_json(network, with_weights=True)
    assert written.count("float32_base64") == 1
    again = read_json(written.encode(), "n")
    np.testing.assert_array_equal(again.weight_layers[1].weight, network.weight_layers[0].weight)
    without = read_json(write_json(network, with_weights=False).encode(), "n")
    assert without.weight_owners == network.weight_owners
    assert not without.has_weights


def test_a_weight_that_no_other_layer_reads_is_written_without_a_name() -> None:
    network = read_json(described(shared_weight="v", weight=[[[[1.0]], [[2.0]]], [[[3.0]], [[4.0]]]]), "n")
    assert sharing(network) == []
    assert "shared_weight" not in write_json(network, with_weights=True)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (
            {"weight": [[[[1.0]], [[2.0]]], [[[3.0]], [[5.0]]]]},
            "'one' and 'two' share the weight tensor 'w', but their weights have different values",
        ),
        ({"kernel": 3, "padding": 1}, "has weights of shape .2, 2, 1, 1.; expected weights of shape .2, 2, 3, 3."),
        ({"shared_weight": 3}, "shared_weight"),
    ],
)
def test_contradicting_shared_weights_are_refused(second: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidNetwork, match=message):
        read_json(described(**second), "n")


def test_shared_weights_that_are_read_too_often_for_the_size_of_the_file_are_refused() -> None:
    weight = {"shape": [128, 128, 1, 1], "float32_base64": base64.b64encode(bytes(4 * 128 * 128)).decode()}
    conv = {"kind": "convolution", "output_channels": 128, "kernel": 1, "shared_weight": "w"}
    layers = [{**conv, "name": "first", "weight": weight}, *({**conv, "name": f"l{index}"} for index in range(150))]
    content = json.dumps({"input": {"shape": [128, 1, 1]}, "layers": layers}).encode()
    with pytest.raises(InvalidNetwork, match=r"layer 'l\d+' increases the elements .* expected at most"):
        read_json(content, "n")


def test_layers_without_values_must_have_the_same_layout() -> None:
    def convolution(name: str, source: str, groups: int) -> Convolution:
        return Convolution(
            name=name, inputs=(source,), output=name, output_channels=2, kernel=(3, 3), groups=groups,
            padding=Padding(1, 1, 1, 1), shared_weight="w",
        )  # fmt: skip

    with pytest.raises(InvalidNetwork, match=r"'a' and 'b' share the weight tensor 'w', but .* different layouts"):
        network_of([convolution("a", "input", 1), convolution("b", "a", 2)], Shape(1, 4, 4))


def test_fully_connected_layers_share_only_over_inputs_of_one_shape() -> None:
    weight = random(16, 16)

    def dense(name: str, source: str) -> FullyConnected:
        return FullyConnected(
            name=name, inputs=(source,), output=name, output_channels=16, weight=weight, shared_weight="file's"
        )

    layers: list[Layer] = [dense("a", "input"), dense("b", "a"), dense("c", "b")]
    shapes = {"input": Shape(4, 2, 2), "a": Shape(16), "b": Shape(16), "c": Shape(16)}
    found = with_shared_weights(layers, shapes)
    assert [getattr(layer, "shared_weight") for layer in found] == [None, "b", "b"]  # noqa: B009  # of a weight layer


def test_another_order_of_the_layers_has_another_owner() -> None:
    network = read_json(described(), "n")
    one, two = network.layers
    swapped = replace(
        network,
        layers=(replace(two, inputs=("input",)), replace(one, inputs=(two.output,))),
        outputs=(one.output,),
    )
    assert sharing(swapped) == [["two", "one"]]
    assert swapped.weight_owners.stores("two")
    assert not swapped.weight_owners.stores("one")


def test_the_network_of_the_trouble_has_four_readers_of_one_tensor() -> None:
    path = SHARED / "troubles" / "tied.onnx"
    if not path.exists():
        pytest.skip("needs ../shared/troubles/tied.onnx")
    assert sharing(read_network(path.read_bytes(), path.name)) == [["a1", "a2", "a3", "a4"]]
    assert sharing(read_onnx(path.read_bytes(), "n")) == [["a1", "a2", "a3", "a4"]]
