"""Options of reading: what a text may be, what a file allows, and which network they identify."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from network.errors import RequestError
from network.json_reading.description import write_json
from network.layers import Add, FullyConnected, Shape
from network.network import Network
from network.reading import read_network
from network.reading_options import AS_IN_FILE, Extents, ReadingOptions
from tests.api.small_files import tiny_json
from tests.builders import network_of

FIXED: dict[str, tuple[str, Extents, Extents]] = {
    # the option, the extents of the file, the extents that are read
    "without the batch": ("40,98", (None, 40, None), (None, 40, 98)),
    "with the batch": ("1,40,98", (None, 40, None), (1, 40, 98)),
    "with x": ("1x40x98", (None, None, None), (1, 40, 98)),
    "with a name": ("a=1x40x98", (None, 40, None), (1, 40, 98)),
    "a fixed batch stays": ("1,40,98", (8, 40, None), (8, 40, 98)),
    "a fixed batch may be given": ("8,40,98", (8, 40, None), (8, 40, 98)),
    "a fixed file": ("40,98", (1, 40, 98), (1, 40, 98)),
    "a vector without a batch": ("40", (None,), (40,)),
    "no shape in the file": ("1,40,98", (), (1, 40, 98)),
}

CONTRADICTIONS: dict[str, tuple[str, Extents, str]] = {
    "another fixed extent": ("1,41,98", (None, 40, None), "fixes the extents ?,40,?"),
    "another fixed extent, without the batch": ("41,98", (None, 40, None), "fixes the extents ?,40,?"),
    "too many extents": ("1,1,40,98", (None, 40, None), "expected as many extents, or one less"),
    "too few extents": ("98", (None, 40, None), "expected as many extents, or one less"),
    "a batch": ("2,40,98", (None, 40, None), "expected 1 as the first extent"),
    "another input": ("b=1,40,98", (None, 40, None), "one of the inputs of the file: 'a'"),
}

BAD: dict[str, tuple[Sequence[str], Sequence[str], str]] = {
    "no number": (["1,time,98"], [], "expected extents such as 1,40,98"),
    "nothing": ([""], [], "expected extents such as 1,40,98"),
    "a negative extent": (["1,-1,98"], [], "expected extents such as 1,40,98"),
    "an extent of 0": (["1,0,98"], [], "whole numbers from 1"),
    "a huge extent": (["1,9999999999"], [], "whole numbers from 1"),
    "nine dimensions": (["1,1,1,1,1,1,1,1,1"], [], "1 to 8"),
    "one input twice": (["a=1,2", "a=1,2"], [], "another input"),
    "two shapes without names": (["1,2", "1,3"], [], "another input"),
    "a shape without a name": (["1,2", "b=1,3"], [], "another input"),
    "too many shapes": ([f"a{number}=1,2" for number in range(17)], [], "at most 16"),
    "an output twice": ([], ["y", "y"], "each once"),
    "an output that is not printable": ([], ["a\nb"], "printable"),
    "an output without a name": ([], [""], "printable"),
    "too many outputs": ([], [str(number) for number in range(101)], "at most 100"),
}


@pytest.mark.parametrize("case", FIXED)
def test_open_extents_are_fixed(case: str) -> None:
    text, in_file, expected = FIXED[case]
    assert ReadingOptions.of_texts([text]).fixed({"a": in_file}) == {"a": expected}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_to_the_file_is_refused(case: str) -> None:
    text, in_file, message = CONTRADICTIONS[case]
    with pytest.raises(RequestError) as caught:
        ReadingOptions.of_texts([text]).fixed({"a": in_file})
    assert message in str(caught.value)


def test_each_of_several_inputs_has_its_own_shape() -> None:
    inputs: dict[str, Extents] = {"a=b": (None, 3), "b": (None, None)}
    assert ReadingOptions.of_texts(["a=b=1x3", "b=5"]).fixed(inputs) == {"a=b": (1, 3), "b": (None, 5)}
    with pytest.raises(RequestError, match="no input by name; expected NAME=SHAPE"):
        ReadingOptions.of_texts(["1,3"]).fixed(inputs)


@pytest.mark.parametrize("case", BAD)
def test_an_invalid_option_is_refused(case: str) -> None:
    shapes, outputs, message = BAD[case]
    with pytest.raises(RequestError) as caught:
        ReadingOptions.of_texts(shapes, outputs)
    assert message in str(caught.value)


def test_options_identify_another_network_of_the_same_file() -> None:
    digest, other = "0" * 64, "1" * 64
    options = [
        AS_IN_FILE,
        ReadingOptions.of_texts(["1,2"]),
        ReadingOptions.of_texts(["a=1,2"]),
        ReadingOptions.of_texts([], ["a"]),
        ReadingOptions.of_texts([], ["a", "b"]),
        ReadingOptions.of_texts(["1,2"], ["a"]),
    ]
    assert AS_IN_FILE.identity(digest) == digest
    assert len({each.identity(of) for each in options for of in (digest, other)}) == 2 * len(options)
    for each in options:
        assert ReadingOptions.of_texts(*each.texts()) == each
        assert len(each.identity(digest)) == len(digest)


def test_a_json_description_ends_at_a_tensor() -> None:
    network = read_network(tiny_json(), "tiny", options=ReadingOptions(outputs=("first",)))
    assert network.outputs == ("first",)
    assert [layer.output for layer in network.layers] == ["first"]


def test_an_input_that_no_layer_reads_any_more_is_left_out() -> None:
    layers = [
        FullyConnected(name="first", inputs=("input",), output="a", output_channels=2),
        FullyConnected(name="second", inputs=("other",), output="b", output_channels=2),
        Add(name="sum", inputs=("a", "b"), output="c"),
    ]
    whole = network_of(layers, Shape(3), other_inputs={"other": Shape(4)})
    content = write_json(whole, with_weights=False).encode()
    assert read_network(content, "two").input_names == ("input", "other")
    cut = read_network(content, "two", options=ReadingOptions(outputs=("b",)))
    assert cut.input_names == ("other",)
    assert cut.tensors == ("other", "b")


def test_a_json_description_keeps_its_shapes_and_names() -> None:
    def read(shapes: Sequence[str] = (), outputs: Sequence[str] = ()) -> Network:
        return read_network(tiny_json(), "tiny", options=ReadingOptions.of_texts(shapes, outputs))

    with pytest.raises(RequestError, match="JSON description, which fixes every shape"):
        read(["1,1,4,4"])
    with pytest.raises(RequestError, match=r"close names are 'first'.*the outputs are 'scores'"):
        read([], ["firsts"])
