"""The fake-quantized network as it will be deployed, in floating point wide enough that rounding goes as with integers.

Tensors are codes less their zero points: whole numbers, exact in float32. Nothing here changes any more; the module
that learns makes a new one whenever it is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from network.layers import Add, AveragePool, Concat, Layer, WeightLayer
from network.network import Network
from qat.float_network import combined
from qat.graph import Schedule
from qat.quantizers.fake_quantize import Grid
from qat.requantization_factors import requantization_of
from qat.weight_step import DeployedWeights, deployed_steps
from qat.windows import window_sizes, window_sums


class DeployedNetwork:
    """A network's constants, and what they compute.

    Attributes:
        grids: every activation tensor -> what its codes stand for.
        weights: every layer with weights -> its constants.
    """

    def __init__(
        self,
        network: Network,
        schedule: Schedule,
        grids: Mapping[str, Grid],
        range_owner: Mapping[str, str],
        weights: Mapping[str, DeployedWeights],
    ) -> None:
        self.network = network
        self.grids = grids
        self.weights = weights
        self._schedule = schedule
        self._range_owner = range_owner

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """[n, c, h, w] input tensors, normalised -> [n, elements], the first output's real values."""
        output = self.network.outputs[0]
        steps = self._run(images, keep_all=False)[output]
        return (steps * self.grids[output].scale).flatten(1)

    @torch.no_grad()
    def codes(self, images: Tensor) -> dict[str, Tensor]:
        """The codes of every activation tensor, uint8 [n, c, h, w], by its name."""
        steps = self._run(images, keep_all=True)
        return {tensor: (each + self.grids[tensor].zero_point).to(torch.uint8) for tensor, each in steps.items()}

    def _run(self, images: Tensor, *, keep_all: bool) -> dict[str, Tensor]:
        def step(index: int, inputs: Sequence[Tensor]) -> Tensor:
            layer = self.network.layers[index]
            target = self.grids[layer.output]
            if isinstance(layer, WeightLayer):
                return _rounded(deployed_steps(inputs[0], self.weights[layer.name], layer), target)
            if self._range_owner[layer.output] != layer.output:
                return combined(layer, inputs)  # its codes are its input's
            return _rounded(self._combined(layer, inputs), target)

        source = self.grids[self.network.input]
        return self._schedule.run(_rounded(images.double() / source.scale, source), step, keep_all=keep_all)

    def _combined(self, layer: Layer, inputs: Sequence[Tensor]) -> Tensor:
        """What a layer without weights computes, in steps of its output, float64.

        With the chip's own factors, whose products with steps float64 holds: halves go to the same side.
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
    """Steps, in float64 and free to overwrite -> the nearest that have a code, float32."""
    return steps.add_(0.5).floor_().clamp_(grid.lowest_step, grid.highest_step).float()
