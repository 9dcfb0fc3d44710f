"""Equalization of a network with the largest output of each channel measured on samples, in the float network.

The largest output limits how far a channel is scaled up. Without it, a channel with tiny weights and a large bias would
be scaled up until its weights have the size of the others, and its output would widen the range of the whole tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import torch

from network.layers import WeightLayer
from network.network import Network
from qat.data.batches import tensor_of
from qat.data.dataset import Samples, SampleSource
from qat.float_network import FloatNetwork
from qat.post_training.block_inputs import batches
from qat.post_training.equalization import equalized
from qat.prepare import float_module

DoubleArray = npt.NDArray[np.float64]

MEASURED_SAMPLES: Final = 128
"""Number of samples on which the largest outputs are measured."""


@torch.no_grad()
def largest_outputs(float_network: FloatNetwork, samples: Samples) -> Mapping[str, DoubleArray]:
    """Measure the largest absolute output of each channel, behind the activation function.

    Args:
        float_network: The float network.
        samples: Samples as the dataset stores them, [n, *dims].

    Returns:
        Name of each layer with weights -> largest absolute outputs, [output channels]; 0 for a channel that is 0 on all
        samples.
    """
    network = float_network.network
    largest = {layer.name: np.zeros(layer.output_channels) for layer in network.weight_layers}
    for batch in batches(len(samples)):
        tensors = float_network.tensors(tensor_of(samples[batch], network))
        for layer in network.layers:
            if isinstance(layer, WeightLayer):
                found = tensors[layer.output].abs().amax(dim=(0, 2, 3)).double().cpu().numpy()
                largest[layer.name] = np.maximum(largest[layer.name], found)
    return largest


def equalized_on(network: Network, samples: SampleSource, seed: int) -> Network:
    """Return a network that computes the same function with equalized weights (`qat.post_training.equalization`).

    Args:
        network: The float network, with weights.
        samples: Samples as the dataset stores them, [n, *dims]; `MEASURED_SAMPLES` of them are drawn.
        seed: Seed of the draw, so that samples in the order of their classes are all represented.
    """
    count = len(samples)
    drawn = np.random.default_rng([seed, 6]).permutation(count)[:MEASURED_SAMPLES]
    return equalized(network, largest_outputs(float_module(network), samples[np.sort(drawn)]))
