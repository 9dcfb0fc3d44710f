"""Training options: names from text, limits, learning rates."""

from __future__ import annotations

from typing import Any

import pytest

from network.errors import RequestError
from qat.options import ActivationRange, Regime, TrainingOptions


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": -1}, "epochs is -1; expected a whole number from 0"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"epochs": True}, "epochs is True"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": "fast"}, "learning_rate is fast"),
        ({"validation_fraction": 0.0}, "validation_fraction is 0.0"),
        ({"distillation": 1.1}, "distillation is 1.1"),
        ({"regime": "sine"}, "regime is 'sine'; expected one of: constant, step, cosine"),
        ({"activation_range": None}, "activation_range is 'None'; expected one of: learned, clipped"),
        ({"regime": "step"}, "needs"),
        ({"learning_rate_steps": ((1, 0.1),)}, "the others take none"),
        ({"regime": "step", "learning_rate_steps": ((3, 0.1), (2, 0.1))}, "each once, ascending"),
        ({"regime": "step", "learning_rate_steps": ((1,),)}, "pairs"),
        ({"augment": 1}, "augment is 1"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_refuses(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        TrainingOptions(**wrong)


def test_names_may_be_text() -> None:
    options = TrainingOptions(activation_range="clipped", regime="constant")  # type: ignore[arg-type]  # as JSON has it
    assert options.activation_range is ActivationRange.CLIPPED
    assert options.regime is Regime.CONSTANT


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (TrainingOptions(regime=Regime.CONSTANT, learning_rate=0.1), [0.1, 0.1, 0.1, 0.1]),
        (
            TrainingOptions(regime=Regime.STEP, learning_rate=0.1, learning_rate_steps=((2, 0.01), (4, 0.001))),
            [0.1, 0.01, 0.01, 0.001],
        ),
        (TrainingOptions(epochs=4, learning_rate=0.1), [0.1, 0.0855014, 0.0505, 0.0154986]),
    ],
)
def test_learning_rate(options: TrainingOptions, expected: list[float]) -> None:
    assert [options.learning_rate_at(epoch, 0.0) for epoch in range(1, 5)] == pytest.approx(expected, rel=1e-4)
    assert options.learning_rate_at(4, 1.0) <= expected[-1]
