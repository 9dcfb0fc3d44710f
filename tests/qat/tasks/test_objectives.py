"""Loss, divergence and drawn loss of each objective, compared with each other and with numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from torch import Tensor

from qat.tasks.objectives import Bernoulli, Categorical, Objective, SquaredError

DEVIATION = torch.tensor([0.5, 1.0, 2.0, 0.7, 1.3, 3.0])
OBJECTIVES: dict[str, Objective] = {
    "classes": Categorical("out", 0, 6),
    "pixels": Categorical("out", 0, 6, positions=2),
    "labels": Bernoulli("out", 0, 6),
    "logits of pixels": Bernoulli("out", 0, 6, positions=6),
    "regression": SquaredError("out", 0, 6, DEVIATION),
    "images": SquaredError("out", 0, 6, torch.tensor([1.7])),
    "images behind a sigmoid": SquaredError("out", 0, 6, torch.tensor([0.3]), "sigmoid"),
}


def values(seed: int, count: int = 4) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((count, 6))).float()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_drawn_loss_measures_the_divergence_of_a_small_change(name: str) -> None:
    """Half the expected squared derivative of the drawn loss in a direction is the divergence of a small step."""
    objective = OBJECTIVES[name]
    outputs, direction, step = values(0, 1), values(1, 1), 1e-2
    divergence = float(objective.divergences(outputs, outputs + step * direction)) / step**2
    randomness = np.random.default_rng(0)
    squares = []
    for _ in range(4000):
        given = outputs.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(objective.drawn_loss(given, randomness), given)
        squares.append(float((gradient * direction).sum()) ** 2 / 2)
    assert np.mean(squares) == pytest.approx(divergence, rel=0.12)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_distance_is_the_mean_divergence(name: str) -> None:
    objective = OBJECTIVES[name]
    reference, changed = values(2), values(3)
    expected = float(objective.divergences(reference, changed).mean())
    assert float(objective.distance(changed, reference)) == pytest.approx(expected, rel=1e-4)
    assert float(objective.distance(reference, reference)) == pytest.approx(0, abs=1e-6)


def test_losses_are_those_of_numpy() -> None:
    outputs = values(4)
    raw = outputs.double().numpy()
    labels = np.array([[1, 0, 1, 1, 0, 0]] * 4, dtype=np.float32)
    expected = -(labels * np.log(expit(raw)) + (1 - labels) * np.log(expit(-raw))).sum(axis=1).mean()
    assert float(OBJECTIVES["labels"].loss(outputs, torch.from_numpy(labels))) == pytest.approx(expected, rel=1e-5)
    masks = np.array([[0, 2], [1, 1], [2, 0], [0, 0]])
    logs = log_softmax(raw.reshape(4, 3, 2), axis=1)
    of_pixels = -np.take_along_axis(logs, masks[:, None], axis=1).mean()
    assert float(OBJECTIVES["pixels"].loss(outputs, torch.from_numpy(masks))) == pytest.approx(of_pixels, rel=1e-5)
    targets = values(5)
    squared = np.square((raw - targets.double().numpy()) / DEVIATION.double().numpy()).mean()
    assert float(OBJECTIVES["regression"].loss(outputs, targets)) == pytest.approx(squared, rel=1e-5)


def test_ignored_pixels_have_no_loss() -> None:
    outputs = values(6)
    masks = torch.tensor([[0, -100]] * 4)
    alone = Categorical("out", 0, 3).loss(outputs.reshape(4, 3, 2)[:, :, 0], masks[:, 0])
    assert float(OBJECTIVES["pixels"].loss(outputs, masks)) == pytest.approx(float(alone), rel=1e-6)
