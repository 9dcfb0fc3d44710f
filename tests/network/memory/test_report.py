"""Byte accounting on networks small enough to be counted by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.errors import InvalidNetwork, RequestError
from network.layers import Activation, Add, AveragePool, Concat, Convolution, FullyConnected, Layer, Shape
from network.memory.accounting import LayerBits
from network.memory.books import ACCOUNTINGS, accounting_named
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.memory.steps import Occupant, Step
from network.network import Network
from network.network_input import InputFormat, NetworkInput

PER_LAYER = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)
PER_LAYER_ICN = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN)
PER_CHANNEL = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
PAPER = PaperAccounting()


def convolution(name: str, source: str, channels: int) -> Convolution:
    return Convolution(name=name, inputs=(source,), output=name, output_channels=channels, kernel=(1, 1))


IMAGE = Shape(2, 4, 4)


def network(*layers: Layer, shape: Shape = IMAGE, outputs: tuple[str, ...] = ()) -> Network:
    return Network(
        name="n",
        inputs=(NetworkInput("x", shape, InputFormat(tuple(shape))),),
        layers=layers,
        outputs=outputs or (layers[-1].output,),
    )


def allocation(
    whole: Network, weights: Mapping[str, Bits], activations: Mapping[str, Bits], scheme: Scheme = PER_CHANNEL
) -> Allocation:
    return Allocation(
        {layer.name: weights.get(layer.name, 8) for layer in whole.weight_layers},
        {tensor: activations.get(tensor, 8) for tensor in whole.tensors},
        dict.fromkeys((layer.name for layer in whole.weight_layers), scheme),
    )


CHAIN = network(
    convolution("a", "x", 3),
    AveragePool(name="pool", inputs=("a",), output="pool", kernel=(2, 2), stride=(2, 2)),
    convolution("b", "pool", 5),
    AveragePool(name="image", inputs=("b",), output="image", kernel=(2, 2)),
    FullyConnected(name="fc", inputs=("image",), output="fc", output_channels=7),
)
"""2x4x4 -a-> 3x4x4 -pool-> 3x2x2 -b-> 5x2x2 -image-> 5 -fc-> 7."""


def test_steps_of_a_chain_are_its_layers_with_weights() -> None:
    assert PAPER.steps(CHAIN) == (
        Step("a", (Occupant("x", Shape(2, 4, 4)),), Occupant("a", Shape(3, 4, 4))),
        Step("b", (Occupant("a", Shape(3, 2, 2)),), Occupant("b", Shape(5, 2, 2))),
        Step("fc", (Occupant("b", Shape(5)),), Occupant("fc", Shape(7))),
    )


def test_a_pools_output_has_the_bits_of_its_input() -> None:
    assert PAPER.same_bits(CHAIN) == {"x": "x", "a": "a", "pool": "a", "b": "b", "image": "b", "fc": "fc"}


@pytest.mark.parametrize(
    ("activations", "ram"),
    [
        ({}, [32 + 48, 12 + 20, 5 + 7]),
        ({"a": 4}, [32 + 24, 6 + 20, 5 + 7]),
        ({"a": 2, "b": 4}, [32 + 12, 3 + 10, 2.5 + 7]),
        ({"b": 2}, [32 + 48, 12 + 5, 1.25 + 7]),
    ],
)
def test_ram_of_a_chain(activations: dict[str, Bits], ram: list[float]) -> None:
    report = measure(CHAIN, allocation(CHAIN, {}, activations), PAPER)
    assert [step.ram_bytes for step in report.steps] == ram
    assert report.ram_bytes == max(ram)
    assert report.peak_layer == "a"


@pytest.mark.parametrize(
    ("scheme", "weights", "flash"),
    [
        (PER_LAYER, {}, [6 + 4 * 3 + 20, 15 + 4 * 5 + 20, 35 + 4 * 7 + 20]),
        (PER_LAYER_ICN, {}, [6 + 9 * 3 + 12, 15 + 9 * 5 + 12, 35 + 4 * 7 + 20]),
        (PER_CHANNEL, {}, [6 + 10 * 3 + 8, 15 + 10 * 5 + 8, 35 + 7 * 7 + 4]),
        (PER_CHANNEL, {"a": 2, "b": 4, "fc": 2}, [1.5 + 38, 7.5 + 58, 8.75 + 53]),
    ],
)
def test_flash_of_a_chain(scheme: Scheme, weights: dict[str, Bits], flash: list[float]) -> None:
    report = measure(CHAIN, allocation(CHAIN, weights, {}, scheme), PAPER)
    assert [layer.flash_bytes for layer in report.layers] == flash
    assert report.flash_bytes == sum(flash)
    assert [layer.layer for layer in report.layers] == ["a", "b", "fc"]


def test_per_channel_weights_are_not_folded() -> None:
    folded = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.WEIGHTS)
    with pytest.raises(RequestError, match="cannot count batch norm that is folded into per-channel weights"):
        PAPER.parameter_bytes(CHAIN, convolution("a", "x", 3), folded, LayerBits(8, 8), is_last=False)


def add(name: str, *inputs: str) -> Add:
    return Add(name=name, inputs=inputs, output=name)


# What each step reads, writes, and what waits meanwhile; every tensor of one network has 32 elements.
GRAPHS: dict[str, tuple[Network, list[tuple[str, list[str], str, list[str]]]]] = {
    "residual block": (
        network(convolution("a", "x", 2), convolution("b", "a", 2), add("sum", "a", "b"), convolution("z", "sum", 2)),
        [("a", ["x"], "a", []), ("b", ["a"], "b", []), ("sum", ["a", "b"], "sum", []), ("z", ["sum"], "z", [])],
    ),
    "a tensor waits through a branch": (
        network(convolution("a", "x", 2), convolution("b", "a", 2), convolution("c", "b", 2), add("z", "c", "a")),
        [("a", ["x"], "a", []), ("b", ["a"], "b", []), ("c", ["b"], "c", ["a"]), ("z", ["c", "a"], "z", [])],
    ),
    "the input waits": (
        network(convolution("a", "x", 2), convolution("b", "a", 2), add("z", "b", "x")),
        [("a", ["x"], "a", []), ("b", ["a"], "b", ["x"]), ("z", ["b", "x"], "z", [])],
    ),
    "an output lives to the end": (
        network(convolution("a", "x", 2), convolution("b", "a", 2), convolution("z", "b", 2), outputs=("a", "z")),
        [("a", ["x"], "a", []), ("b", ["a"], "b", []), ("z", ["b"], "z", ["a"])],
    ),
    "a tensor added to itself counts once": (
        network(convolution("a", "x", 2), add("z", "a", "a")),
        [("a", ["x"], "a", []), ("z", ["a"], "z", [])],
    ),
    "an activation on its own is a step": (
        network(convolution("a", "x", 2), Activation(name="r", inputs=("a",), output="r"), add("z", "a", "r")),
        [("a", ["x"], "a", []), ("r", ["a"], "r", []), ("z", ["a", "r"], "z", [])],
    ),
}


@pytest.mark.parametrize("form", GRAPHS)
def test_live_tensors_of_a_graph(form: str) -> None:
    whole, expected = GRAPHS[form]
    steps = [
        (
            step.layer,
            [each.tensor for each in step.inputs],
            step.output.tensor,
            [each.tensor for each in step.waiting],
        )
        for step in PAPER.steps(whole)
    ]
    assert steps == expected
    report = measure(whole, allocation(whole, {}, {}), PAPER)
    assert [step.ram_bytes for step in report.steps] == [
        32 * (len(inputs) + 1 + len(waiting)) for _, inputs, _, waiting in expected
    ]


def test_concat_in_a_graph_counts_its_parts_and_the_whole() -> None:
    whole = network(
        convolution("a", "x", 2),
        convolution("b", "a", 1),
        Concat(name="j", inputs=("a", "b"), output="j"),
        FullyConnected(name="fc", inputs=("j",), output="fc", output_channels=3),
    )
    report = measure(whole, allocation(whole, {}, {"a": 4, "j": 2}), PAPER)
    assert [(step.input_bytes, step.output_bytes, step.waiting_bytes) for step in report.steps] == [
        (32, 16, 0), (16, 16, 0), (32, 12, 0), (12, 3, 0),
    ]  # fmt: skip


def test_graphs_give_each_tensor_its_own_bits() -> None:
    whole = GRAPHS["residual block"][0]
    assert PAPER.same_bits(whole) == {tensor: tensor for tensor in whole.tensors}


@given(st.data())
def test_a_graphs_steps_against_live_ranges(data: st.DataObject) -> None:
    """Second statement: a tensor takes RAM from the step that writes it to the last that reads it."""
    layers: list[Layer] = []
    for place in range(data.draw(st.integers(2, 8))):
        earlier = ["x", *(layer.output for layer in layers)]
        inputs = data.draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=3, unique=True))
        name = f"t{place}"
        layers.append(convolution(name, inputs[0], 2) if len(inputs) == 1 else add(name, *inputs))
    read = {tensor for layer in layers for tensor in layer.inputs}
    outputs = tuple(layer.output for layer in layers if layer.output not in read)
    whole = network(*layers, outputs=outputs)
    if whole.is_chain or not whole.weight_layers:
        return
    bits: dict[str, Bits] = {tensor: data.draw(st.sampled_from((8, 4, 2))) for tensor in whole.tensors}
    report = measure(whole, allocation(whole, {}, bits), PAPER)
    for step, taken in enumerate(report.steps):
        expected = 0.0
        for tensor in whole.tensors:
            written = next((place for place, layer in enumerate(layers) if layer.output == tensor), 0)
            reads = [place for place, layer in enumerate(layers) if tensor in layer.inputs]
            last = len(layers) if tensor in outputs else max(reads, default=len(layers))
            if written <= step <= last:
                expected += 32 * bits[tensor] / 8
        assert taken.ram_bytes == expected


def test_nothing_to_fit() -> None:
    for whole in (network(Activation(name="z", inputs=("x",), output="z")), network(add("z", "x", "x"))):
        with pytest.raises(InvalidNetwork, match="no weights to choose bits for"):
            PAPER.steps(whole)


def test_names_of_rule_books() -> None:
    assert accounting_named("paper") is ACCOUNTINGS["paper"]
    unknown: Any = "Paper" * 100
    with pytest.raises(RequestError, match=r"unknown byte accounting.*paper") as caught:
        accounting_named(unknown)
    assert len(str(caught.value)) < 200
