"""The errors that quantization makes in each tensor alone, before any training: what all measures multiply by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from network.allocation import BITS, Bits, WeightScheme
from network.layers import WeightLayer
from network.network import Network
from qat.activation_ranges import intervals
from qat.calibration import histograms, input_grid
from qat.data.dataset import Samples
from qat.float_network import FloatNetwork, WeightParameters
from qat.quantizers.fake_quantize import Grid, on_grid
from qat.quantizers.histogram import least_error_range
from qat.quantizers.ranges import grid_of
from qat.quantizers.weights import quantizer_for

RANGE_SAMPLES = 64
"""Samples that activation ranges are measured on: an estimate needs no tail."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorErrors:
    """What each tensor becomes at each of the bits.

    Attributes:
        network: whose tensors they are.
        float_network: the same as a module; only its weights take gradients.
        weights: layer name -> bits -> quantized weight less weight, in the weight's own shape.
        grids: activation tensor -> bits -> its grid, of least squared error.
    """

    network: Network
    float_network: FloatNetwork
    weights: Mapping[str, Mapping[Bits, Tensor]]
    grids: Mapping[str, Mapping[Bits, Grid]]

    def parameters(self, layer: WeightLayer) -> WeightParameters:
        """What the float network holds of a layer."""
        return self.float_network.weight_parameters(self.network.layers.index(layer))

    def activation(self, tensor: str, values: Tensor, bits: Bits) -> Tensor:
        """The quantized values of an activation tensor less its values."""
        return on_grid(values, self.grids[tensor][bits]).sub_(values)


@torch.no_grad()
def tensor_errors(float_network: FloatNetwork, samples: Samples, scheme: WeightScheme) -> TensorErrors:
    """The errors of every tensor of a network at 8, 4 and 2 bits.

    Args:
        float_network: the network.
        samples: activation ranges are measured on the first of them.
        scheme: how weights are quantized; batch norm stays where it is.

    Raises:
        TrainingError: a tensor is not finite on the samples.
    """
    network = float_network.network
    for name, parameter in float_network.named_parameters():
        parameter.requires_grad_(name.endswith(".weight"))
    weights = {}
    for index, layer in enumerate(network.layers):
        if isinstance(layer, WeightLayer):
            weight = float_network.weight_parameters(index).weight.detach()
            weights[layer.name] = {bits: _quantized(weight, scheme, bits) - weight for bits in BITS}
    known = intervals(network)
    some = samples[:RANGE_SAMPLES]
    grids = {network.input: {bits: input_grid(network, some, bits) for bits in BITS}}
    for tensor, histogram in histograms(float_network, some).items():
        if tensor != network.input:
            ranges = {bits: least_error_range(histogram, bits) for bits in BITS}
            grids[tensor] = {bits: grid_of(*ranges[bits], bits, known[tensor]) for bits in BITS}
    return TensorErrors(network, float_network, weights, grids)


def _quantized(weight: Tensor, scheme: WeightScheme, bits: Bits) -> Tensor:
    quantizer = quantizer_for(scheme, bits, tuple(weight.shape))
    quantizer.start(weight)
    quantized: Tensor = quantizer(weight)
    return quantized.detach()
