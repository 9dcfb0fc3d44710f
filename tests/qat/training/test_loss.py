"""The training loss, compared with an independent implementation in numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from qat.options.task import TaskKind
from qat.tasks.choice import Task
from qat.tasks.objectives import Categorical
from qat.tasks.task_objectives import TaskObjectives
from qat.training.label_source import LabelSource

DoubleArray = npt.NDArray[np.float64]


def of_classes(classes: int) -> TaskObjectives:
    task = Task(TaskKind.CLASSES, "out", LabelSource.LABELS, LabelSource.LABELS)
    return TaskObjectives(task, Categorical("out", 0, classes), ())


def log_softmax(logits: DoubleArray) -> DoubleArray:
    shifted = logits - logits.max(axis=1, keepdims=True)
    logs: DoubleArray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logs


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("share", "temperature"), [(0.0, 1.0), (0.5, 2.0), (1.0, 4.0)])
@pytest.mark.parametrize("soft", [False, True])
def test_is_the_mixture_that_it_says(smoothing: float, share: float, temperature: float, soft: bool) -> None:
    rng = np.random.default_rng(0)
    logits, taught = rng.normal(size=(5, 3)), rng.normal(size=(5, 3))
    classes = rng.integers(0, 3, 5)
    shares = rng.dirichlet(np.ones(3), 5) if soft else np.eye(3)[classes]
    smoothed = (1 - smoothing) * shares + smoothing / 3
    cross_entropy = -(smoothed * log_softmax(logits)).sum(axis=1).mean()
    cool, warm = log_softmax(taught / temperature), log_softmax(logits / temperature)
    divergence = (np.exp(cool) * (cool - warm)).sum(axis=1).mean()
    expected = (1 - share) * cross_entropy + share * temperature**2 * divergence
    targets = torch.tensor(shares, dtype=torch.float32) if soft else torch.tensor(classes)
    found = of_classes(3).loss(
        torch.tensor(logits).float(),
        targets,
        torch.tensor(taught).float(),
        distillation=share,
        temperature=temperature,
        smoothing=smoothing,
    )
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_without_a_teacher_labels_are_all() -> None:
    logits, targets = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    alone = of_classes(2).loss(logits, targets, None, distillation=0.9)
    assert alone.item() == pytest.approx(float(-log_softmax(np.array([[2.0, 0.0]]))[0, 0]), rel=1e-6)
