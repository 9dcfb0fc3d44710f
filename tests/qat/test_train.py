"""Training improves the network, is reproducible, resumes from checkpoints, and fails with clear messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from network.allocation import Scheme
from network.errors import DatasetError, TrainingError
from qat.data.augmentation import shift_and_flip
from qat.data.batches import batches_of, split_of
from qat.options.augmentation import PRESETS
from qat.progress import Progress
from qat.train import train
from qat.training.checkpoint import FILE_NAME
from qat.training.reporting import Reporter
from tests.qat.small_problem import (
    PACT_FOLDED,
    PER_CHANNEL_ICN,
    QUICK,
    accuracy_of,
    allocated,
    assert_same,
    epochs_of,
    problem,
    small_network,
    trained,
)
from tests.qat.zoo import SCHEMES


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.folding}")
@pytest.mark.parametrize("activation_range", ["learned", "clipped"])
def test_training_improves_the_integer_network(scheme: Scheme, activation_range: str) -> None:
    options = QUICK.replace(epochs=6, activation_range=activation_range)  # text, as JSON has it
    result = trained(options, scheme)
    assert [epoch.epoch for epoch in result.epochs] == list(range(7))
    assert result.epochs[0].validation_quality < 60
    assert accuracy_of(result).float_percent < 60
    assert accuracy_of(result).integer_only_percent >= 65
    assert accuracy_of(result).top1_agreement_percent >= 98
    assert result.best_epoch == max(result.epochs, key=lambda epoch: epoch.merit).epoch


def test_equal_inputs_give_equal_results() -> None:
    once = trained()
    assert_same(once, trained())
    assert epochs_of(trained(QUICK.replace(seed=4))) != epochs_of(once)


@pytest.mark.parametrize(
    ("stopped_after", "scheme"), [(0, PACT_FOLDED), (1, PER_CHANNEL_ICN), (2, PACT_FOLDED), (3, PER_CHANNEL_ICN)]
)
def test_a_resumed_run_ends_like_an_unbroken_one(tmp_path: Path, stopped_after: int, scheme: Scheme) -> None:
    options = QUICK.replace(distillation=0.5, augmentation=PRESETS["flip_shift"])

    class Stopped(Exception):
        """Exception that simulates a crash."""

    def stop(progress: Progress) -> None:
        over = progress.phase == "converting" if stopped_after == 3 else progress.epoch == stopped_after + 1
        if over:
            raise Stopped

    with pytest.raises(Stopped):
        trained(options, scheme, report=stop, checkpoint_directory=tmp_path)
    epochs_seen = set()
    resumed = trained(
        options,
        scheme,
        report=lambda progress: epochs_seen.add(progress.epoch if progress.phase == "training" else None),
        checkpoint_directory=tmp_path,
    )
    assert epochs_seen - {None} == set(range(stopped_after + 1, 4))
    assert_same(resumed, trained(options, scheme))
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_refuses_the_checkpoint_of_another_run(tmp_path: Path) -> None:
    trained(QUICK.replace(epochs=1), checkpoint_directory=tmp_path)
    with pytest.raises(TrainingError, match="belongs to a run with another"):
        trained(QUICK.replace(epochs=2), checkpoint_directory=tmp_path)
    trained(QUICK.replace(epochs=1, threads=1), checkpoint_directory=tmp_path)  # only how fast


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, b"{"])
def test_refuses_a_damaged_checkpoint(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(damage)
    with pytest.raises(TrainingError, match="damaged"):
        trained(checkpoint_directory=tmp_path)


def test_refuses_what_is_too_small_to_split() -> None:
    dataset = problem(2)
    with pytest.raises(DatasetError, match="2 samples, 1 of which are held out"):
        train(small_network(), allocated(), dataset, QUICK)


def test_no_epochs_only_calibrates() -> None:
    result = trained(QUICK.replace(epochs=0))
    assert [epoch.epoch for epoch in result.epochs] == [0]
    assert result.epochs[0].training_loss is None


def test_reports_progress_to_the_end() -> None:
    told: list[Progress] = []
    trained(report=told.append)
    assert [progress.phase for progress in told if progress.step == 0] == [
        "calibrating", "checking the float network", "validating", *["training", "validating"] * 3, "converting",
        "testing",
    ]  # fmt: skip
    assert told[-1].step == told[-1].steps
    assert told[-1].seconds_left == pytest.approx(0.0, abs=1e-6)
    assert all(progress.epochs == 3 for progress in told)
    assert any(progress.validation_accuracy is not None for progress in told)


def test_seconds_left_is_what_the_rest_costs() -> None:
    seconds = iter([0.0, 0.0, 0.0, 10.0, 10.0, 10.0])
    told: list[Progress] = []
    reporter = Reporter(told.append, 1, 400.0, clock=lambda: next(seconds))
    reporter.begin("training", epoch=1, steps=2, cost=2.0)
    reporter.advance(50, 0.5)
    assert told[-1].seconds_left == pytest.approx(30.0)
    assert told[-1].images_per_second == pytest.approx(5.0)


def test_what_happens_aside_is_told_and_estimates_nothing() -> None:
    now = 0.0
    told: list[Progress] = []
    reporter = Reporter(told.append, 1, 400.0, clock=lambda: now)
    reporter.begin("training", epoch=1, steps=2, cost=2.0)
    with reporter.one_time("compiling"):
        now += 60.0
    now += 10.0
    reporter.advance(50, 0.5)
    assert [progress.phase for progress in told] == ["training", "compiling", "training"]
    assert told[-1].seconds_left == pytest.approx(30.0)
    assert told[-1].images_per_second == pytest.approx(5.0)
    assert reporter.one_time_seconds == 60.0


def test_the_split_and_the_batches_hold_every_sample_once() -> None:
    split = split_of(problem(101), 0.1, seed=0)
    assert len(split.validation) == 10
    assert sorted([*split.training, *split.validation]) == list(range(101))
    batches = batches_of(split.training, 16, seed=0, epoch=1)
    assert sorted(np.concatenate(batches)) == sorted(split.training)
    assert {len(batch) for batch in batches} <= {15, 16}
    assert not np.array_equal(batches[0], batches_of(split.training, 16, seed=0, epoch=2)[0])
    assert [len(batch) for batch in batches_of(np.arange(5), 2, seed=0, epoch=1)] == [3, 2]


def test_augmented_images_are_shifted_and_mirrored() -> None:
    images = torch.zeros(200, 2, 16, 16)
    images[:, 1, 8, 3] = 1.0
    moved = shift_and_flip(images, np.random.default_rng(0))
    assert moved.shape == images.shape
    assert not moved[:, 0].any()
    where = moved[:, 1].nonzero()
    assert len(where) == 200
    assert set(where[:, 1].tolist()) == {6, 7, 8, 9, 10}
    assert set(where[:, 2].tolist()) == {1, 2, 3, 4, 5, 10, 11, 12, 13, 14}
