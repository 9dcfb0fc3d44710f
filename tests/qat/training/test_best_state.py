"""The choice of the best state by losses of held-out samples, against the rule in words, and over a checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qat.training.best_state import keeps_up, lesser
from qat.training.checkpoint import Checkpoint, CheckpointDirectory, after_epoch
from qat.training.epoch_result import EpochResult
from qat.training.state import Position, Snapshot

EVEN = np.full((2, 16), 1.0)


def shifted(mean: float, noise: float) -> npt.NDArray[np.float64]:
    """Return losses and distances that differ from `EVEN` by a mean, and by noise with that standard deviation."""
    signs = np.tile([1.0, -1.0], 8) * np.sqrt(15 / 16)
    return np.asarray(EVEN + mean + noise * signs, dtype=np.float64)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (shifted(-0.1, 0.0), True),
        (shifted(0.0, 0.0), True),
        (shifted(0.01, 0.0), False),
        (shifted(0.49, 1.0), True),  # the standard error is a quarter
        (shifted(0.51, 1.0), False),
        (np.full((2, 16), np.nan), False),
    ],
)
def test_a_state_keeps_up_within_two_standard_errors(losses: npt.NDArray[np.float64], expected: bool) -> None:
    assert keeps_up(losses, EVEN) is expected


def test_one_of_the_two_measures_suffices() -> None:
    worse = shifted(1.0, 0.0)
    assert keeps_up(np.array([EVEN[0], worse[1]]), EVEN)
    assert keeps_up(np.array([worse[0], EVEN[1]]), EVEN)
    np.testing.assert_array_equal(lesser(np.array([EVEN[0] - 1, worse[1]]), EVEN), [EVEN[0] - 1, EVEN[1]])


def test_one_sample_has_no_error() -> None:
    assert keeps_up(np.array([[1.0], [1.0]]), np.array([[1.0], [1.0]]))
    assert not keeps_up(np.array([[1.1], [1.1]]), np.array([[1.0], [1.0]]))


def checkpoint_of(all_losses: list[npt.NDArray[np.float64]], doubled: tuple[int, ...] = ()) -> Checkpoint:
    found: Checkpoint | None = None
    for epoch, losses in enumerate(all_losses):
        now = Snapshot(Position(), {"module/epoch": torch.tensor([float(epoch)])})
        result = EpochResult(epoch, None, 0.0, 0.0, 1.0, at_doubled_bits=epoch in doubled)
        found = after_epoch(found, result, now, losses)
    assert found is not None
    return found


def test_the_last_state_that_keeps_up_is_the_best() -> None:
    found = checkpoint_of([shifted(0.5, 0.0), EVEN, shifted(0.4, 1.0), shifted(0.6, 1.0)])
    assert (found.best_epoch.epoch, found.best["epoch"].item()) == (2, 2.0)
    assert found.least is not None
    np.testing.assert_array_equal(found.least, EVEN)


def test_an_epoch_at_doubled_bits_is_neither_the_best_nor_the_least() -> None:
    found = checkpoint_of([EVEN, EVEN - 0.9, EVEN - 0.1], doubled=(1,))
    assert found.best_epoch.epoch == 2
    assert checkpoint_of([EVEN, EVEN - 0.9, EVEN + 0.1], doubled=(1,)).best_epoch.epoch == 0


@given(st.lists(st.lists(st.floats(0, 10), min_size=8, max_size=8), min_size=1, max_size=6))
def test_no_state_is_kept_that_is_worse_than_the_least_by_more_than_its_error(rows: list[list[float]]) -> None:
    all_losses = [np.array(row).reshape(2, 4) for row in rows]
    found = checkpoint_of(all_losses)
    least = all_losses[0]
    for losses in all_losses[1:]:
        least = lesser(losses, least)
    assert found.least is not None
    np.testing.assert_array_equal(found.least, least)
    kept, least = all_losses[found.best_number], all_losses[0]
    for losses in all_losses[1 : found.best_number + 1]:
        least = lesser(losses, least)
    assert keeps_up(kept, least)


def test_a_checkpoint_keeps_the_best_epoch_and_the_least_losses(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path, "run")
    directory.save(checkpoint_of([EVEN, shifted(0.4, 1.0), shifted(0.6, 1.0)]))
    loaded = directory.load()
    assert loaded is not None
    assert (loaded.best_number, loaded.best["epoch"].item()) == (1, 1.0)
    assert loaded.least is not None
    np.testing.assert_array_equal(loaded.least, EVEN)
