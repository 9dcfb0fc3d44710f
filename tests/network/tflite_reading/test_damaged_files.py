"""Damaged and hostile TFLite files: read, or refused with an error of ours, quickly and in bounded memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from typing import Final

import numpy as np
import pytest

from network.errors import BitbudgetError, InvalidNetwork, UnreadableFile, UnsupportedOperator
from network.reading import read_network
from tests.network.tflite_reading.tflite_models import SHARED, Op, T, build, constant

MUTANTS: Final = 100
SECONDS: Final = 2.0
"""Largest processor time of one file."""
FILES: Final = ("micro_speech_int8", "hello_world_float", "kws_int8")

WEIGHT = constant(np.eye(4))


def small(**changes: object) -> bytes:
    """A fully connected layer, with changes of its weight tensor."""
    weight = T(**{"dims": (4, 4), "data": WEIGHT.data, **changes})  # type: ignore[arg-type]  # fields of T by name
    return build([T((1, 4)), weight, T((1, 4))], [Op("FULLY_CONNECTED", (0, 1), (2,))])


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    """A copy with a few damaged bytes, offsets or counts, or a part cut off, doubled or zeroed."""
    changed = bytearray(content)
    # Most tables are at the ends of a file, and most of the rest are weights, whose damage cannot be seen.
    tables = [int(rng.integers(0, len(content))), int(rng.integers(0, min(len(content), 2000))),
              int(rng.integers(max(0, len(content) - 12_000), len(content)))]  # fmt: skip
    kind = rng.integers(0, 6)
    for _ in range(int(rng.integers(1, 6))):
        at = tables[int(rng.integers(0, 3))] // 4 * 4
        at = min(at, len(changed) - 8)
        if kind == 0:
            changed[at + int(rng.integers(0, 4))] = int(rng.integers(0, 256))
        elif kind == 1:
            extreme = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, len(content), len(content) * 4)
            changed[at : at + 4] = struct.pack("<I", int(rng.choice(extreme)))
        elif kind == 2:
            (word,) = struct.unpack_from("<I", changed, at)
            changed[at : at + 4] = struct.pack("<I", (word + int(rng.integers(-64, 65))) % 2**32)
        elif kind == 3:
            other = int(rng.integers(0, len(content) - 4))
            changed[at : at + 4] = content[other : other + 4]
        elif kind == 4:
            size = int(rng.integers(4, 64))
            changed[at : at + size] = bytes(size)
        else:
            del changed[max(8, len(changed) - int(rng.integers(1, len(changed)))) :]
            break
    changed[4:8] = b"TFL3"
    return bytes(changed)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published networks are beside the project, not in it")
@pytest.mark.parametrize("name", FILES)
def test_mutants_are_read_or_refused(name: str) -> None:
    content = (SHARED / f"{name}.tflite").read_bytes()
    rng = np.random.default_rng(11)
    refused = 0
    for number in range(MUTANTS):
        damaged = mutant(content, rng)
        began = time.process_time()
        try:
            read_network(damaged, "mutant")
        except BitbudgetError:
            refused += 1
        assert time.process_time() - began < SECONDS, number
    assert refused > MUTANTS // 5


@pytest.mark.parametrize("cut", range(8, 600, 31))
def test_truncated_files_are_refused(cut: int) -> None:
    content = small()
    with pytest.raises(UnreadableFile, match="is not a complete TFLite file"):
        read_network(content[: min(cut, len(content) - 100)], "cut")


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (small(dims=(4, 5)), UnreadableFile, "has 64 bytes; expected 20 elements of FLOAT32"),
        (small(dims=(2**30, 2**30)), UnreadableFile, "elements of FLOAT32"),
        (small(dims=(2,) * 9), UnreadableFile, "9 dimensions"),
        (small(dims=(16,)), InvalidNetwork, r"weights of the extents \[16\]"),
        (small(dims=(0, 4), data=np.zeros((0, 4), np.float32)), InvalidNetwork, "neither a constant nor written"),
        (small(dims=(4, 4), data=np.full((4, 4), np.nan, np.float32)), InvalidNetwork, "NaN"),
        (small(dims=(-1, 4)), UnsupportedOperator, "open dimension"),
        (small(kind="INT8", data=np.zeros((4, 4), np.int8)), UnsupportedOperator, "integers without a scale"),
        (small(kind="INT8", data=np.zeros((4, 4), np.int8), scales=(1.0, 2.0)), InvalidNetwork, "2 scales"),
        (small(kind="INT8", data=np.zeros((4, 4), np.int8), scales=(-1.0,)), UnreadableFile, "negative"),
        (small(kind="COMPLEX64"), UnsupportedOperator, "element type COMPLEX64"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (0,), (7,))]), UnreadableFile, "tensor 7 of 2"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (1,), (1,))]), InvalidNetwork, "neither a constant nor written"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (0,), (1,))] * 2), InvalidNetwork, "written twice"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (), (1,))]), InvalidNetwork, "has 0 inputs"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (-1,), (1,))]), InvalidNetwork, "does not have the input number 1"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (0,), ())]), InvalidNetwork, "neither a constant nor written"),
        (
            build([T((1, 4)), WEIGHT, T((1, 4))], [Op("RELU", (0,), (-1,)), Op("FULLY_CONNECTED", (0, 1, -1), (2,))]),
            InvalidNetwork,
            "has no output",
        ),
        (build([T((1, 4)), T((1, 5))], [Op("RELU", (0,), (1,))]), InvalidNetwork, r"extents \[1, 5\] in the file"),
        (build([T((1, 4)), T((1, 4))], []), InvalidNetwork, "has 0 operators"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (0,), (1,))], inputs=(-1,)), InvalidNetwork, "input is a constant"),
        (build([T((1, 4)), T((1, 4))], [Op("RELU", (0,), (1,))], outputs=(-1,)), InvalidNetwork, "output number -1"),
        (build([T((1, 0)), T((1, 0))], [Op("RELU", (0,), (1,))]), InvalidNetwork, "extents of 1 or more"),
        (build([T((1, 2**31 - 1, 2**31 - 1)), T((1, 1))], [Op("RELU", (0,), (1,))]), InvalidNetwork, "in the file"),
    ],
)
def test_contradictions_are_refused(content: bytes, error: type[BitbudgetError], text: str) -> None:
    with pytest.raises(error, match=text):
        read_network(content, "contradiction")


def test_shared_constants_do_not_multiply_in_memory() -> None:
    weight = constant(np.ones((1024, 1024), np.float32), "int8", scales=(0.5,))
    tensors, operators = [T((1, 1024)), weight], []
    for index in range(2, 202):
        tensors.append(T((1, 1024)))
        operators.append(Op("FULLY_CONNECTED", (0 if index == 2 else index - 1, 1), (index,)))
    content = build(tensors, operators)
    tracemalloc.start()
    with pytest.raises(UnsupportedOperator, match="do not share constants"):
        read_network(content, "shared")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_tables_that_share_one_text_are_bounded() -> None:
    tensors = [T((1, 4), name="n" * 100_000) for _ in range(200)]
    content = build(tensors, [Op("RELU", (index,), (index + 1,)) for index in range(199)])
    assert len(content) < 200_000
    with pytest.raises(UnreadableFile, match="share data so often"):
        read_network(content, "shared")


def test_long_names_are_cut() -> None:
    content = build([T((1, 4)), T((1, 4), name="n" * 100_000)], [Op("RELU", (0,), (1,))])
    assert read_network(content, "long name").tensors[1] == "n" * 200
