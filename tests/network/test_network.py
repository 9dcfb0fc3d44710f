"""The network as data: schedules, dangling tensors, readers, and how samples become the input."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from network.errors import InvalidNetwork
from network.layers import Activation, Add, Convolution, Layer, Shape
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from network.schedule_order import in_schedule_order


def step(name: str, *inputs: str, output: str | None = None) -> Layer:
    """An activation of one input or a sum of several; it writes a tensor of its own name."""
    kind = Activation if len(inputs) == 1 else Add
    return kind(name=name, inputs=inputs, output=output or name)


IMAGE = Shape(2, 3, 4)
INPUTS = (NetworkInput("x", IMAGE, InputFormat(tuple(IMAGE))),)


def network(*layers: Layer, outputs: tuple[str, ...] = ("z",), shape: Shape = IMAGE) -> Network:
    return Network(
        name="n", inputs=(NetworkInput("x", shape, InputFormat(tuple(shape))),), layers=layers, outputs=outputs
    )


def test_tensors_in_the_order_in_which_they_are_written() -> None:
    built = network(step("a", "x"), step("b", "a"), step("z", "a", "b"))
    assert built.tensors == ("x", "a", "b", "z")
    assert {tensor: [layer.name for layer in layers] for tensor, layers in built.readers().items()} == {
        "x": ["a"], "a": ["b", "z"], "b": ["z"], "z": [],
    }  # fmt: skip
    assert not built.is_chain


@pytest.mark.parametrize(
    ("layers", "outputs", "is_chain"),
    [
        ((step("a", "x"), step("z", "a")), ("z",), True),
        ((step("a", "x"), step("z", "a")), ("a", "z"), False),
        ((step("a", "x"), step("z", "x")), ("a", "z"), False),
        ((step("z", "x", "x"),), ("z",), False),
    ],
)
def test_chains(layers: tuple[Layer, ...], outputs: tuple[str, ...], is_chain: bool) -> None:
    assert network(*layers, outputs=outputs).is_chain == is_chain


REFUSED = {
    "no layer": ((), ("z",), "no layer"),
    "no output": ((step("z", "x"),), (), "no output"),
    "unknown output": ((step("z", "x"),), ("y",), "'y'"),
    "dangling input": ((step("z", "nowhere"),), ("z",), "'z' reads tensor 'nowhere'"),
    "read before it is written": ((step("z", "a"), step("a", "x")), ("z",), "not written before"),
    "written twice": ((step("a", "x", output="z"), step("z", "x")), ("z",), "written already"),
    "writes the input": ((step("x", "x"), step("z", "x")), ("z",), "written already"),
    "dangling output": ((step("a", "x"), step("z", "x")), ("z",), "layer 'a' is dangling"),
    "two names": ((step("a", "x"), step("a", "a", output="z")), ("z",), "two layers are named 'a'"),
}


@pytest.mark.parametrize("form", REFUSED)
def test_refused(form: str) -> None:
    layers, outputs, said = REFUSED[form]
    with pytest.raises(InvalidNetwork) as caught:
        network(*layers, outputs=outputs)
    assert said in str(caught.value)


@pytest.mark.parametrize("shape", [Shape(0, 1, 1), Shape(2**16, 2**15, 1), Shape(2**40, 2**40, 2**40)])
def test_absurd_inputs(shape: Shape) -> None:
    with pytest.raises(InvalidNetwork, match="input"):
        network(step("z", "x"), shape=shape)


def test_absurd_tensors_name_the_layer() -> None:
    wide = Convolution(name="wide", inputs=("x",), output="z", output_channels=2**30, kernel=(1, 1))
    with pytest.raises(InvalidNetwork, match="'wide'"):
        network(wide)


@given(st.permutations([step("a", "x"), step("b", "a"), step("c", "a"), step("d", "b", "c"), step("e", "d", "x")]))
def test_any_order_is_put_right(layers: list[Layer]) -> None:
    written = {"x"}
    ordered = in_schedule_order(layers, ["x"])
    for layer in ordered:
        assert set(layer.inputs) <= written
        written.add(layer.output)
    assert len(ordered) == len(layers)
    names = [layer.name for layer in layers]
    if names in (["a", "b", "c", "d", "e"], ["a", "c", "b", "d", "e"]):
        assert [layer.name for layer in ordered] == names


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([step("a", "b"), step("b", "a")], "cycle"),
        ([step("a", "x", "a")], "cycle"),
        ([step("a", "x"), step("b", "a", "d"), step("c", "b"), step("d", "c")], "cycle"),
        ([step("a", "y")], "'y', which no layer writes"),
        ([step("a", "x", output="t"), step("b", "x", output="t")], "'a' and by layer 'b'"),
    ],
)
def test_no_order(layers: list[Layer], said: str) -> None:
    with pytest.raises(InvalidNetwork) as caught:
        in_schedule_order(layers, ["x"])
    assert said in str(caught.value)


def test_a_chain_deeper_than_pythons_stack() -> None:
    layers = [step(str(place), str(place - 1) if place else "x") for place in range(20_000)]
    assert in_schedule_order(reversed(layers), ["x"]) == tuple(layers)


def test_channels_last_samples() -> None:
    samples = np.arange(24, dtype=np.uint8).reshape(2, 2, 3, 2)
    form = InputFormat((2, 3, 2), channels_last=True, subtract=(1.0, 2.0), multiply=(2.0,))
    values = form.to_input_tensor(samples, Shape(2, 2, 3))
    assert values.dtype == np.float32
    assert values.shape == (2, 2, 2, 3)
    for image, row, column, channel in np.ndindex(samples.shape):
        assert (
            values[image, channel, row, column] == (float(samples[image, row, column, channel]) - (1, 2)[channel]) * 2
        )


def test_samples_as_they_are() -> None:
    samples = np.arange(12, dtype=np.float32).reshape(2, 6)
    form = InputFormat((6,))
    assert form.is_normalised_already
    np.testing.assert_array_equal(form.to_input_tensor(samples, Shape(1, 2, 3)), samples.reshape(2, 1, 2, 3))


def test_the_order_of_many_layers_is_found_fast() -> None:
    layers = [step(str(place), str(place - 1) if place else "x") for place in range(100_000)]
    start = time.perf_counter()
    assert in_schedule_order(reversed(layers), ["x"]) == tuple(layers)
    assert time.perf_counter() - start < 10


def test_of_the_layers_that_can_run_the_first_comes_next() -> None:
    layers = [step("a", "x"), step("d", "b"), step("c", "a"), step("b", "a")]
    assert [layer.name for layer in in_schedule_order(layers, ["x"])] == ["a", "c", "b", "d"]


def test_the_error_names_the_layers_of_a_cycle() -> None:
    layers = [step("a", "x"), step("b", "a", "d"), step("c", "b"), step("d", "c"), step("e", "d")]
    with pytest.raises(InvalidNetwork, match="on a cycle: ") as caught:
        in_schedule_order(layers, ["x"])
    path = str(caught.value).split("cycle: ")[1].split(";")[0].replace("'", "").split(" -> ")
    assert path[0] == path[-1]
    assert set(path) == {"b", "c", "d"}
    around = "bcd" * 2
    assert all(first + second in around for first, second in pairwise(path))
    ring = [step(f"r{place}", f"r{(place - 1) % 9}") for place in range(9)]
    with pytest.raises(InvalidNetwork, match=r"on a cycle: ('r\d' -> ){5}\.\.\. -> 'r\d'; expected"):
        in_schedule_order(ring, ["x"])


def test_ranges_of_tensors_are_kept() -> None:
    layers = (step("a", "x", output="z"),)
    assert Network("n", INPUTS, layers, ("z",)).ranges == {}
    read = Network("n", INPUTS, layers, ("z",), ranges={"z": (-1.0, 2.0)})
    assert read.ranges == {"z": (-1.0, 2.0)}


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"nowhere": (-1.0, 1.0)}, "names no tensor of the network"),
        ({"z": (1.0, 2.0)}, "finite interval around zero"),
        ({"z": (0.0, 0.0)}, "finite interval around zero"),
        ({"z": (0.0, float("inf"))}, "finite interval around zero"),
        ({"z": (float("nan"), 1.0)}, "finite interval around zero"),
    ],
)
def test_ranges_are_checked(ranges: dict[str, tuple[float, float]], said: str) -> None:
    with pytest.raises(InvalidNetwork, match=said):
        Network("n", INPUTS, (step("a", "x", output="z"),), ("z",), ranges=ranges)
