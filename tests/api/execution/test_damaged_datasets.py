"""Damaged dataset files are read or refused with an error of ours, each in a process with the limits of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from api.execution.task_messages import Ending
from api.execution.task_requests import READ_DATASET, DatasetFile
from api.schemas.datasets import DatasetOrigin
from tests.blocking_pool import MIB, BlockingPool
from tests.network.mutants import one_of
from tests.qat.data import making
from tests.qat.data.damages import DAMAGES

FEW: Final = 8
MANY: Final = 120
SECONDS: Final = 30.0
"""Longest time of one file, which takes less than 0.1 s: the machine may be busy."""
FORMS: Final[dict[str, Callable[[Path, making.Images], Path]]] = {
    "npz": making.npz,
    "parquet": making.parquet,
    "tar": making.one_shard,
}


@pytest.fixture(scope="module")
def readers() -> Iterator[BlockingPool]:
    pool = BlockingPool("api.execution.tasks:prepared_tasks", memory_bytes=512 * MIB, seconds=SECONDS)
    yield pool
    pool.close()


def file_of(form: str, folder: Path) -> bytes:
    """Return a small dataset of a format in one file."""
    folder.mkdir()
    place = FORMS[form](folder, making.images())
    files = [place] if place.is_file() else [each for each in sorted(place.rglob("*")) if each.suffix == f".{form}"]
    return files[0].read_bytes()


def check(readers: BlockingPool, form: str, count: int, folder: Path) -> None:
    rng = np.random.default_rng(2026)
    original = file_of(form, folder / "original")
    path = folder / f"damaged.{form}"
    refusals = []
    for number in range(count):
        path.write_bytes(one_of(rng, DAMAGES[form])(original, rng))
        request = DatasetFile(
            id="0" * 64,
            name="damaged",
            origin=DatasetOrigin.UPLOADED,
            path=path,
            size_bytes=path.stat().st_size,
            max_bytes=64 * MIB,
        )
        outcome = readers.run(READ_DATASET, request.model_dump_json().encode(), readable=(path,))
        where = f"damaged file {number} of {form}: {outcome.ending} {outcome.body[:300]!r}"
        assert outcome.ending in {Ending.ANSWERED, Ending.REFUSED}, where
        if outcome.ending is Ending.REFUSED:
            refusals.append(outcome.body.decode().partition("\n")[2])
            assert refusals[-1].isprintable(), where
            assert 20 < len(refusals[-1]) < 2000, where
    assert len(set(refusals)) > 2
    assert len(refusals) < count or form == "parquet"


@pytest.mark.parametrize("form", FORMS)
def test_a_few_damaged_files(readers: BlockingPool, form: str, tmp_path: Path) -> None:
    check(readers, form, FEW, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS)
def test_many_damaged_files(readers: BlockingPool, form: str, tmp_path: Path) -> None:
    check(readers, form, MANY, tmp_path)
