"""Floating-point simulation of the network on the device, with the same rounding as the integer-only network.

A tensor holds code - zero_point for each element: whole numbers, which float32 represents exactly. The constants are
fixed: the trainable module builds a new simulation for each evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from deploy.input_codes import HALF_TOLERANCE
from network.joined_samples import input_tensors
from network.layers import Add, AveragePool, Concat, Layer, WeightLayer
from network.network import Network
from qat.deployed_weights import DeployedWeights
from qat.float_network import combined
from qat.graph import joined_outputs, run_layers
from qat.quantizers.fake_quantize import Grid
from qat.requantization_factors import requantization_of
from qat.weight_step import deployed_steps
from qat.windows import window_sizes, window_sums


class DeployedNetwork:
    """Floating-point simulation of the network on the device, with fixed weights, biases and requantization factors.

    Attributes:
        network: The float network, which gives layers and shapes.
        grids: The quantization grid of each activation tensor, by tensor name.
        weights: The constants of each layer with weights, by layer name.
    """

    def __init__(
        self,
        network: Network,
        grids: Mapping[str, Grid],
        range_owner: Mapping[str, str],
        weights: Mapping[str, DeployedWeights],
    ) -> None:
        self.network = network
        self.grids = grids
        self.weights = weights
        self._range_owner = range_owner

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Compute all outputs of the simulated network for a batch of images, as real values.

        Args:
            images: Normalised input images, [n, channels, height, width], or several inputs joined, [n, elements].

        Returns:
            Real values of all outputs, flattened and concatenated to [n, values].
        """
        steps = self._run(images, keep_all=False)
        return joined_outputs(self.network, {each: steps[each] * self.grids[each].scale for each in steps})

    @torch.no_grad()
    def codes(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the integer codes of each activation tensor of the simulated network, uint8 [n, channels, height,
        width], by tensor name.

        Args:
            images: Normalised input images, [n, channels, height, width], or several inputs joined, [n, elements].
        """
        steps = self._run(images, keep_all=True)
        return {tensor: (each + self.grids[tensor].zero_point).to(torch.uint8) for tensor, each in steps.items()}

    def _run(self, images: Tensor, *, keep_all: bool) -> dict[str, Tensor]:
        def compute(index: int, inputs: Sequence[Tensor]) -> Tensor:
            layer = self.network.layers[index]
            target = self.grids[layer.output]
            if isinstance(layer, WeightLayer):
                return _rounded(deployed_steps(inputs[0], self.weights[layer.name], layer), target)
            if self._range_owner[layer.output] != layer.output:
                return combined(layer, inputs)  # the output uses the input's range: codes are copied, not rounded
            return _rounded(self._combined(layer, inputs), target)

        given = {
            name: _rounded(values.double() / self.grids[name].scale + HALF_TOLERANCE, self.grids[name])
            for name, values in input_tensors(images, self.network.inputs).items()
        }
        return run_layers(self.network, given, compute, keep_all=keep_all)

    def _combined(self, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
        """Compute the output of a layer without weights in multiples of the output's quantization step, float64, not
        yet rounded.

        The factors are those of the integer-only network. float64 represents their products with input steps exactly,
        so that halves are rounded in the same direction as on the device.
        """
        shape = self.network.shapes[layer.inputs[0]]
        factors = requantization_of(layer, shape, self.grids).factors.tolist()
        if isinstance(layer, Add | Concat):
            return combined(layer, [each.double() * factor for each, factor in zip(inputs, factors, strict=True)])
        values = inputs[0].double()
        if isinstance(layer, AveragePool):
            factor_of = dict(zip(layer.divisors(shape), factors, strict=True))
            sizes = window_sizes(layer, shape.height, shape.width).double()
            return window_sums(values, layer).mul_(sizes.apply_(lambda size: factor_of[int(size)]).to(values.device))
        return combined(layer, [values]).mul(factors[0])


def _rounded(steps: Tensor, grid: Grid) -> Tensor:
    """Round float64 multiples of the quantization step (overwritten in place) to the nearest ones that have a code,
    float32.
    """
    return steps.add_(0.5).floor_().clamp_(grid.lowest_step, grid.highest_step).float()
