"""Each task is trained, converted and judged from end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from network.allocation import DEFAULT_WEIGHT_SCHEME, Allocation, Folding, Scheme
from network.errors import RequestError
from network.network import Network
from qat.options.names import BestBy
from qat.options.post_training import NO_POST_TRAINING
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.task import Metric, TaskKind
from qat.options.training import TrainingOptions
from qat.sensitivity.measuring import measure_sensitivity
from qat.train import TrainingResult, train
from qat.training.label_source import LabelSource
from tests.qat.tasks.task_networks import dataset_for, image_network, outputs_for, two_outputs, vector_network
from tests.qat.zoo import allocation_of

OPTIONS = TrainingOptions(
    epochs=4, batch_size=16, learning_rate=3e-3, threads=1, best_by=BestBy.QUALITY, post_training=NO_POST_TRAINING
)


def allocation(network: Network, bits: Any = 2) -> Allocation:
    return allocation_of(network, bits, Scheme(DEFAULT_WEIGHT_SCHEME, Folding.ICN))


def problem(kind: TaskKind) -> tuple[Network, npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
    """Return a network, and targets that the float network meets: what it gives is the truth."""
    if kind in {TaskKind.IMAGES, TaskKind.PIXELS}:
        network = image_network(3)
        outputs = outputs_for(network, dataset_for(network, None)).reshape(-1, 3, 6, 5)
        return network, outputs if kind is TaskKind.IMAGES else outputs.argmax(axis=1), None
    network = vector_network({TaskKind.TWO_CLASSES: 1, TaskKind.ANOMALY: 6}.get(kind, 3))
    outputs = outputs_for(network, dataset_for(network, None))
    targets: dict[TaskKind, npt.NDArray[Any]] = {
        TaskKind.CLASSES: outputs.argmax(axis=1),
        TaskKind.TWO_CLASSES: (outputs[:, 0] > 0).astype(np.int64),
        TaskKind.LABELS: (outputs > 0).astype(np.int64),
        TaskKind.REGRESSION: outputs,
        TaskKind.ANOMALY: np.zeros(len(outputs), dtype=np.int64),
    }
    return network, targets.get(kind), np.arange(len(outputs)) % 2 if kind is TaskKind.ANOMALY else None


METRICS = {
    TaskKind.CLASSES: (Metric.ACCURACY, 100.0),
    TaskKind.TWO_CLASSES: (Metric.ACCURACY, 100.0),
    TaskKind.LABELS: (Metric.AVERAGE_PRECISION, 100.0),
    TaskKind.REGRESSION: (Metric.R2, 1.0),
    TaskKind.IMAGES: (Metric.SNR, None),
    TaskKind.PIXELS: (Metric.MEAN_IOU, 100.0),
    TaskKind.ANOMALY: (Metric.AUC, None),
    TaskKind.FLOAT_OUTPUTS: (Metric.SNR, None),
}


def trained(kind: TaskKind, options: TrainingOptions = OPTIONS, bits: Any = 2) -> TrainingResult:
    network, targets, test = problem(kind)
    return train(network, allocation(network, bits), dataset_for(network, targets, test), options)


@pytest.mark.parametrize("kind", TaskKind)
def test_every_task_is_trained_and_judged(kind: TaskKind) -> None:
    result = trained(kind)
    metric, of_float = METRICS[kind]
    quality = result.qualities[0]
    assert result.task.kind is kind
    assert quality.metric is metric
    if of_float is not None:
        assert quality.float_network == pytest.approx(of_float, abs=0.01)
        assert quality.integer_only < of_float  # two bits are not enough: the figure is measured
    if kind is not TaskKind.ANOMALY:
        # training helps, by the task's own metric or, where that is equal, its loss on the held-out samples
        assert max(epoch.merit for epoch in result.epochs[1:]) > result.epochs[0].merit
    assert (result.accuracy is not None) == (kind in {TaskKind.CLASSES, TaskKind.TWO_CLASSES})
    assert result.epochs[-1].training_loss is not None


@pytest.mark.parametrize("kind", TaskKind)
def test_at_eight_bits_the_quality_is_nearly_that_of_the_float_network(kind: TaskKind) -> None:
    quality = trained(kind, OPTIONS.replace(epochs=0), bits=8).qualities[0]
    least = {Metric.R2: 0.99, Metric.SNR: 25.0}.get(quality.metric)
    if least is not None:
        assert quality.integer_only > least
    elif quality.float_network is not None:
        slack = 0.05 if quality.metric is Metric.AUC else 5.0
        assert quality.integer_only > quality.float_network - slack


@pytest.mark.parametrize("measure", Measure)
@pytest.mark.parametrize("kind", TaskKind)
def test_no_task_has_sensitivities_of_zero(kind: TaskKind, measure: Measure) -> None:
    if kind is TaskKind.FLOAT_OUTPUTS and measure is Measure.HESSIAN:
        pytest.skip("the measure hessian needs targets")
    network, targets, _ = problem(kind)
    samples = dataset_for(network, targets).train_x
    options = SensitivityOptions(measure=measure, samples=32, task=kind)
    if kind is TaskKind.ANOMALY:
        options = options.replace(task=TaskKind.ANOMALY)
    table = measure_sensitivity(network, samples, targets, options)
    for row in table.weights.values():
        assert row[2] > row[8] >= 0


def test_other_outputs_follow_the_float_network() -> None:
    network = two_outputs()
    labels = outputs_for(network, dataset_for(network, None))[:, :3].argmax(axis=1)
    result = train(network, allocation(network), dataset_for(network, labels), OPTIONS)
    main, other = result.qualities
    assert (main.output, main.metric, main.against) == ("out", Metric.ACCURACY, LabelSource.LABELS)
    assert (other.output, other.metric, other.against) == ("hidden.out", Metric.SNR, LabelSource.FLOAT_NETWORK)
    assert other.float_network is None
    assert other.integer_only > 3


def test_without_labels_all_outputs_follow() -> None:
    network = two_outputs()
    result = train(network, allocation(network, 8), dataset_for(network, None), OPTIONS.replace(epochs=1))
    assert {each.output for each in result.qualities} == {"out", "hidden.out"}
    assert all(each.integer_only > 20 for each in result.qualities if each.metric is Metric.SNR)


@pytest.mark.parametrize("kind", [TaskKind.IMAGES, TaskKind.PIXELS, TaskKind.ANOMALY])
def test_augmentation_that_would_move_samples_but_not_targets_is_refused(kind: TaskKind) -> None:
    with pytest.raises(RequestError, match=f"not the targets of the task '{kind}'"):
        trained(kind, OPTIONS.replace(augmentation="flip_shift"))


def test_a_regression_mixes_samples_and_targets() -> None:
    result = trained(TaskKind.REGRESSION, OPTIONS.replace(augmentation={"mixup": 0.2}))
    assert result.qualities[0].integer_only > 0.3
