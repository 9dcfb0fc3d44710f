"""Quality of the float network on the held-out samples of the training set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qat.data.batches import split_of
from qat.data.dataset import Dataset
from qat.options.task import Metric, TaskKind
from qat.prepare import float_module
from qat.progress import silent
from qat.tasks.metrics import coefficient_of_determination
from qat.train import train
from qat.training.evaluation import of_module, outputs_of
from qat.training.held_out import held_out_quality
from qat.training.processor import processor_of
from qat.training.reporting import Reporter
from tests.qat.small_problem import CLASSES, QUICK, allocated, problem, small_network

OPTIONS = QUICK.replace(epochs=0, validation_fraction=0.25)


def held_out_outputs(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the held-out samples, and the outputs of the float network for them."""
    held_out = split_of(dataset, OPTIONS.validation_fraction, OPTIONS.seed).validation
    network = small_network()
    predict = of_module(float_module(network), network, processor_of(OPTIONS))
    return held_out, outputs_of(predict, network, dataset.train_x, held_out, Reporter(silent, 0))


def test_the_accuracy_is_that_of_the_held_out_samples_alone() -> None:
    dataset = problem()
    found = held_out_quality(small_network(), dataset, OPTIONS)
    held_out, outputs = held_out_outputs(dataset)
    labels = np.asarray(dataset.train_y)[held_out]
    assert found.metric is Metric.ACCURACY
    assert found.samples == len(held_out) == 64
    assert found.float_network == 100 * float((outputs.argmax(axis=1) == labels).mean())


def test_a_regression_has_the_r2_of_its_targets() -> None:
    dataset = problem()
    targets = np.random.default_rng(2).standard_normal((256, CLASSES)).astype(np.float32)
    dataset = replace(dataset, train_y=targets, test_y=targets[:64])
    found = held_out_quality(small_network(), dataset, OPTIONS)
    held_out, outputs = held_out_outputs(dataset)
    wanted = targets[held_out].astype(np.float64)
    error = np.square(outputs - wanted).sum(axis=0)
    spread = np.square(wanted - wanted.mean(axis=0)).sum(axis=0)
    assert found.metric is Metric.R2
    assert found.float_network == pytest.approx(coefficient_of_determination(error, spread), abs=1e-5)


def test_classes_that_the_float_network_predicts_are_all_met() -> None:
    unlabelled = replace(problem(), train_y=None, test_y=None)
    found = held_out_quality(small_network(), unlabelled, OPTIONS.replace(task=TaskKind.CLASSES))
    assert found.float_network == 100.0


@pytest.mark.parametrize("task", [TaskKind.FLOAT_OUTPUTS, TaskKind.REGRESSION])
def test_its_own_outputs_give_the_float_network_no_figure(task: TaskKind) -> None:
    unlabelled = replace(problem(), train_y=None, test_y=None)
    found = held_out_quality(small_network(), unlabelled, OPTIONS.replace(task=task))
    assert found.float_network is None


def test_the_figures_of_a_training_are_of_the_same_samples() -> None:
    """With 8 bits, the integer-only network agrees with the float network on nearly all samples."""
    dataset = problem()
    found = held_out_quality(small_network(), dataset, OPTIONS)
    result = train(small_network(), allocated(bits=8), dataset, OPTIONS)
    assert found.float_network is not None
    assert result.epochs[0].validation_quality == pytest.approx(found.float_network, abs=5)
