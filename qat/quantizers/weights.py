"""Quantization of weight tensors: one torch module for each weight scheme, which determines the range of the weights.

    PerLayerAsymPACT         one range per layer, both bounds learned (PACT, arXiv 1805.06085, eq. 4, for both bounds),
                             initial range of least squared error
    PerLayerAsymMinMax       minimum to maximum of the tensor, computed in every step (arXiv 1905.13082, eq. 1)
    PerChannelsAsymMinMax    minimum to maximum of each output channel, computed in every step
    PerChannelSymLSQ         one step size per output channel, learned (LSQ, arXiv 1902.08153, eq. 1 to 4), initial
                             step size of least squared error

With `PerChannelSymLSQ`, weights are -2^(b-1) to 2^(b-1) - 1 multiples of the step size: one more below zero than above,
which is a third of the range at 2 bits. A channel whose weights reach further above zero gets a negative step size, so
that its weights decrease with the code. The sign becomes part of the requantization factor, like the sign of a negative
gamma, and costs nothing on the device.

Every grid contains real zero. `weight_codes` rounds exactly as fake quantization does, so that the deployed codes are
those of training. To add a scheme, see docs/adding-a-scheme.md.
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
from qat.quantizers.bounds import MIN_WIDTH, Bounds
from qat.quantizers.fake_quantize import TrainedGrid, fake_quantized, straight_through
from qat.quantizers.histogram import histogram_of, least_error_range
from qat.quantizers.step import LearnedStep


@dataclass(frozen=True, slots=True)
class WeightGrid:
    """Quantization grid of a weight tensor: an integer code stands for the real value scale * (code - zero_point).

    Attributes:
        scale: Scale of the layer or of each output channel, float32 [1] or [output channels]; negative for a channel
            whose weights decrease with the code.
        zero_point: Zero point of the layer or of each output channel: whole numbers, float32 [1] or [output channels].
    """

    scale: Tensor
    zero_point: Tensor

    def trained(self, bits: Bits, weight: Tensor) -> TrainedGrid:
        """Return the quantization grid for fake quantization, with constants in a shape that broadcasts to the weight
        tensor.
        """
        scale, zero_point = across(self.scale, weight), across(self.zero_point, weight)
        return TrainedGrid(scale, -zero_point, top_code(bits) - zero_point)


class WeightQuantizer(nn.Module, ABC):
    """Base class of the quantizers of a weight tensor, one for each weight scheme.

    `forward` rounds a weight tensor to its grid, with gradients.
    """

    def __init__(self, bits: Bits) -> None:
        super().__init__()
        self.bits = bits

    @abstractmethod
    def start(self, weight: Tensor) -> None:
        """Set the initial quantization range for a weight tensor; called again after batch norm is folded or the bits
        change.
        """

    @abstractmethod
    def grid(self, weight: Tensor) -> WeightGrid:
        """Compute the quantization grid of a weight tensor, without gradients."""

    @abstractmethod
    def keep_valid(self) -> None:
        """Correct the learned parameters of the quantization range after an optimizer step, so that
        the range is valid.
        """


class MinMax(WeightQuantizer):
    """Weight quantizer whose range goes from the smallest to the largest weight of the tensor or channel, computed in
    every step.
    """

    def __init__(self, bits: Bits, *, per_channel: bool) -> None:
        super().__init__(bits)
        self.per_channel = per_channel

    def start(self, weight: Tensor) -> None:
        """Do nothing: the quantization range is computed from the weights in every step."""

    def grid(self, weight: Tensor) -> WeightGrid:
        rows = weight.detach().flatten(1) if self.per_channel else weight.detach().reshape(1, -1)
        return grid_between(rows.amin(dim=1), rows.amax(dim=1), self.bits)

    def keep_valid(self) -> None:
        """Do nothing: the quantization range has no learned parameters."""

    def forward(self, weight: Tensor) -> Tensor:
        return straight_through(weight, self.grid(weight).trained(self.bits, weight))


class PerLayerPact(WeightQuantizer):
    """Weight quantizer with one range for the whole weight tensor and two learned clipping bounds (PACT)."""

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
    """Weight quantizer with a learned step size for each output channel (LSQ) and one constant zero point."""

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
    """Create the quantizer of a weight tensor for a weight scheme.

    Args:
        scheme: Weight scheme.
        bits: Number of bits of each weight code: 8, 4 or 2.
        shape: Shape of the weight tensor, (output channels, ...).
    """
    return _QUANTIZERS[scheme](bits, shape)


@torch.no_grad()
def weight_codes(weight: Tensor, grid: WeightGrid, bits: Bits) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Compute the integer code of each weight, uint8 in the shape of the weight tensor.

    The rounding is that of fake quantization, so that the codes are exactly those of training's forward pass.

    Args:
        weight: Real weights, float32 [output channels, ...].
        grid: Quantization grid of the weights.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    codes = centred_codes(weight, grid, bits) + across(grid.zero_point, weight)
    return codes.to(torch.uint8).cpu().numpy()


@torch.no_grad()
def centred_codes(weight: Tensor, grid: WeightGrid, bits: Bits) -> Tensor:
    """Compute the integer code minus zero point of each weight, float32 in the shape of the weight tensor."""
    scale, zero_point = across(grid.scale, weight), across(grid.zero_point, weight)
    steps = torch.floor(weight / scale + 0.5)
    return torch.minimum(torch.maximum(steps, -zero_point), top_code(bits) - zero_point)


def across(values: Tensor, weight: Tensor) -> Tensor:
    """Reshape one value or one value per output channel to [1, 1, ...] or [output channels, 1, ...], to broadcast to
    weights.
    """
    return values.reshape((-1,) + (1,) * (weight.ndim - 1))


def grid_between(low: Tensor, high: Tensor, bits: Bits) -> WeightGrid:
    """Compute the quantization grids of ranges [low, high]; each range is first widened to contain zero.

    Args:
        low: Lower ends of the ranges, a scalar tensor or [1] or [output channels].
        high: Upper ends of the ranges, in the same shape.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    low, high = low.clamp(max=0.0), high.clamp(min=0.0)
    extent = high - low
    # In a range of zero width all weights are zero, so that the scale has no effect.
    scale = torch.where(extent > MIN_WIDTH, extent / top_code(bits), torch.ones_like(extent))
    zero_point = torch.floor(-low / scale + 0.5).clamp(0, top_code(bits))
    return WeightGrid(scale, zero_point)
