"""Damaged network files are read, or refused with an error of ours, in 2 s and 300 MB, each in a process of its own."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from api.execution.task_messages import Ending
from network.errors import NetworkError
from network.json_reading.description import write_json
from network.reading import read_network
from tests.blocking_pool import BlockingPool
from tests.network.json_mutants import JSON_DAMAGES
from tests.network.mutants import DAMAGES
from tests.network.onnx_reading.onnx_models import model, node, positive, random
from tests.network.tflite_reading.tflite_models import Op, T, build, constant

ROOT: Final = Path(__file__).parents[2]
SHARED: Final = ROOT.parent / "shared" / "networks"

FEW: Final = 25
MANY: Final = 500
SECONDS: Final = 2.0
"""Largest processor time of one file."""
GROWTH_BYTES: Final = 300_000_000
"""Largest growth of the resident memory of the process that reads one file."""
MAX_FILE_BYTES: Final = 700_000
ALL_DAMAGES: Final = DAMAGES | {"json": JSON_DAMAGES}
KINDS: Final = [(form, kind) for form, damages in ALL_DAMAGES.items() for kind in damages]


@pytest.fixture(scope="module")
def readers() -> Iterator[BlockingPool]:
    pool = BlockingPool("tests.network.reading_task:tasks", memory_bytes=2**30, seconds=60.0)
    yield pool
    pool.close()


def originals(form: str) -> list[bytes]:
    """Return the networks to damage: built ones, and the published ones where they are beside the project."""
    if form == "json":
        return descriptions()
    if form == "onnx":
        nodes = [
            node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
            node("BatchNormalization", "c b b b v", "n"),
            node("Relu", "n", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", "p", "f"),
            node("Gemm", "f m", "g", transB=1),
            node("Softmax", "g", "y"),
        ]
        constants = {"w": random(4, 3, 3, 3), "b": positive(4), "v": positive(4), "m": random(5, 64)}
        built = [model(nodes, ("N", 3, 8, 8), constants).SerializeToString()]
        built.append((ROOT / "examples" / "digits" / "digits.onnx").read_bytes())
    else:
        weight = constant(np.eye(4, dtype=np.float32), "int8", scales=(0.5,))
        operators = [Op("FULLY_CONNECTED", (0, 1), (2,)), Op("RELU", (2,), (3,))]
        built = [build([T((1, 4)), weight, T((1, 4)), T((1, 4))], operators)]
    published = sorted(SHARED.rglob(f"*.{form}")) if SHARED.is_dir() else []
    files = [path.read_bytes() for path in published if path.stat().st_size <= MAX_FILE_BYTES]
    return built + [content for content in files if not content.startswith(b"version https://git-lfs")]


def descriptions() -> list[bytes]:
    """Return JSON descriptions: examples with and without weights, and those of the networks of the other formats."""
    found = [(ROOT / "examples" / "mobilenet_v1.json").read_bytes()]
    digits = read_network((ROOT / "examples" / "digits" / "digits.onnx").read_bytes(), "digits")
    found.append(write_json(digits, with_weights=True).encode())
    for content in (*originals("onnx"), *originals("tflite")):
        with contextlib.suppress(NetworkError):  # some published networks are refused
            found.append(write_json(read_network(content, "original"), with_weights=False).encode())
    return found


def check(readers: BlockingPool, form: str, kind: str, count: int) -> None:
    rng = np.random.default_rng(2026)
    files = originals(form)
    refused = 0
    worst_seconds, worst_bytes = 0.0, 0
    for number in range(count):
        content = files[int(rng.integers(0, len(files)))]
        damaged = ALL_DAMAGES[form][kind](content, rng)
        outcome = readers.run("read", damaged, readable=(Path("/proc"),))  # its own memory
        where = f"mutant {number} of {form}, {kind}: {outcome.ending} {outcome.body[:300]!r}"
        assert outcome.ending is Ending.ANSWERED, where
        answer = json.loads(outcome.body)
        assert "\n" not in answer["refusal"], where
        assert len(answer["refusal"]) < 20_000, where
        assert answer["seconds"] < SECONDS, where
        assert answer["growth_bytes"] < GROWTH_BYTES, where
        refused += bool(answer["refusal"])
        worst_seconds = max(worst_seconds, answer["seconds"])
        worst_bytes = max(worst_bytes, answer["growth_bytes"])
    print(f"{form}, {kind}: {refused} of {count} refused; worst {worst_seconds:.2f} s, {worst_bytes / 1e6:.0f} MB")
    assert refused > 0


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_a_few_mutants(readers: BlockingPool, form: str, kind: str) -> None:
    check(readers, form, kind, FEW)


@pytest.mark.long
@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_many_mutants(readers: BlockingPool, form: str, kind: str) -> None:
    check(readers, form, kind, MANY)
