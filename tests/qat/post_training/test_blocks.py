"""The decomposition of a network into blocks that are reconstructed together."""

from __future__ import annotations

import numpy as np
import pytest

from network.layers import RELU, Add, Concat, Layer, MaxPool, Shape
from network.network import Network
from qat.post_training import blocks
from qat.post_training.blocks import Block, blocks_of
from tests.builders import network_of
from tests.qat.zoo import all_kinds, convolution


def network_of_blocks(outputs: tuple[str, ...] = ()) -> Network:
    """Return a network of a stem, a pool, a residual block and a last convolution."""
    rng = np.random.default_rng(0)
    layers: list[Layer] = [
        convolution(rng, "stem", "input", (2, 3), kernel=(1, 1), activation=RELU),
        MaxPool(name="pool", inputs=("stem.out",), output="pool", kernel=(1, 1)),
        convolution(rng, "left", "pool", (3, 3), kernel=(1, 1), activation=RELU),
        convolution(rng, "right", "left.out", (3, 3), kernel=(1, 1)),
        convolution(rng, "short", "pool", (3, 3), kernel=(1, 1), normalised=False),
        Add(name="add", inputs=("right.out", "short.out"), output="sum", activation=RELU),
        convolution(rng, "last", "sum", (3, 2), kernel=(1, 1)),
    ]
    return network_of(layers, Shape(2, 4, 4), outputs=outputs)


def test_a_residual_block_is_one_block() -> None:
    assert blocks_of(network_of_blocks()) == [
        Block(0, 1, ("input",), "stem.out"),
        Block(2, 6, ("pool",), "sum"),
        Block(6, 7, ("sum",), "last.out"),
    ]


def test_a_block_with_an_inner_output_is_split() -> None:
    assert blocks_of(network_of_blocks(outputs=("last.out", "left.out"))) == [
        Block(0, 1, ("input",), "stem.out"),
        Block(2, 3, ("pool",), "left.out"),
        Block(3, 4, ("left.out",), "right.out"),
        Block(4, 5, ("pool",), "short.out"),
        Block(6, 7, ("sum",), "last.out"),
    ]


def test_a_large_block_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MAX_WEIGHT_LAYERS", 2)
    assert [block.output for block in blocks_of(network_of_blocks())] == [
        "stem.out",
        "left.out",
        "right.out",
        "short.out",
        "last.out",
    ]


def test_every_weight_is_in_one_block() -> None:
    rng = np.random.default_rng(0)
    dense: list[Layer] = [convolution(rng, "c0", "input", (2, 2), kernel=(1, 1))]
    for number in range(1, 12):
        dense += [
            Concat(name=f"join{number}", inputs=("c0.out", f"c{number - 1}.out"), output=f"join{number}"),
            convolution(rng, f"c{number}", f"join{number}", (4, 2), kernel=(1, 1)),
        ]
    for network in (network_of_blocks(), all_kinds(0), network_of(dense, Shape(2, 2, 2))):
        found = [network.layers[index].name for block in blocks_of(network) for index in block.indices]
        assert len(found) == len(set(found))
        assert {layer.name for layer in network.weight_layers} <= set(found)
        for block in blocks_of(network):
            layers = [network.layers[index] for index in block.indices]
            assert layers[-1].output == block.output
            inside = {layer.output for layer in layers}
            assert {tensor for layer in layers for tensor in layer.inputs} - inside == set(block.sources)
