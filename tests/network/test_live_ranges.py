"""Live ranges of tensors, on networks small enough to be read off, and against a second statement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from network.layers import Activation, Add, Layer, Shape
from network.live_ranges import live_ranges, live_ranges_of
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from tests.builders import network_of

RESIDUAL = (
    Activation(name="a", inputs=("input",), output="a"),
    Activation(name="b", inputs=("a",), output="b"),
    Add(name="sum", inputs=("b", "input"), output="sum"),
    Activation(name="fc", inputs=("sum",), output="fc"),
)


def network(*layers: Layer, outputs: tuple[str, ...] = ()) -> Network:
    return network_of(layers, Shape(2), outputs=outputs)


def test_the_example_of_the_docstring() -> None:
    expected = {"input": range(3), "a": range(2), "b": range(1, 3), "sum": range(2, 4), "fc": range(3, 4)}
    found = live_ranges(network(*RESIDUAL))
    assert found == expected
    assert list(found) == list(expected)
    assert live_ranges(network(*RESIDUAL), reuses_input=False) == expected | {"input": range(4)}


def test_outputs_are_alive_to_the_end() -> None:
    assert live_ranges(network(*RESIDUAL, outputs=("a", "fc")))["a"] == range(4)


def test_an_input_without_reader_is_alive_to_the_end() -> None:
    constant = network_of([Activation(name="a", inputs=("input",), output="a")], Shape(2), outputs=("input", "a"))
    assert live_ranges(constant)["input"] == range(1)


def test_every_input_is_alive_from_the_start_to_its_last_reader() -> None:
    inputs = tuple(NetworkInput(name, Shape(2), InputFormat((2,))) for name in ("x", "late", "unread"))
    layers = (
        Activation(name="a", inputs=("x",), output="a"),
        Activation(name="b", inputs=("a",), output="b"),
        Add(name="sum", inputs=("b", "late"), output="sum"),
        Activation(name="end", inputs=("sum",), output="end"),
    )
    two = Network("two", inputs, layers, ("end", "unread"))
    expected = {
        "x": range(1), "late": range(3), "unread": range(4), "a": range(2), "b": range(1, 3), "sum": range(2, 4),
        "end": range(3, 4),
    }  # fmt: skip
    assert live_ranges(two) == expected
    assert list(two.shapes)[:3] == ["x", "late", "unread"]
    kept = live_ranges(two, reuses_input=False)
    assert kept == expected | {"x": range(4), "late": range(4)}


def test_some_layers_of_a_network() -> None:
    middle = RESIDUAL[1:3]
    assert live_ranges_of(middle, ["a", "input", "other"]) == {
        "a": range(1), "input": range(2), "other": range(0), "b": range(2), "sum": range(1, 2),
    }  # fmt: skip
    assert live_ranges_of(middle, ["a", "input"], {"a"})["a"] == range(2)
    assert live_ranges_of((), ["a"], {"a"}) == {"a": range(0)}


@given(st.data())
def test_against_a_second_statement(data: st.DataObject) -> None:
    layers: list[Layer] = []
    for place in range(data.draw(st.integers(1, 8))):
        earlier = ["input", *(layer.output for layer in layers)]
        inputs = data.draw(st.lists(st.sampled_from(earlier), min_size=2, max_size=3))
        layers.append(Add(name=f"t{place}", inputs=tuple(inputs), output=f"t{place}"))
    read = {tensor for layer in layers for tensor in layer.inputs}
    outputs = [layer.output for layer in layers if layer.output not in read]
    reuses_input = data.draw(st.booleans())
    whole = network_of(layers, Shape(2), outputs=outputs)
    ranges = live_ranges(whole, reuses_input=reuses_input)
    assert tuple(ranges) == whole.tensors
    for tensor, found in ranges.items():
        written = next((place for place, layer in enumerate(layers) if layer.output == tensor), 0)
        reads = [place for place, layer in enumerate(layers) if tensor in layer.inputs]
        is_kept = tensor in outputs or not reads or (tensor == "input" and not reuses_input)
        for step in range(len(layers) + 1):
            is_alive = written <= step and (step < len(layers) if is_kept else step <= max(reads))
            assert (step in found) == is_alive
