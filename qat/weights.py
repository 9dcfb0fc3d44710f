"""How weight tensors are quantized: one module per weight scheme, from real weights to their grid.

    PerLayerAsymPACT         one range, both ends learned by gradient, started where the squared error is least
    PerChannelsAsymMinMax    each output channel's own minimum and maximum, at every step

A grid always holds real zero. `weight_codes` is the one place where a weight becomes its code, for training's forward
pass and for conversion alike. To add a scheme, see docs/adding-a-scheme.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from deploy.arithmetic import top_code
from network.allocation import Bits, WeightScheme
from network.layers import LINEAR
from qat.bounds import LEAST_EXTENT, Bounds
from qat.fake_quantize import fake_quantized_weight
from qat.histogram import histogram_of, least_error_range


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """The real values of a weight tensor's codes: scale * (code - zero_point).

    Attributes:
        scale: float32 [1] or [output channels], above 0.
        zero_point: float32 of whole numbers, as many.
    """

    scale: Tensor
    zero_point: Tensor


class WeightQuantizer(Protocol):
    """A scheme for one weight tensor."""

    bits: Bits

    def start(self, weight: Tensor) -> None:
        """Begin with this weight tensor (again, once batch norm is folded into it)."""

    def grid(self, weight: Tensor) -> WeightGrid:
        """The grid of this weight tensor, no gradient."""

    def keep_valid(self) -> None:
        """After a step of the optimizer."""

    def __call__(self, weight: Tensor) -> Tensor:
        """The weight tensor on its grid, with gradients."""


class PerChannelMinMax(nn.Module):
    """Each output channel from its minimum to its maximum."""

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits

    def start(self, weight: Tensor) -> None:
        """Nothing is kept: every step measures anew."""

    def grid(self, weight: Tensor) -> WeightGrid:
        rows = weight.detach().flatten(1)
        return _grid_between(rows.amin(dim=1), rows.amax(dim=1), self.bits)

    def keep_valid(self) -> None:
        """Nothing is learned."""

    def forward(self, weight: Tensor) -> Tensor:
        grid = self.grid(weight)
        return fake_quantized_weight(weight, grid.scale, grid.zero_point, self.bits)


class PerLayerPact(nn.Module):
    """One range for the layer, both ends learned."""

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        self.bounds = Bounds(LINEAR, learned=True)

    def start(self, weight: Tensor) -> None:
        self.bounds.start(*least_error_range(histogram_of(weight.detach()), self.bits))

    def grid(self, weight: Tensor) -> WeightGrid:
        low, high = self.bounds.values
        return _grid_between(weight.new_tensor([low]), weight.new_tensor([high]), self.bits)

    def keep_valid(self) -> None:
        self.bounds.keep_valid()

    def forward(self, weight: Tensor) -> Tensor:
        grid = self.grid(weight)
        return fake_quantized_weight(weight, grid.scale, grid.zero_point, self.bits, *self.bounds())


_QUANTIZERS: Final[Mapping[WeightScheme, type[PerLayerPact] | type[PerChannelMinMax]]] = {
    WeightScheme.PER_LAYER_ASYM_PACT: PerLayerPact,
    WeightScheme.PER_CHANNELS_ASYM_MIN_MAX: PerChannelMinMax,
}


def quantizer_for(scheme: WeightScheme, bits: Bits) -> PerLayerPact | PerChannelMinMax:
    """A new quantizer of that scheme."""
    return _QUANTIZERS[scheme](bits)


def weight_codes(weight: Tensor, grid: WeightGrid, bits: Bits) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The code of every weight, uint8 in the weight tensor's own shape: what training's forward pass multiplied by.

    The steps come back out of fake quantization itself, so that both round alike to the last bit.
    """
    across = (-1,) + (1,) * (weight.ndim - 1)
    scale, zero_point = grid.scale.reshape(across), grid.zero_point.reshape(across)
    steps = torch.round(fake_quantized_weight(weight.detach(), scale, zero_point, bits) / scale)
    return (steps + zero_point).to(torch.uint8).numpy()


def _grid_between(low: Tensor, high: Tensor, bits: Bits) -> WeightGrid:
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    extent = high - low
    # Without extent the weights are zero, and any scale will do.
    scale = torch.where(extent > LEAST_EXTENT, extent / top_code(bits), torch.ones_like(extent))
    zero_point = torch.floor(-low / scale + 0.5).clamp(0, top_code(bits))
    return WeightGrid(scale, zero_point)
