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
from qat.fake_quantize import fake_quantized_weight
from qat.histogram import histogram_of, least_error_range

LEAST_EXTENT: Final = 1e-30
"""Of a channel's weights: below, they are all zero, and any scale will do."""


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
    """One range for the layer, both ends learned, in units of the extent it started with."""

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        self.register_buffer("extent", torch.ones(()))
        self.extent: Tensor
        self.low = nn.Parameter(torch.tensor(-0.5))
        self.high = nn.Parameter(torch.tensor(0.5))

    def start(self, weight: Tensor) -> None:
        low, high = least_error_range(histogram_of(weight.detach()), self.bits)
        extent = max(high - low, LEAST_EXTENT)
        with torch.no_grad():
            self.extent.fill_(extent)
            self.low.fill_(low / extent)
            self.high.fill_(high / extent)

    def grid(self, weight: Tensor) -> WeightGrid:
        bounds = (self.extent * self.low).detach(), (self.extent * self.high).detach()
        return _grid_between(bounds[0].reshape(1), bounds[1].reshape(1), self.bits)

    def keep_valid(self) -> None:
        with torch.no_grad():
            self.low.clamp_(max=0.0)
            self.high.clamp_(min=0.0)
            if self.high.item() - self.low.item() < 1e-3:  # never narrower than a thousandth of the start
                self.high.fill_(1e-3)

    def forward(self, weight: Tensor) -> Tensor:
        grid = self.grid(weight)
        low, high = self.extent * self.low, self.extent * self.high
        return fake_quantized_weight(weight, grid.scale, grid.zero_point, self.bits, low, high)


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
    scale = torch.where(extent > LEAST_EXTENT, extent / top_code(bits), torch.ones_like(extent))
    zero_point = torch.floor(-low / scale + 0.5).clamp(0, top_code(bits))
    return WeightGrid(scale, zero_point)
