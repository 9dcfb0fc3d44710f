"""Quantization errors of each tensor of the float network at 8, 4 and 2 bits, from which all sensitivities are
computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
"""Number of samples on which activation ranges are measured; a sensitivity estimate does not need rare outliers."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorErrors:
    """Quantization errors of each weight tensor and quantization grids of each activation tensor, at 8, 4 and 2 bits.

    Attributes:
        network: The network.
        float_network: The network as a float32 torch module, in which only the weight tensors receive gradients.
        weights: By scheme, name of the layer that stores the weights and bits, the quantized weights minus the weights,
            in the shape of the weight tensor.
        grids: By activation tensor and bits, the quantization grid of least squared error.
    """

    network: Network
    float_network: FloatNetwork
    weights: Mapping[WeightScheme, Mapping[str, Mapping[Bits, Tensor]]]
    grids: Mapping[str, Mapping[Bits, Grid]]

    def parameters(self, layer: WeightLayer) -> WeightParameters:
        """Return the trainable parameters of a layer in the float network."""
        return self.float_network.weight_parameters(self.network.layers.index(layer))

    def activation(self, tensor: str, values: Tensor, bits: Bits) -> Tensor:
        """Compute the quantization error of an activation tensor: quantized values minus real values.

        Args:
            tensor: Name of the activation tensor.
            values: Real values of the tensor, of any shape.
            bits: Number of bits: 8, 4 or 2.
        """
        return on_grid(values, self.grids[tensor][bits]).sub_(values)


@torch.no_grad()
def tensor_errors(float_network: FloatNetwork, samples: Samples, schemes: Sequence[WeightScheme]) -> TensorErrors:
    """Compute the quantization errors of each tensor of a network at 8, 4 and 2 bits.

    Args:
        float_network: The network as a float32 torch module. Its parameters are changed so that only the weight tensors
            receive gradients.
        samples: Samples [n, ...], in the form in which the dataset stores them; activation ranges are measured on the
            first `RANGE_SAMPLES` of them.
        schemes: Schemes by which weights are quantized; batch norm is not folded.

    Raises:
        TrainingError: If an activation is not finite on the samples.
    """
    network = float_network.network
    for name, parameter in float_network.named_parameters():
        parameter.requires_grad_(name.endswith(".weight"))
    weights: dict[WeightScheme, dict[str, dict[Bits, Tensor]]] = {scheme: {} for scheme in schemes}
    for index, layer in enumerate(network.layers):
        if isinstance(layer, WeightLayer) and network.weight_owners.stores(layer.name):
            weight = float_network.weight_parameters(index).weight.detach()
            for scheme, of_layer in weights.items():
                of_layer[layer.name] = {bits: _quantized(weight, scheme, bits) - weight for bits in BITS}
    known = intervals(network)
    some = samples[:RANGE_SAMPLES]
    grids = {
        given.name: {bits: input_grid(network, some, bits, given=given) for bits in BITS} for given in network.inputs
    }
    for tensor, histogram in histograms(float_network, some).items():
        if tensor not in network.input_names:
            ranges = {bits: least_error_range(histogram, bits) for bits in BITS}
            grids[tensor] = {bits: grid_of(*ranges[bits], bits, known[tensor]) for bits in BITS}
    return TensorErrors(network, float_network, weights, grids)


def _quantized(weight: Tensor, scheme: WeightScheme, bits: Bits) -> Tensor:
    quantizer = quantizer_for(scheme, bits, tuple(weight.shape))
    quantizer.start(weight)
    quantized: Tensor = quantizer(weight)
    return quantized.detach()
