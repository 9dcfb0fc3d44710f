"""A loss or gradient that is not finite: the run is restored once with half the learning rate, then fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from network.errors import TrainingError
from network.layers import FullyConnected
from qat.options.training import Compile, LearningRateStep, OptimizerKind, Regime, TrainingOptions
from qat.progress import Progress
from qat.train import train
from qat.training.step import TrainingStep
from tests.qat.small_problem import PER_CHANNEL_ICN, QUICK, allocated, assert_same, problem, small_network, trained

DIVERGES = TrainingOptions(
    epochs=2, batch_size=32, optimizer=OptimizerKind.SGD, learning_rate=10.0, regime=Regime.CONSTANT,
    distillation=0.0, calibration_samples=64, seed=3, compile=Compile.OFF,
)  # fmt: skip


def unbounded(weight_scale: float = 1e18) -> Any:
    """Return a network whose last layer has weights so large that a step with a huge learning rate overflows."""
    network = small_network()
    dense = network.layers[-1]
    assert isinstance(dense, FullyConnected)
    assert dense.weight is not None
    dense.weight[:] *= np.float32(weight_scale)
    return network


def test_diverging_twice_it_names_epoch_step_and_layer() -> None:
    network = unbounded()
    phases: list[Progress] = []
    with pytest.raises(
        TrainingError,
        match=r"the (loss|gradient) of training is (nan|inf) at step \d+ of epoch 1, first in the (output|gradient) of "
        r"layer '(one|two|classes)'; expected a finite value. The run was already restored once and continued with "
        r"half the learning rate: lower learning_rate",
    ):
        train(network, allocated(), problem(), DIVERGES, report=phases.append)
    assert [each.phase for each in phases].count("restoring the last epoch with half the learning rate") == 1


class Spoiled:
    """Replaces the images of one training step by infinite values, so that its gradient is not finite."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, epoch: int, at: int, times: int) -> None:
        self.rates: list[tuple[int, float]] = []
        self._left = times
        real = TrainingStep.__call__
        steps: dict[int, int] = {}

        def step(this: TrainingStep, images: torch.Tensor, *arguments: Any, **named: Any) -> float:
            steps[named["epoch"]] = steps.get(named["epoch"], 0) + 1
            if named["epoch"] == epoch and self._left and steps[epoch] == at:
                self._left -= 1
                steps[epoch] = 0
                images = images * float("inf")
            loss = real(this, images, *arguments, **named)
            self.rates.append((named["epoch"], this._state.optimizer.param_groups[0]["lr"]))
            return loss

        monkeypatch.setattr(TrainingStep, "__call__", step)


def test_it_goes_on_from_the_last_epoch_with_half_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    options = QUICK.replace(regime=Regime.CONSTANT)
    spoiled = Spoiled(monkeypatch, epoch=2, at=5, times=1)
    result = trained(options)
    assert result.went_back
    in_second = [rate for epoch, rate in spoiled.rates if epoch == 2]
    assert in_second == [0.01] * 4 + [0.005] * (len(in_second) - 4)
    assert len(in_second) == 4 + len([rate for epoch, rate in spoiled.rates if epoch == 1])
    assert {rate for epoch, rate in spoiled.rates if epoch == 3} == {0.005}
    # The four discarded steps have no effect: the result equals that of a run with half the rate from epoch 2 on.
    halved = options.replace(regime=Regime.STEP, learning_rate_steps=[LearningRateStep(epoch=2, learning_rate=0.005)])
    monkeypatch.undo()
    assert_same(result, trained(halved))
    assert not trained(halved).went_back


def test_a_second_time_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    Spoiled(monkeypatch, epoch=2, at=3, times=2)
    with pytest.raises(TrainingError, match=r"at step 3 of epoch 2, first in the output of layer 'one'"):
        trained(QUICK)


def test_killed_after_it_went_back_it_ends_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Stopped(Exception):
        """Exception that simulates a crash."""

    options = QUICK.replace(checkpoint_minutes=0.0)
    Spoiled(monkeypatch, epoch=2, at=5, times=1)
    unbroken = trained(options, PER_CHANNEL_ICN)
    monkeypatch.undo()
    Spoiled(monkeypatch, epoch=2, at=5, times=1)

    def stop(progress: Progress) -> None:
        if progress.phase == "validating" and progress.epoch == 2:
            raise Stopped

    with pytest.raises(Stopped):
        trained(options, PER_CHANNEL_ICN, checkpoint_directory=tmp_path, report=stop)
    resumed = trained(options, PER_CHANNEL_ICN, checkpoint_directory=tmp_path)
    assert resumed.went_back
    assert_same(resumed, unbroken)
