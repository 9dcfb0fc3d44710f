"""Quality of the float network on the held-out samples of the training set, for comparison with trained networks."""

from __future__ import annotations

from dataclasses import dataclass

from network.network import Network
from qat.data.batches import split_of
from qat.data.dataset import Dataset
from qat.data.images import fitted
from qat.options.task import Metric
from qat.options.training import TrainingOptions
from qat.prepare import float_module
from qat.progress import Report, silent
from qat.tasks.choice import Task
from qat.tasks.float_figure import has_float_figure
from qat.tasks.meters import TaskMeter
from qat.training.evaluation import evaluation_batches, of_module, samples_by_batch
from qat.training.judging import FLOAT_COST, METRICS
from qat.training.processor import processor_of
from qat.training.reporting import Reporter
from qat.training.run_targets import RunTargets


@dataclass(frozen=True, slots=True)
class HeldOutQuality:
    """Quality of the float network on the samples on which a training run validates its epochs.

    Attributes:
        task: The task.
        metric: Metric of the task; larger figures are better.
        samples: Number of held-out samples.
        float_network: Figure of the float network; None where its own outputs are the targets.
    """

    task: Task
    metric: Metric
    samples: int
    float_network: float | None


def held_out_quality(
    network: Network, dataset: Dataset, options: TrainingOptions, *, report: Report = silent
) -> HeldOutQuality:
    """Measure the float network on the held-out samples of the training set.

    The samples, the targets and the metric are those by which `qat.train.train` with equal options validates its
    epochs, so that the figures can be subtracted.

    Args:
        network: The network, with weights.
        dataset: The dataset.
        options: Training options: the task, and the share and the seed of the held-out samples.
        report: Callback that receives the progress.

    Raises:
        DatasetError: If the targets do not suit the network or the task, or there are too few samples.
        RequestError: If the options augment samples in a way that does not suit the task.
    """
    dataset = fitted(dataset, network)
    processor = processor_of(options)
    targets = RunTargets(network, dataset, options)
    split = split_of(dataset, options.validation_fraction, options.seed)
    held_out, metric = split.validation, METRICS[targets.task.kind]
    if not has_float_figure(targets.task):
        return HeldOutQuality(targets.task, metric, len(held_out), None)
    reporter = Reporter(report, options.epochs or 0, total_cost=FLOAT_COST * len(held_out))
    module = float_module(network).to(processor)
    meter = TaskMeter(targets.objectives(module, split, processor, reporter))
    predict = of_module(module, network, processor)
    reporter.begin(
        "judging the float network", epoch=None, steps=len(evaluation_batches(network, len(held_out))), cost=FLOAT_COST
    )
    for indices, samples in samples_by_batch(network, dataset.train_x, held_out, reporter):
        outputs = predict(samples)
        meter.add(outputs, targets.of_training_set[indices], outputs, None)
    return HeldOutQuality(targets.task, metric, len(held_out), next(iter(meter.figures().values())))
