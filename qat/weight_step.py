"""A layer with weights while it is trained, and the constants that it is deployed with.

Where batch norm goes, by the scheme's folding:

    ICN                training     y = gamma * (conv(x, Q(w)) - mean) / sigma + beta      statistics of the batch
                       deployed     the same on the running statistics, as a factor and a bias per output channel
    folding_weights    training     as ICN until `fold` is called, then y = conv(x, Q(w * gamma / sigma)) + bias,
                                    on running statistics that no longer change
                       deployed     always folded

The deployed layer works on integers: acc is the sum of (q_x - z_x) * (q_w - z_w), and the output takes

    steps = factor * (acc + bias)        factor = gamma / sigma * s_x * s_w / s_y      bias = round(shift / (s_x * s_w))

with shift = beta * sigma / gamma - mean (arXiv 1905.13082, section 4, equation 6), or the plain bias and a factor
of s_x * s_w / s_y without batch norm.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deploy.arithmetic import INT32_MAX, CodeArray, round_half_up
from network.allocation import Bits, Folding, Scheme
from network.layers import WeightLayer
from qat.float_network import WeightParameters
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.flag import Flag
from qat.quantizers.weights import WeightGrid, across, quantizer_for, weight_codes
from qat.windows import convolved

DoubleArray = npt.NDArray[np.float64]

EXACT_IN_FLOAT32 = 2**24
"""Sums of whole numbers that stay below are exact in float32, whatever the order."""


@dataclass(frozen=True, slots=True, eq=False)
class DeployedWeights:
    """The constants of a deployed weight layer, c output channels.

    Attributes:
        codes: q_w, in the weight tensor's own shape.
        zero_point: z_w, int64 [1] or [c].
        scale: s_w, [1] or [c]; below 0 where codes are counted downwards.
        factor: from the accumulator to steps of the output, [1] or [c].
        offset: what is added to the accumulator's part, in steps of the output, not rounded, [c].
        bias: the offset in steps of the accumulator, rounded; 0 where it is not `on_grid`, [c].
        on_grid: channels whose offset an int32 bias stands for; the others' must not depend on the input, bool [c].
        lowest: the smallest accumulator that any input can give, the bias left out, int64 [c].
        highest: the largest, likewise.
    """

    codes: CodeArray
    zero_point: npt.NDArray[np.int64]
    scale: DoubleArray
    factor: DoubleArray
    offset: DoubleArray
    bias: DoubleArray
    on_grid: npt.NDArray[np.bool_]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]

    @property
    def centred(self) -> npt.NDArray[np.int64]:
        """q_w - z_w, in the weight tensor's own shape."""
        beside = (-1,) + (1,) * (self.codes.ndim - 1)
        return self.codes.astype(np.int64) - self.zero_point.reshape(beside)


class WeightStep(nn.Module):
    """A convolution or fully connected layer with fake-quantized weights, before its output is quantized."""

    def __init__(self, layer: WeightLayer, scheme: Scheme, bits: Bits, *, batch_norm_momentum: float) -> None:
        super().__init__()
        self.layer = layer
        self.scheme = scheme
        self.bits = bits
        self.learned = WeightParameters(layer)
        self.quantizer = quantizer_for(scheme.weights, bits, tuple(self.learned.weight.shape))
        self.quantizer.start(self.learned.weight)
        self._batch_norm_momentum = batch_norm_momentum
        self.is_folded = Flag()
        self.is_frozen = Flag()

    @property
    def folds(self) -> bool:
        """Batch norm goes into the weights, now or later."""
        return self.learned.has_batch_norm and self.scheme.folding is Folding.WEIGHTS

    def fold(self) -> None:
        """From now on batch norm is part of the weights, where the scheme folds; its statistics are frozen."""
        if self.folds and not self.is_folded:
            self.is_folded.set()
            self.quantizer.start(self._folded()[0])

    def freeze_batch_norm(self) -> None:
        """From now on statistics no longer follow the batches, and training takes the running ones."""
        self.is_frozen.set()

    def use_bits(self, bits: Bits) -> None:
        """Go on with other bits: the quantizer starts anew where they change."""
        if bits != self.bits:
            self.bits = self.quantizer.bits = bits
            self.quantizer.start(self.quantized_input()[0])

    def quantized_input(self) -> tuple[Tensor, WeightGrid]:
        """The real weights that training rounds now, batch norm in them if it is folded, and their grid."""
        weight = self._folded()[0] if self.is_folded else self.learned.weight
        return weight, self.quantizer.grid(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Training: real values [n, c, h, w] to real values."""
        learned = self.learned
        if not learned.has_batch_norm:
            return convolved(inputs, self.quantizer(learned.weight), learned.bias, self.layer)
        if self.is_folded:
            weight, bias = self._folded()
            return convolved(inputs, self.quantizer(weight), bias, self.layer)
        sums = convolved(inputs, self.quantizer(learned.weight), None, self.layer)
        return learned.normalised(sums, momentum=None if self.is_frozen else self._batch_norm_momentum)

    @torch.no_grad()
    def deployed(self, source: Grid, target: Grid) -> DeployedWeights:
        """The layer's constants between two activation tensors."""
        weight, grid, gain, shift = self._deployed_parameters()
        codes = weight_codes(weight, grid, self.bits)
        zero_point = grid.zero_point.cpu().numpy().astype(np.int64)
        scale = grid.scale.double().cpu().numpy()
        beside = (-1,) + (1,) * (codes.ndim - 1)
        rows = (codes.astype(np.int64) - zero_point.reshape(beside)).reshape(len(codes), -1)
        positive, negative = np.maximum(rows, 0).sum(axis=1), np.minimum(rows, 0).sum(axis=1)
        highest = positive * source.highest_step + negative * source.lowest_step
        lowest = positive * source.lowest_step + negative * source.highest_step

        step = scale * source.scale
        factor = gain * step / target.scale
        offset = shift / target.scale
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bias = round_half_up(offset / factor)
        room = INT32_MAX - np.maximum(highest, -lowest)
        # A channel of zeros with a scale of its own has no scale: its bias would be on any grid, however coarse.
        has_scale = rows.any(axis=1) | (len(scale) == 1)
        on_grid = np.isfinite(bias) & (np.abs(bias) <= room) & has_scale
        return DeployedWeights(
            codes, zero_point, scale, factor, offset, np.where(on_grid, bias, 0.0), on_grid, lowest, highest
        )

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Weights and bias with the batch norm in them, on its running statistics."""
        learned = self.learned
        gain = learned.gain
        return learned.weight * across(gain, learned.weight), learned.beta - learned.mean * gain

    def _deployed_parameters(self) -> tuple[Tensor, WeightGrid, DoubleArray, DoubleArray]:
        """Weights, their grid, and the gain [1] or [c] and the shift [c] of the real sums."""
        learned = self.learned
        if self.folds:
            weight, bias = self._folded()
            quantizer = self.quantizer
            if not self.is_folded:  # judged before its time: as it would be folded now
                quantizer = copy.deepcopy(quantizer)
                quantizer.start(weight)
            return weight, quantizer.grid(weight), np.ones(1), bias.double().cpu().numpy()
        grid = self.quantizer.grid(learned.weight)
        if not learned.has_batch_norm:
            return learned.weight, grid, np.ones(1), learned.bias.double().cpu().numpy()
        sigma = np.sqrt(learned.variance.double().cpu().numpy() + learned.epsilon)
        gain = learned.gamma.double().cpu().numpy() / sigma
        shift = learned.beta.double().cpu().numpy() - learned.mean.double().cpu().numpy() * gain
        return learned.weight, grid, gain, shift


def deployed_steps(codes: Tensor, weights: DeployedWeights, layer: WeightLayer) -> Tensor:
    """What a deployed weight layer computes, in float: codes less z_x [n, c, h, w] -> steps of the output, float64."""

    def of_channels(constants: DoubleArray) -> Tensor:
        return torch.from_numpy(constants).to(codes.device).reshape(1, -1, 1, 1)

    bound = int(np.maximum(weights.highest, -weights.lowest).max())
    dtype = torch.float32 if bound < EXACT_IN_FLOAT32 else torch.float64
    centred = torch.from_numpy(weights.centred).to(codes.device, dtype)
    accumulator = convolved(codes.to(dtype), centred, None, layer).double()
    accumulator += of_channels(weights.bias)
    accumulator *= of_channels(weights.factor)
    accumulator += of_channels(np.where(weights.on_grid, 0.0, weights.offset))
    return accumulator
