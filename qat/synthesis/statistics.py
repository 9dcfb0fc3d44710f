"""Distance between the statistics of a batch and those that batch norm has stored, over all layers with batch norm.

With the mean m and the standard deviation s of a channel's sums in the batch, and mu and sigma as batch norm has stored
them, the distance of a channel is, in units that batch norm itself uses (ZeroQ, arXiv 2001.00281, equation 2, has it
without the units):

    ((m - mu) / sigma)^2 + (s / sigma - 1)^2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from network.layers import WeightLayer
from network.network import Network
from qat.float_network import FloatNetwork, clamped
from qat.graph import run_layers
from qat.windows import convolved


def has_statistics(network: Network) -> bool:
    """Return whether a layer of a network has a batch norm, which stores the statistics of the training samples."""
    return any(layer.batch_norm is not None for layer in network.weight_layers)


def statistics_distance(float_network: FloatNetwork, inputs: Mapping[str, Tensor]) -> Tensor:
    """Compute the mean distance between a batch's statistics and the stored ones; each layer counts equally.

    Args:
        float_network: The float network, which has a batch norm.
        inputs: Input tensors by name, [n, channels, height, width].

    Returns:
        The distance, a scalar with a gradient.
    """
    distances: list[Tensor] = []

    def output_of(index: int, read: Sequence[Tensor]) -> Tensor:
        layer = float_network.network.layers[index]
        if not isinstance(layer, WeightLayer):
            return float_network.step(index, read)
        parameters = float_network.weight_parameters(index)
        if not parameters.has_batch_norm:
            return float_network.step(index, read)
        sums = convolved(read[0], parameters.weight, None, layer)
        variance, mean = torch.var_mean(sums, dim=(0, 2, 3), unbiased=False)
        stored = torch.sqrt(parameters.variance + parameters.epsilon)
        of_mean = (mean - parameters.mean) / stored
        of_deviation = torch.sqrt(variance + parameters.epsilon) / stored - 1
        distances.append((of_mean.square() + of_deviation.square()).mean())
        return clamped(parameters.normalised(sums), layer.activation)

    run_layers(float_network.network, inputs, output_of)
    return torch.stack(distances).mean()
