"""How weight tensors are quantized: one module per weight scheme, from real weights to their grid.

    PerLayerAsymPACT         one range, both ends learned by gradient (PACT, arXiv 1805.06085, eq. 4, for both ends),
                             started where the squared error is least
    PerLayerAsymMinMax       the tensor's own minimum and maximum, at every step (arXiv 1905.13082, eq. 1)
    PerChannelsAsymMinMax    each output channel's own, likewise
    PerChannelSymLSQ         each output channel's own step, learned (LSQ, arXiv 1902.08153, eq. 1 to 4), started where
                             the squared error is least

The codes of `PerChannelSymLSQ` reach from -2^(b-1) to 2^(b-1) - 1 steps, one further down than up, which is a third of
the range at 2 bits. A channel whose weights reach further up has a negative step: codes are counted downwards, and the
sign goes into the requantization as that of a negative gamma does. It costs the device nothing.

A grid always holds real zero. `weight_codes` is the one place where a weight becomes its code, for training's forward
pass and for conversion alike. To add a scheme, see docs/adding-a-scheme.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

from deploy.arithmetic import top_code
from network.allocation import Bits, WeightScheme
from network.layers import LINEAR
from network.sensitivity.least_error import least_error_steps, symmetric_steps
from qat.quantizers.bounds import LEAST_EXTENT, Bounds
from qat.quantizers.fake_quantize import TrainedGrid, fake_quantized, straight_through
from qat.quantizers.histogram import histogram_of, least_error_range
from qat.quantizers.step import LearnedStep


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """The real values of a weight tensor's codes: scale * (code - zero_point).

    Attributes:
        scale: float32 [1] or [output channels]; below 0 where codes are counted downwards.
        zero_point: float32 of whole numbers, [1] or [output channels].
    """

    scale: Tensor
    zero_point: Tensor

    def trained(self, bits: Bits, weight: Tensor) -> TrainedGrid:
        """The same beside the weight tensor, for fake quantization."""
        scale, zero_point = across(self.scale, weight), across(self.zero_point, weight)
        return TrainedGrid(scale, -zero_point, top_code(bits) - zero_point)


class WeightQuantizer(nn.Module, ABC):
    """A scheme for one weight tensor.

    forward: a weight tensor -> the same on its grid, with gradients.
    """

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits

    @abstractmethod
    def start(self, weight: Tensor) -> None:
        """Begin with this weight tensor (again, once batch norm is folded into it, or at other bits)."""

    @abstractmethod
    def grid(self, weight: Tensor) -> WeightGrid:
        """The grid of this weight tensor, no gradient."""

    @abstractmethod
    def keep_valid(self) -> None:
        """Bring what the optimizer has changed back to where it makes sense."""


class MinMax(WeightQuantizer):
    """From the minimum to the maximum, of the tensor or of each output channel, measured at every step."""

    def __init__(self, bits: Bits, *, per_channel: bool) -> None:
        super().__init__(bits)
        self.per_channel = per_channel

    def start(self, weight: Tensor) -> None:
        """Nothing is kept: every step measures anew."""

    def grid(self, weight: Tensor) -> WeightGrid:
        rows = weight.detach().flatten(1) if self.per_channel else weight.detach().reshape(1, -1)
        return grid_between(rows.amin(dim=1), rows.amax(dim=1), self.bits)

    def keep_valid(self) -> None:
        """Nothing is learned."""

    def forward(self, weight: Tensor) -> Tensor:
        return straight_through(weight, self.grid(weight).trained(self.bits, weight))


class PerLayerPact(WeightQuantizer):
    """One range for the layer, both ends learned."""

    def __init__(self, bits: Bits) -> None:
        super().__init__(bits)
        self.bounds = Bounds(LINEAR, learned=True)

    def start(self, weight: Tensor) -> None:
        self.bounds.start(*least_error_range(histogram_of(weight.detach()), self.bits))

    def grid(self, weight: Tensor) -> WeightGrid:
        low, high = self.bounds()
        return grid_between(low.detach().reshape(1), high.detach().reshape(1), self.bits)

    def keep_valid(self) -> None:
        self.bounds.keep_valid()

    def forward(self, weight: Tensor) -> Tensor:
        low, high = self.bounds()
        grid = grid_between(low.detach(), high.detach(), self.bits)
        top = top_code(self.bits)
        return fake_quantized(weight, TrainedGrid(grid.scale, -grid.zero_point, top - grid.zero_point, low, high))


class PerChannelLsq(WeightQuantizer):
    """A learned step for each output channel; the zero point is the layer's, and never changes."""

    def __init__(self, bits: Bits, shape: tuple[int, ...]) -> None:
        super().__init__(bits)
        self.step = LearnedStep((shape[0], *(1 for _ in shape[1:])))

    def start(self, weight: Tensor) -> None:
        steps = least_error_steps(weight.detach().flatten(1).cpu().numpy(), self.bits)
        self.step.start(across(torch.from_numpy(steps).to(weight.device), weight))

    def grid(self, weight: Tensor) -> WeightGrid:
        lowest, _ = symmetric_steps(self.bits)
        return WeightGrid(self.step.value.flatten(), weight.new_tensor([-lowest]))

    def keep_valid(self) -> None:
        self.step.keep_valid()

    def forward(self, weight: Tensor) -> Tensor:
        lowest, highest = symmetric_steps(self.bits)
        return fake_quantized(weight, TrainedGrid(self.step(weight[0].numel(), highest), lowest, highest))


_QUANTIZERS: Final[Mapping[WeightScheme, Callable[[Bits, tuple[int, ...]], WeightQuantizer]]] = {
    WeightScheme.PER_LAYER_ASYM_PACT: lambda bits, _: PerLayerPact(bits),
    WeightScheme.PER_LAYER_ASYM_MIN_MAX: lambda bits, _: MinMax(bits, per_channel=False),
    WeightScheme.PER_CHANNELS_ASYM_MIN_MAX: lambda bits, _: MinMax(bits, per_channel=True),
    WeightScheme.PER_CHANNEL_SYM_LSQ: PerChannelLsq,
}


def quantizer_for(scheme: WeightScheme, bits: Bits, shape: tuple[int, ...]) -> WeightQuantizer:
    """A new quantizer of that scheme, for a weight tensor [output channels, ...] of that shape."""
    return _QUANTIZERS[scheme](bits, shape)


@torch.no_grad()
def weight_codes(weight: Tensor, grid: WeightGrid, bits: Bits) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The code of every weight, uint8 in the weight tensor's own shape: what training's forward pass multiplied by.

    The quotient is rounded as fake quantization rounds it, so that both agree to the last bit.
    """
    codes = weight_steps(weight, grid, bits) + across(grid.zero_point, weight)
    return codes.to(torch.uint8).cpu().numpy()


@torch.no_grad()
def weight_steps(weight: Tensor, grid: WeightGrid, bits: Bits) -> Tensor:
    """The code of every weight less the zero point, float32 in the weight tensor's own shape."""
    scale, zero_point = across(grid.scale, weight), across(grid.zero_point, weight)
    steps = torch.floor(weight / scale + 0.5)
    return torch.minimum(torch.maximum(steps, -zero_point), top_code(bits) - zero_point)


def across(values: Tensor, weight: Tensor) -> Tensor:
    """[1] or [output channels] -> [1, 1, ...] or [output channels, 1, ...], as many dimensions as the weight tensor."""
    return values.reshape((-1,) + (1,) * (weight.ndim - 1))


def grid_between(low: Tensor, high: Tensor, bits: Bits) -> WeightGrid:
    """The grid from `low` to `high`, tensors of one shape; each range is widened to hold zero."""
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    extent = high - low
    # Without extent the weights are zero, and any scale will do.
    scale = torch.where(extent > LEAST_EXTENT, extent / top_code(bits), torch.ones_like(extent))
    zero_point = torch.floor(-low / scale + 0.5).clamp(0, top_code(bits))
    return WeightGrid(scale, zero_point)
