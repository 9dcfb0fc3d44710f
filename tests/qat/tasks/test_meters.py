"""Figures of quality, compared with scikit-learn and with their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn import metrics  # type: ignore[import-untyped]  # it ships no types

from network.network import Network
from qat.options.task import Metric, TaskKind
from qat.tasks.choice import choose_task, targets_of
from qat.tasks.meters import TaskMeter
from qat.tasks.metrics import MAX_SNR_DB, signal_to_noise_db
from qat.tasks.task_objectives import link_of, objectives_of
from tests.qat.tasks.task_networks import dataset_for, image_network, two_outputs, vector_network

RNG = np.random.default_rng(3)
N = 60


def figures(
    network: Network, targets: npt.NDArray[Any] | None, outputs: npt.NDArray[np.float32], kind: TaskKind | None = None
) -> dict[Metric, float]:
    """Return the figures of the judged output, with the samples in three batches."""
    dataset = dataset_for(network, targets)
    task = choose_task(network, dataset, kind)
    rows = targets_of(task, network, dataset.train_x, dataset.train_y)
    objectives = objectives_of(network, task, rows[np.arange(N)], outputs)
    meter = TaskMeter(objectives)
    for batch in np.array_split(np.arange(N), 3):
        meter.add(outputs[batch], rows[batch], outputs[batch] + 1, None)
    return {metric: figure for (output, metric), figure in meter.figures().items() if output == task.output}


def real(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


def test_classes() -> None:
    labels, outputs = RNG.integers(0, 3, N), real(N, 3)
    expected = 100 * metrics.accuracy_score(labels, outputs.argmax(axis=1))
    assert figures(vector_network(3), labels, outputs) == {Metric.ACCURACY: pytest.approx(expected)}


def test_two_classes_by_one_logit() -> None:
    labels, outputs = RNG.integers(0, 2, N), real(N, 1)
    found = figures(vector_network(1), labels, outputs)
    assert found[Metric.ACCURACY] == pytest.approx(100 * ((outputs[:, 0] > 0) == labels).mean())
    assert found[Metric.AUC] == pytest.approx(metrics.roc_auc_score(labels, outputs[:, 0]))


def test_labels() -> None:
    labels, outputs = RNG.integers(0, 2, (N, 3)), real(N, 3)
    expected = 100 * metrics.average_precision_score(labels, outputs, average="macro")
    assert figures(vector_network(3), labels, outputs)[Metric.AVERAGE_PRECISION] == pytest.approx(expected)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_regression(offset: float) -> None:
    """Targets that are far from zero lose no digits of R2."""
    targets = real(N, 2) * 3 + np.float32(offset)
    outputs = targets + real(N, 2)
    found = figures(vector_network(2), targets, outputs)
    assert found[Metric.R2] == pytest.approx(metrics.r2_score(targets.astype(float), outputs.astype(float)), rel=1e-6)
    expected = metrics.root_mean_squared_error(targets.reshape(-1), outputs.reshape(-1))
    assert found[Metric.RMSE] == pytest.approx(expected, rel=1e-3)


def test_a_constant_target_counts_as_in_scikit_learn() -> None:
    targets = np.stack([np.full(N, 2.5), RNG.standard_normal(N)], axis=1).astype(np.float32)
    outputs = targets + real(N, 2)
    found = figures(vector_network(2), targets, outputs)
    assert found[Metric.R2] == pytest.approx(metrics.r2_score(targets, outputs), rel=1e-4)


def test_images() -> None:
    targets = real(N, 2, 6, 5)
    outputs = (targets + 0.1 * real(N, 2, 6, 5)).reshape(N, -1)
    power, error = (np.square(each.astype(float)).sum() for each in (targets, outputs - targets.reshape(N, -1)))
    assert figures(image_network(2), targets, outputs)[Metric.SNR] == pytest.approx(10 * np.log10(power / error))


def test_pixels() -> None:
    masks, outputs = RNG.integers(0, 3, (N, 6, 5)), real(N, 3 * 30)
    predicted = outputs.reshape(N, 3, 30).argmax(axis=1)
    expected = 100 * metrics.jaccard_score(masks.reshape(-1), predicted.reshape(-1), average="macro")
    assert figures(image_network(3), masks, outputs)[Metric.MEAN_IOU] == pytest.approx(expected)


def test_pixels_of_one_logit() -> None:
    masks, outputs = RNG.integers(0, 2, (N, 6, 5)), real(N, 30)
    expected = 100 * metrics.jaccard_score(masks.reshape(-1), (outputs > 0).reshape(-1), average="macro")
    assert figures(image_network(1), masks, outputs)[Metric.MEAN_IOU] == pytest.approx(expected)


def test_the_float_networks_outputs() -> None:
    outputs = real(N, 3)  # the float network gives outputs + 1
    expected = 10 * np.log10(np.square(outputs + 1.0).sum() / outputs.size)
    found = figures(vector_network(3), None, outputs)
    assert found[Metric.SNR] == pytest.approx(expected, rel=1e-5)
    assert found[Metric.R2] == pytest.approx(metrics.r2_score(outputs + 1, outputs), rel=1e-4)


def test_a_reconstruction_is_judged_by_anomaly_scores() -> None:
    network = vector_network(6)
    flags = np.arange(N) % 2
    dataset = dataset_for(network, np.zeros(N, dtype=np.int64), flags)
    task = choose_task(network, dataset)
    rows = targets_of(task, network, dataset.test_x, dataset.test_y)
    inputs = np.asarray(dataset.test_x[:], dtype=np.float32)
    outputs = (inputs + RNG.standard_normal((N, 6)) * (1 + flags[:, None])).astype(np.float32)
    meter = TaskMeter(objectives_of(network, task, rows[np.arange(N)], outputs))
    meter.add(outputs, rows[np.arange(N)], None, flags)
    scores = np.square(outputs - inputs).mean(axis=1)
    assert meter.figures()["out", Metric.AUC] == pytest.approx(metrics.roc_auc_score(flags, scores))


def test_other_outputs_are_compared_with_the_float_network() -> None:
    network = two_outputs()
    labels, outputs = RNG.integers(0, 3, N), real(N, 19)
    dataset = dataset_for(network, labels)
    task = choose_task(network, dataset)
    objectives = objectives_of(network, task, labels, outputs)
    meter = TaskMeter(objectives, with_loss=True)
    meter.add(outputs, labels, outputs + np.float32(0.5), None)
    expected = 10 * np.log10(np.square(outputs[:, 3:] + 0.5).sum() / (0.25 * N * 16))
    assert meter.figures()["hidden.out", Metric.SNR] == pytest.approx(expected, rel=1e-5)
    spread = outputs[:, 3:].astype(float)
    of_other = 0.25 / np.square(spread - spread.mean(axis=0)).mean()
    cross_entropy = float(torch.nn.functional.cross_entropy(torch.from_numpy(outputs[:, :3]), torch.from_numpy(labels)))
    assert meter.loss == pytest.approx(cross_entropy + of_other, rel=1e-4)


@pytest.mark.parametrize(
    ("signal", "error", "expected"),
    [(1.0, 0.0, MAX_SNR_DB), (0.0, 1.0, -MAX_SNR_DB), (100.0, 1.0, 20.0), (0.0, 0.0, MAX_SNR_DB)],
)
def test_a_signal_to_noise_ratio_is_finite(signal: float, error: float, expected: float) -> None:
    assert signal_to_noise_db(signal, error) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("steps", "link"),
    [((), None), (("Sigmoid",), "sigmoid"), (("Tanh",), "tanh"), (("LOGISTIC", "Reshape"), "sigmoid")],
)
def test_the_hosts_function_belongs_to_the_output(steps: tuple[str, ...], link: str | None) -> None:
    assert link_of(vector_network(3, steps=steps), "out") == link
