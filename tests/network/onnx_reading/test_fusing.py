"""Test the fusion passes: what is folded into a layer, what must not be, and the names of layers and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from network.layers import LINEAR, RELU, AveragePool, Convolution, MaxPool, Pad, Padding
from network.network import Network
from tests.network.onnx_reading.onnx_models import agreeing, model, node, positive, random, read

WEIGHTS = {
    "w": random(4, 3, 3, 3),
    "v": random(4, 4, 3, 3),
    "k": positive(4, 1, 1),
    "gamma": random(4),
    "beta": random(4, seed=1),
    "mean": random(4, seed=2),
    "variance": positive(4),
    "p": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
}
NORM = "gamma beta mean variance"


def names(network: Network) -> list[tuple[str, str, str]]:
    return [(layer.kind, layer.name, layer.output) for layer in network.layers]


def test_batch_norm_behind_a_relu_is_a_depthwise_convolution() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("BatchNormalization", f"r {NORM}", "n"),
        node("Relu", "n", "y"),
    ]
    network = agreeing(model(nodes, constants=WEIGHTS))
    assert names(network) == [("convolution", "C", "r"), ("convolution", "N", "y")]
    norm = network.layers[1]
    assert isinstance(norm, Convolution)
    assert norm.groups == 4
    assert norm.batch_norm is not None
    assert norm.weight is not None
    assert (norm.weight == 1).all()


def test_pre_activation_residual_block() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", f"c {NORM}", "n"),
        node("Relu", "n", "r"),
        node("Conv", "r v", "d", pads=[1, 1, 1, 1]),
        node("Add", "d c", "s"),
        node("BatchNormalization", f"s {NORM}", "m"),
        node("Relu", "m", "y"),
    ]
    network = agreeing(model(nodes, constants=WEIGHTS))
    assert names(network) == [
        ("convolution", "C", "c"),
        ("convolution", "N", "r"),
        ("convolution", "D", "d"),
        ("add", "S", "s"),
        ("convolution", "M", "y"),
    ]


def test_residual_branch_keeps_the_tensor_that_both_read() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("Conv", "r v", "d", pads=[1, 1, 1, 1]),
        node("BatchNormalization", f"d {NORM}", "n"),
        node("Add", "r n", "s"),
        node("Relu", "s", "y"),
    ]
    assert names(agreeing(model(nodes, constants=WEIGHTS))) == [
        ("convolution", "C", "r"),
        ("convolution", "D", "n"),
        ("add", "S", "y"),
    ]


@pytest.mark.parametrize("outputs", ["y c", "c y", "y n"])
def test_an_output_is_not_folded_away(outputs: str) -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", f"c {NORM}", "n"),
        node("Relu", "n", "y"),
    ]
    network = agreeing(model(nodes, constants=WEIGHTS, outputs=outputs))
    assert network.outputs == tuple(outputs.split())


def test_a_relu_between_two_scalings() -> None:
    nodes = [node("Conv", "x w", "c"), node("Mul", "c k", "a"), node("Relu", "a", "r"), node("Mul", "r k", "y")]
    network = agreeing(model(nodes, constants=WEIGHTS))
    assert names(network) == [("convolution", "C", "r"), ("convolution", "Y", "y")]


def test_scalings_behind_a_pool_become_one_depthwise_convolution() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("MaxPool", "c", "m", kernel_shape=[2, 2]),
        node("Mul", "m two", "a"),
        node("Add", "a k", "b"),
        node("BatchNormalization", f"b {NORM}", "y"),
    ]
    network = agreeing(model(nodes, constants=WEIGHTS | {"two": np.float32(2)}))
    assert names(network)[2:] == [("convolution", "A", "y")]


def test_two_clamps_become_the_intersection_of_their_intervals() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Clip", "c low high", "a"),
        node("Relu", "a", "y"),
    ]
    network = agreeing(model(nodes, constants=WEIGHTS | {"low": np.float32(-1), "high": np.float32(2)}))
    assert (network.layers[0].activation.low, network.layers[0].activation.high) == (0, 2)


def test_padding_goes_into_its_only_convolution() -> None:
    nodes = [node("Relu", "x", "r"), node("Pad", "r p", "a"), node("Conv", "a w", "y", pads=[0, 1, 0, 2])]
    network = agreeing(model(nodes, constants=WEIGHTS))
    (_, convolution) = network.layers
    assert isinstance(convolution, Convolution)
    assert convolution.padding == Padding(1, 2, 1, 3)
    assert convolution.inputs == ("r",)


def test_padding_that_two_read_stays_a_layer() -> None:
    nodes = [
        node("Pad", "x p", "a"),
        node("Conv", "a w", "c"),
        node("MaxPool", "a", "m", kernel_shape=[3, 3]),
        node("GlobalAveragePool", "c", "y"),
        node("GlobalAveragePool", "m", "z"),
    ]
    network = agreeing(model(nodes, constants=WEIGHTS, outputs="y z"))
    assert isinstance(network.layers[0], Pad)


POOLS: dict[str, tuple[list[onnx.NodeProto], str, dict[str, Any], bool]] = {
    # nodes behind "c", the pool, its attributes, and whether the padding is fused into the pool
    "max pool of what may be negative": ([node("Pad", "c p", "a")], "MaxPool", {}, False),
    "max pool of what is never negative": ([node("Relu", "c", "r"), node("Pad", "r p", "a")], "MaxPool", {}, True),
    "average pool": ([node("Pad", "c p", "a")], "AveragePool", {}, True),
    "average pool that counts its padding": (
        [node("Pad", "c p", "a")],
        "AveragePool",
        {"pads": [1, 1, 0, 0], "count_include_pad": 1},
        True,
    ),
    "average pool that leaves its padding out": (
        [node("Pad", "c p", "a")],
        "AveragePool",
        {"pads": [1, 1, 0, 0]},
        False,
    ),
    "padding as large as the kernel": ([node("Pad", "c p", "a")], "AveragePool", {"kernel_shape": [1, 3]}, False),
}


@pytest.mark.parametrize("form", POOLS)
def test_padding_before_a_pool(form: str) -> None:
    nodes, pool, attributes, joined = POOLS[form]
    nodes = [node("Conv", "x w", "c"), *nodes, node(pool, "a", "y", **{"kernel_shape": [3, 3], **attributes})]
    network = agreeing(model(nodes, constants=WEIGHTS))
    assert isinstance(network.layers[-1], MaxPool | AveragePool)
    assert len(network.layers) == (2 if joined else 3)


def test_layers_on_which_no_output_depends_are_removed() -> None:
    nodes = [node("Conv", "x w", "y"), node("Conv", "y v", "dead"), node("Relu", "dead", "gone")]
    network = agreeing(model(nodes, constants=WEIGHTS))
    assert names(network) == [("convolution", "Y", "y")]
    assert network.layers[0].activation == LINEAR


def test_names_are_unique_and_never_empty() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Conv", "r v", "d"), node("Conv", "d v", "y")]
    nodes[0].name = nodes[2].name = "conv"
    nodes[3].name = ""
    network = read(model(nodes, constants=WEIGHTS))
    assert names(network) == [("convolution", "conv", "r"), ("convolution", "conv_2", "d"), ("convolution", "y", "y")]
    assert network.layers[0].activation == RELU
