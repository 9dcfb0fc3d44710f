"""All parts are computed, errors are raised, and the number of BLAS threads is restored."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import threadpoolctl  # type: ignore[import-untyped]  # the package has no type annotations

from deploy.blocks import blocks
from deploy.workers import run_on_all_cores


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"}


def test_every_part_is_done_once_with_one_blas_thread() -> None:
    done, seen = np.zeros(100, dtype=np.int64), []

    def work(part: slice) -> None:
        done[part] += 1
        seen.append(blas_threads())

    before = blas_threads()
    run_on_all_cores(work, blocks(100, 7))
    assert done.tolist() == [1] * 100
    assert seen == [{1}] * 15
    assert blas_threads() == before


def test_an_error_in_a_part_is_raised_and_blas_is_restored() -> None:
    def fail(part: slice) -> None:
        if part.start == 6:
            raise ZeroDivisionError

    before = blas_threads()
    with pytest.raises(ZeroDivisionError):
        run_on_all_cores(fail, blocks(10, 3))
    assert blas_threads() == before


def test_a_second_computation_waits_for_the_first() -> None:
    """A second computation that overlaps the first must not restore the number of threads that the first one set."""
    before = blas_threads()
    first_runs, first_may_end, second_runs = threading.Event(), threading.Event(), threading.Event()

    def first(_part: slice) -> None:
        first_runs.set()
        assert first_may_end.wait(10)

    callers = [
        threading.Thread(target=run_on_all_cores, args=(work, [slice(0, 1)]))
        for work in (first, lambda _part: second_runs.set())
    ]
    callers[0].start()
    assert first_runs.wait(10)
    callers[1].start()
    assert not second_runs.wait(0.2)
    first_may_end.set()
    for caller in callers:
        caller.join(10)
    assert second_runs.is_set()
    assert blas_threads() == before


@pytest.mark.parametrize(
    ("total", "size", "expected"),
    [(0, 3, []), (3, 3, [(0, 3)]), (7, 3, [(0, 3), (3, 6), (6, 7)]), (2, 0, [(0, 1), (1, 2)])],
)
def test_blocks(total: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert [(block.start, block.stop) for block in blocks(total, size)] == expected
