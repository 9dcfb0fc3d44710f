"""Parts of a measurement by divergence: each measures some tensors, on all samples in the same order.

The sums of a tensor depend on no other tensor, so that the parts together have exactly the sums of one measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from network.layers import WeightLayer
from network.network import Network
from qat.data.dataset import Samples
from qat.options.sensitivity import SensitivityOptions
from qat.sensitivity.divergence import MeasuredTensor
from qat.sensitivity.sums import Sums
from qat.tasks.choice import Task


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """Input of a measurement of sensitivities.

    Attributes:
        network: The network, with weights.
        samples: Chosen samples [n, ...], in the form in which the dataset stores them.
        targets: Targets of the samples.
        options: How sensitivities are measured.
        task: The task.
    """

    network: Network
    samples: Samples
    targets: npt.NDArray[Any]
    options: SensitivityOptions
    task: Task


def divided(network: Network, count: int) -> list[frozenset[MeasuredTensor]]:
    """Return the tensors of a network, divided into parts that need about the same time.

    For a tensor near the input, more layers are computed again than for one near the output; therefore the parts take
    the tensors in turn.

    Args:
        network: The network.
        count: Largest number of parts, at least 1.
    """
    tensors: list[MeasuredTensor] = [("activations", name) for name in network.input_names]
    for layer in network.layers:
        if isinstance(layer, WeightLayer):
            tensors.append(("weights", layer.name))
        tensors.append(("activations", layer.output))
    parts = (frozenset(tensors[first::count]) for first in range(count))
    return [part for part in parts if part]


def joined(parts: list[Sums]) -> Sums:
    """Return the sums of all parts, of which each has other tensors."""
    whole = Sums(parts[0].weights)
    for part in parts:
        whole.activations.take(part.activations)
        for scheme, sums in part.weights.items():
            whole.weights[scheme].take(sums)
    return whole
