"""Test damaged, hostile and huge files: each gives a `NetworkError` quickly, in little memory, and opens no file."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from network.errors import InvalidNetwork, NetworkError, UnreadableFile, UnsupportedOperator
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import model, node, positive, random, read


def small() -> onnx.ModelProto:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w b", "c", pads=[1, 1, 0, 0], strides=[2, 2]),
        node("BatchNormalization", "c b b b v", "n"),
        node("Clip", "n low high", "r"),
        node("Shape", "r", "shape"),
        node("Gather", "shape zero", "batch"),
        node("Concat", "batch rest", "s", axis=0),
        node("Reshape", "r s", "f"),
        node("Gemm", "f m", "g", transB=1),
        node("Softmax", "g", "y"),
    ]
    constants = {
        "w": random(4, 3, 3, 3), "b": positive(4), "v": positive(4), "low": np.float32(0), "high": np.float32(6),
        "zero": np.array([0]), "rest": np.array([-1]), "m": random(5, 64),
    }  # fmt: skip
    return model(nodes, ("N", 8, 8, 3), constants)


CONTENT = small().SerializeToString()


@contextmanager
def soon_and_small(seconds: float = 2.0, megabytes: float = 32.0) -> Iterator[None]:
    tracemalloc.start()
    began = time.process_time()
    try:
        yield
    finally:
        took = time.process_time() - began
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert took < seconds
    assert peak < megabytes * 1e6


def test_the_small_model_is_whole() -> None:
    assert len(read_network(CONTENT, "small").layers) == 2


@pytest.mark.parametrize(
    "content", [b"", b" \n\t", b"\0" * 100, b"ELF", b"<html>", b"PK\3\4" + b"\0" * 60, b"\xff" * 50]
)
def test_content_that_is_not_a_network(content: bytes) -> None:
    with pytest.raises(UnreadableFile):
        read_network(content, "none")


@pytest.mark.parametrize("kept", range(0, len(CONTENT), 97))
def test_truncated(kept: int) -> None:
    with pytest.raises(UnreadableFile):
        read_network(CONTENT[:kept], "truncated")


def outcome(content: bytes) -> str:
    """Return the name of the network that is read, or the message of the `NetworkError`; other errors are raised."""
    try:
        return read_network(content, "changed").name
    except NetworkError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    content = bytearray(CONTENT)
    for place, value in changes:
        content[place] = value
    assert "\n" not in outcome(bytes(content))


STRUCTURE = next(place for place in range(len(CONTENT)) if CONTENT[place:].startswith(b"Softmax")) + 40


@settings(max_examples=300, deadline=None)
@given(st.integers(0, STRUCTURE), st.integers(0, 3), st.binary(max_size=4))
def test_inserted_and_removed_bytes(place: int, taken: int, put: bytes) -> None:
    content = CONTENT[:place] + put + CONTENT[place + taken :]
    assert "\n" not in outcome(content)


def test_external_data_is_refused_and_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = small()
    onnx.external_data_helper.convert_model_to_external_data(
        built, location="weights.bin", size_threshold=0, all_tensors_to_one_file=True
    )
    onnx.save(built, str(tmp_path / "external.onnx"))
    content = (tmp_path / "external.onnx").read_bytes()

    def no_opening(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.open", no_opening)
    monkeypatch.setattr("io.open", no_opening)
    with pytest.raises(UnreadableFile, match=r"another file.*external_data=False"):
        read_network(content, "external")


def test_external_data_in_an_attribute() -> None:
    tensor = TensorProto(name="t", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(UnreadableFile, match="another file"):
        read(model([node("Constant", "", "k", value=tensor), node("Add", "x k", "y")]))


@pytest.mark.parametrize("dims", [[10**12], [2**31, 2**31, 2**31], [4, 3, 3, 4], [-1], [4, 3, 3, 3, 0]])
def test_dimensions_that_do_not_match_the_data(dims: list[int]) -> None:
    built = small()
    del built.graph.initializer[0].dims[:]
    built.graph.initializer[0].dims.extend(dims)
    with soon_and_small(), pytest.raises(InvalidNetwork, match="'w'"):
        read(built)


@pytest.mark.parametrize("dims", [("N", 2**20, 2**20, 3), ("N", 2**62, 2, 1), ("N", 2**31)])
def test_huge_input(dims: tuple[int | str, ...]) -> None:
    with soon_and_small(), pytest.raises(NetworkError, match="microcontroller"):
        read(model([node("Relu", "x", "y")], dims))


def test_huge_padding() -> None:
    pads = [2**30] * 4
    with soon_and_small(), pytest.raises(NetworkError, match="microcontroller"):
        read(model([node("Conv", "x w", "y", pads=pads)], constants={"w": random(1, 3, 1, 1)}))


def test_scaling_of_more_channels_than_there_are() -> None:
    nodes = [node("Relu", "x", "r"), node("Mul", "r k", "y")]
    with soon_and_small(), pytest.raises(UnsupportedOperator, match="channels"):
        read(model(nodes, ("N", 2**30), {"k": np.float32(2)}))


def test_constant_of_a_huge_shape() -> None:
    nodes = [node("ConstantOfShape", "s", "k"), node("Add", "x k", "y")]
    with soon_and_small(), pytest.raises(UnsupportedOperator, match="elements"):
        read(model(nodes, constants={"s": np.array([2**20, 2**20])}))


def test_constants_that_broadcast_to_a_huge_one() -> None:
    nodes = [node("Mul", "a b", "k"), node("Add", "x k", "y")]
    constants = {"a": random(2**14, 1), "b": random(1, 2**14)}
    with soon_and_small(), pytest.raises(UnsupportedOperator, match="elements"):
        read(model(nodes, constants=constants))


def test_constants_that_double_at_every_node() -> None:
    nodes = [node("Concat", f"k{place} k{place}", f"k{place + 1}", axis=0) for place in range(60)]
    with soon_and_small(), pytest.raises(UnsupportedOperator, match="elements"):
        read(model([*nodes, node("Add", "x k60", "y")], constants={"k0": random(64)}))


def test_one_weight_tensor_for_a_thousand_layers() -> None:
    nodes = [node("Gemm", f"{f't{place}' if place else 'x'} w", f"t{place + 1}", transB=1) for place in range(1000)]
    with soon_and_small(), pytest.raises(UnsupportedOperator, match="elements"):
        read(model(nodes, ("N", 300), {"w": random(300, 300)}, outputs="t1000"))


def test_a_huge_list_of_axes_read_by_many_nodes() -> None:
    nodes = [node("Unsqueeze", "x a", f"u{place}") for place in range(500)]
    with soon_and_small(), pytest.raises(InvalidNetwork, match="axes"):
        read(model([*nodes, node("Relu", "u0", "y")], constants={"a": np.ones(500_000, np.int64)}))


@pytest.mark.parametrize("order", [1, -1])
def test_ten_thousand_nodes(order: int) -> None:
    nodes = []
    for block in range(2500):
        tensor = f"r{block}" if block else "x"
        nodes += [
            node("Conv", f"{tensor} w", f"c{block}"),
            node("Mul", f"c{block} k", f"m{block}"),
            node("Add", f"m{block} {tensor}", f"a{block}"),
            node("Relu", f"a{block}", f"r{block + 1}"),
        ]
    for each in nodes:
        each.name = "same"
    built = model(nodes[::order], constants={"w": random(3, 3, 1, 1), "k": positive(3, 1, 1)}, outputs="r2500")
    began = time.process_time()
    network = read(built)
    assert time.process_time() - began < 5
    assert len(network.layers) == 5000


def test_a_long_cycle() -> None:
    nodes = [node("Relu", f"r{place}", f"r{(place + 1) % 10_000}") for place in range(10_000)]
    with soon_and_small(seconds=10, megabytes=200), pytest.raises(InvalidNetwork, match="cycle"):
        read(model([*nodes, node("Add", "x r0", "y")]))


def test_names_that_are_not_text() -> None:
    content = model([node("Relu", "x", "nameless")], outputs="nameless").SerializeToString()
    with pytest.raises(UnreadableFile):
        read_network(content.replace(b"nameless", b"\xff\xfe\xfd\xfc\xff\xff\xff\xff"), "bad")


def test_a_name_of_a_megabyte() -> None:
    built = model([node("Relu", "x", "y" * 1_000_000)], outputs="y" * 1_000_000)
    with pytest.raises(UnreadableFile) as caught:
        read(built)
    assert len(str(caught.value)) < 200


def test_the_input_must_be_a_tensor() -> None:
    built = model([node("Relu", "x", "y")])
    built.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8]))
    with pytest.raises(UnsupportedOperator, match="tensor"):
        read(built)
