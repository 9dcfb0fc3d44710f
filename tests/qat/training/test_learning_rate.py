"""Learning-rate schedules by regime, compared with torch's schedules where they exist."""

from __future__ import annotations

import pytest
import torch

from qat.options.chosen import ChosenOptions
from qat.options.training import LearningRateStep, Regime
from qat.training.learning_rate import learning_rate_at
from tests.qat.complete_options import complete

STEPS = (LearningRateStep(epoch=2, learning_rate=0.01), LearningRateStep(epoch=4, learning_rate=0.001))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (complete(regime=Regime.CONSTANT, learning_rate=0.1), [0.1, 0.1, 0.1, 0.1]),
        (
            complete(regime=Regime.STEP, learning_rate=0.1, learning_rate_steps=STEPS),
            [0.1, 0.01, 0.01, 0.001],
        ),
        (complete(epochs=4, regime=Regime.COSINE, learning_rate=0.1), [0.1, 0.0855014, 0.0505, 0.0154986]),
        (
            complete(epochs=10, regime=Regime.PAPER),
            [1e-4, 1e-4, 1e-4, 1e-4, 5e-5, 5e-5, 5e-5, 1e-5, 1e-5, 1e-5],
        ),
    ],
)
def test_at_the_start_of_epochs(options: ChosenOptions, expected: list[float]) -> None:
    rates = [learning_rate_at(options, epoch, 0.0) for epoch in range(1, len(expected) + 1)]
    assert rates == pytest.approx(expected, rel=1e-4)
    assert learning_rate_at(options, len(expected), 1.0) <= expected[-1]


@pytest.mark.parametrize("warmup", [0.1, 0.3, 0.5])
def test_one_cycle_is_torchs(warmup: float) -> None:
    epochs, steps = 4, 250
    options = complete(epochs=epochs, regime=Regime.ONE_CYCLE, learning_rate=0.2, warmup=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=epochs * steps, pct_start=warmup, cycle_momentum=False
    )
    for step in range(epochs * steps):
        epoch, in_epoch = divmod(step, steps)
        ours = learning_rate_at(options, epoch + 1, in_epoch / steps)
        # A phase ends at its last step in torch and at the first step of the next phase here: at most one step apart.
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.2 * 0.02)
        optimizer.step()
        if step + 1 < epochs * steps:
            schedule.step()


def test_one_cycle_without_warmup_only_falls() -> None:
    options = complete(epochs=1, regime=Regime.ONE_CYCLE, learning_rate=0.2, warmup=0.0)
    rates = [learning_rate_at(options, 1, share / 10) for share in range(11)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(0.2)
    assert rates[-1] == pytest.approx(0.2 * 1e-4 / 25)
