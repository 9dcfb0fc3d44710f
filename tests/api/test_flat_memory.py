"""What a service keeps of each request is bounded: its memory does not grow with the number of requests."""

from __future__ import annotations

import ast
import gc
import importlib
import json
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from api.schemas.received import Received
from api.storage.answer_cache import MAX_ANSWERS, AnswerCache
from api.storage.blobs import Blobs

ROOT: Final = Path(__file__).parents[2]
CALLS: Final = 500
"""More than the patterns that Python keeps while they are few."""
NOISE_BYTES: Final = 20_000
"""Memory that the calls may leave behind in all: less than 50 bytes of each."""
OF_SERVICE: Final = ("http", "execution", "services", "storage")
IN_OTHER_PROCESSES: Final = {"api/execution/tasks.py", "api/execution/worker.py", "api/storage/backup/archive.py"}
"""Modules that read JSON in a process that ends soon."""


@contextmanager
def flat_memory() -> Iterator[None]:
    """Fail if more memory is in use at the end than at the beginning."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < NOISE_BYTES, f"{after - before} bytes are left of {CALLS} calls"


def test_nothing_is_kept_of_a_deleted_file(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "networks")
    blobs.delete(f"{CALLS:064x}")
    with flat_memory():
        for number in range(CALLS):
            blobs.delete(f"{number:064x}")


def test_no_text_is_kept_of_json_that_was_read() -> None:
    class Named(Received):
        names: list[str]

    Named.model_validate_json('{"names": []}')
    with flat_memory():
        for number in range(CALLS):
            Named.model_validate_json(json.dumps({"names": [f"layer {number}", f"output {number}"]}))


def read_from_json() -> list[tuple[str, str]]:
    """Return module and name of each class that the process of the service reads from JSON."""
    found = set()
    for path in (path for folder in OF_SERVICE for path in (ROOT / "api" / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in IN_OTHER_PROCESSES:
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr == "model_validate_json":
                    found.add((name.removesuffix(".py").replace("/", "."), ast.unparse(node.value)))
    return sorted(found)


@pytest.mark.parametrize(("module", "name"), read_from_json())
def test_each_class_that_the_service_reads_from_json_keeps_no_texts(module: str, name: str) -> None:
    assert issubclass(vars(importlib.import_module(module))[name], Received)


def test_the_number_of_kept_answers_is_bounded(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path, 10**6, max_answers=3)
    for number in range(5):
        cache.write("a" * 64, f"{number:064x}", b"answer")
    kept = [cache.read("a" * 64, f"{number:064x}") is not None for number in range(5)]
    assert kept == [False, False, True, True, True]
    assert len(list(tmp_path.iterdir())) == 3
    assert cache.total_bytes == 3 * 38
    fewer = AnswerCache(tmp_path, 10**6, max_answers=1)
    assert fewer.read("a" * 64, f"{4:064x}") == b"answer"
    assert fewer.total_bytes == 38


def test_all_kept_answers_need_little_memory(tmp_path: Path) -> None:
    """The names of the answers, without the files: a bound in bytes for any size of answers."""
    for number in range(CALLS):
        (tmp_path / f"{'a' * 64}-{number:064x}.json").touch()
    tracemalloc.start()
    cache = AnswerCache(tmp_path, 10**9)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert cache.read("a" * 64, f"{0:064x}") is None  # an empty file is not an answer
    assert used / CALLS * MAX_ANSWERS < 5e6
