"""The recipe's mode of batch norm, by what the float network itself loses on the statistics of batches.

Training normalises by the statistics of each batch, the deployed network by the running statistics. Where the float
network computes another function on the statistics of batches, because the batches are small or the training set has
another mix of samples than the network was trained on, training spends its steps on that difference. A post-trained
network was fitted to the running statistics, so that training goes on with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from network.joined_samples import input_tensors
from network.layers import WeightLayer
from network.network import Network
from qat.data.batches import Split, tensor_of
from qat.data.dataset import SampleSource
from qat.float_network import FloatNetwork, clamped
from qat.graph import joined_outputs, run_layers
from qat.options.names import BatchNormMode
from qat.options.post_training import PostTrainingOptions
from qat.tasks.task_objectives import TaskObjectives
from qat.windows import convolved

LARGEST_DISTANCE: Final = 0.5
"""Distance between the float network's outputs on statistics of batches and on running statistics, in nats or as a
share of the variance, from which batch norm is frozen (docs/training.md, "The recipe")."""

MEASURED_BATCHES: Final = 8
"""Largest number of batches on which the distance is measured."""


def has_batch_norm(network: Network) -> bool:
    """Return whether any layer of a network has a batch norm."""
    return any(layer.batch_norm is not None for layer in network.weight_layers)


def batch_norm_for(distance: float, batch_size: int) -> tuple[BatchNormMode, str]:
    """Choose the mode of batch norm.

    Args:
        distance: Distance that `distance_on_batch_statistics` has measured.
        batch_size: Number of samples that are normalised together.

    Returns:
        The mode, and the reason for it.
    """
    chosen = BatchNormMode.FROZEN if distance > LARGEST_DISTANCE else BatchNormMode.TRAIN
    reason = (
        f"on the statistics of batches of {batch_size}, the outputs of the float network differ by {distance:.3g} from "
        f"those on its running statistics; frozen above {LARGEST_DISTANCE:g}"
    )
    return chosen, reason


def batch_norm_after(start: PostTrainingOptions) -> tuple[BatchNormMode, str] | None:
    """Choose the mode of batch norm where the start of training decides it.

    Args:
        start: Options of post-training before the first epoch.

    Returns:
        The mode, and the reason for it; None if training starts at the calibrated network.
    """
    if not start.improves:
        return None
    return (
        BatchNormMode.FROZEN,
        "training starts at the post-trained network, which is fitted to the running statistics",
    )


def distance_on_batch_statistics(
    float_network: FloatNetwork,
    objectives: TaskObjectives,
    samples: SampleSource,
    split: Split,
    batch_size: int,
    processor: torch.device,
) -> float:
    """Measure how far the float network's outputs move if each batch norm uses the statistics of the batch.

    Args:
        float_network: The float network, on the torch device `processor`.
        objectives: Objectives of the task, whose distance is used.
        samples: The training set.
        split: Split of the training set; the first training samples are used.
        batch_size: Number of samples that are normalised together.
        processor: The torch device of the float network.

    Returns:
        Mean distance of a sample, in the unit of the loss.
    """
    count = min(len(split.training), MEASURED_BATCHES * batch_size)
    starts = range(0, max(count - batch_size, 0) + 1, batch_size)
    total = 0.0
    for start in starts:
        chosen = split.training[start : start + batch_size]
        images = tensor_of(samples[chosen], float_network.network).to(processor)
        with torch.no_grad():
            by_running, by_batch = float_network(images), on_batch_statistics(float_network, images)
        total += float(objectives.divergences(by_running, by_batch).mean())
    return total / len(starts)


def on_batch_statistics(float_network: FloatNetwork, images: Tensor) -> Tensor:
    """Compute the float network's outputs with each batch norm on the statistics of the batch, [n, values].

    The running statistics are not changed.

    Args:
        float_network: The float network.
        images: Normalised images, [n, channels, height, width], or several inputs joined, [n, elements].
    """
    network = float_network.network

    def compute(index: int, inputs: Sequence[Tensor]) -> Tensor:
        layer = network.layers[index]
        if not isinstance(layer, WeightLayer) or layer.batch_norm is None:
            return float_network.step(index, inputs)
        parameters = float_network.weight_parameters(index)
        sums = convolved(inputs[0], parameters.weight, None, layer)
        return clamped(parameters.normalised(sums, momentum=0.0), layer.activation)

    return joined_outputs(network, run_layers(network, input_tensors(images, network.inputs), compute))
