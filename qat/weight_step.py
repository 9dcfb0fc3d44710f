"""A layer with fake-quantized weights in training, and the integer constants of the same layer on the device.

The folding of the scheme decides how batch norm is computed:

    ICN                training     y = gamma * (conv(x, Q(w)) - mean) / sigma + beta      statistics of the batch
                       deployed     the same with running statistics, as a factor and a bias per output channel
    folding_weights    training     as ICN until `fold` is called, then y = conv(x, Q(w * gamma / sigma)) + bias,
                                    with frozen running statistics
                       deployed     always folded

The deployed layer computes integers: the accumulator acc is the sum of (q_x - z_x) * (q_w - z_w), and the output is

    steps = factor * (acc + bias)        factor = gamma / sigma * s_x * s_w / s_y      bias = round(shift / (s_x * s_w))

before rounding, in multiples of the output's step s_y, with shift = beta * sigma / gamma - mean (arXiv 1905.13082,
section 4, equation 6). Without batch norm, shift is the layer's bias and the factor is s_x * s_w / s_y.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deploy.arithmetic import INT32_MAX, round_half_up
from deploy.narrow_constants import ConstantsForm
from network.allocation import Bits, Folding, Scheme
from network.layers import WeightLayer
from qat.deployed_weights import DeployedWeights, accumulator_ends
from qat.float_network import WeightParameters
from qat.narrow_encoding import ASKED_FOR, encoded
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.flag import Flag
from qat.quantizers.weights import WeightGrid, across, quantizer_for, weight_codes
from qat.windows import convolved

DoubleArray = npt.NDArray[np.float64]

EXACT_IN_FLOAT32 = 2**24
"""Limit below which sums of whole numbers are exact in float32, in any order of addition."""


class WeightStep(nn.Module):
    """A convolution or fully connected layer with fake-quantized weights, whose output is not yet quantized.

    Args:
        layer: The float layer, with weights.
        scheme: How the weight tensor is quantized, and whether batch norm is folded into it.
        bits: Number of bits of each weight code: 8, 4 or 2.
        batch_norm_momentum: Weight of a batch's statistics in the update of the running statistics, 0 to 1.
        owner: The layer with which this one shares its weight tensor and the quantizer of it, of the same scheme and
            bits; None if it does not share the weights of an earlier layer.

    Attributes:
        layer: The float layer.
        scheme: How the weight tensor is quantized, and whether batch norm is folded into it.
        bits: Number of bits of each weight code.
        learned: Trainable weights, and either the bias or the batch norm.
        quantizer: Quantizer of the weight tensor.
        is_folded: Whether batch norm has been folded into the weights.
        is_frozen: Whether the running statistics are frozen.
    """

    def __init__(
        self,
        layer: WeightLayer,
        scheme: Scheme,
        bits: Bits,
        *,
        batch_norm_momentum: float,
        owner: WeightStep | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.scheme = scheme
        self.bits = bits
        self.learned = WeightParameters(layer)
        if owner is None:
            self.quantizer = quantizer_for(scheme.weights, bits, tuple(self.learned.weight.shape))
            self.quantizer.start(self.learned.weight)
        else:
            self.learned.weight = owner.learned.weight
            self.quantizer = owner.quantizer
        self._batch_norm_momentum = batch_norm_momentum
        self.is_folded = Flag()
        self.is_frozen = Flag()

    @property
    def folds(self) -> bool:
        """Whether the layer has a batch norm that its quantization scheme folds into the weights, already or later."""
        return self.learned.has_batch_norm and self.scheme.folding is Folding.WEIGHTS

    def fold(self) -> None:
        """Fold the layer's batch norm into its weights if the quantization scheme requires it, and freeze its running
        statistics.
        """
        if self.folds and not self.is_folded:
            self.is_folded.set()
            self.quantizer.start(self._folded()[0])

    def freeze_batch_norm(self) -> None:
        """Freeze the running statistics of the layer's batch norm; later training steps normalise
        by these statistics.
        """
        self.is_frozen.set()

    def use_bits(self, bits: Bits) -> None:
        """Change the number of bits of the weight codes; if it differs, the weight quantizer is initialised again."""
        if bits != self.bits:
            self.bits = self.quantizer.bits = bits
            self.quantizer.start(self.quantized_input()[0])

    def quantized_input(self) -> tuple[Tensor, WeightGrid]:
        """Return the real weights that the weight quantizer rounds (with batch norm if folded), and their quantization
        grid.
        """
        weight = self._folded()[0] if self.is_folded else self.learned.weight
        return weight, self.quantizer.grid(weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the layer's output in training mode, before the activation function.

        Args:
            inputs: Real values, [n, channels, height, width].

        Returns:
            Real values, [n, output channels, height, width].
        """
        learned = self.learned
        if not learned.has_batch_norm:
            return convolved(inputs, self.quantizer(learned.weight), learned.bias, self.layer)
        if self.is_folded:
            weight, bias = self._folded()
            return convolved(inputs, self.quantizer(weight), bias, self.layer)
        sums = convolved(inputs, self.quantizer(learned.weight), None, self.layer)
        return learned.normalised(sums, momentum=None if self.is_frozen else self._batch_norm_momentum)

    @torch.no_grad()
    def deployed(
        self,
        source: Grid,
        target: Grid,
        *,
        constants: ConstantsForm = ConstantsForm.NARROW,
        keeps_codes: bool = False,
    ) -> DeployedWeights:
        """Compute the constants of the layer on the device: weight codes, requantization factors and biases.

        Args:
            source: Quantization grid of the layer's input.
            target: Quantization grid of the layer's output.
            constants: Form of the constants: narrow if they are precise enough, or wide.
            keeps_codes: Whether other layers read the weight codes too, so that channels cannot become constants.
        """
        weight, grid, gain, shift = self._deployed_parameters()
        codes = weight_codes(weight, grid, self.bits)
        zero_point = grid.zero_point.cpu().numpy().astype(np.int64)
        scale = grid.scale.double().cpu().numpy()
        broadcastable = (-1,) + (1,) * (codes.ndim - 1)
        rows = (codes.astype(np.int64) - zero_point.reshape(broadcastable)).reshape(len(codes), -1)
        lowest, highest = accumulator_ends(rows, source)
        step = scale * source.scale
        factor = gain * step / target.scale
        offset = shift / target.scale
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bias = round_half_up(offset / factor)
        room = INT32_MAX - np.maximum(highest, -lowest)
        # The scale of a channel is arbitrary if all its weights are zero and the scale is per channel: the bias must
        # not depend on it.
        has_scale = rows.any(axis=1) | (len(scale) == 1)
        on_grid = np.isfinite(bias) & (np.abs(bias) <= room) & has_scale
        weights = DeployedWeights(
            codes, zero_point, scale, factor, offset, np.where(on_grid, bias, 0.0), on_grid, lowest, highest,
            added_error=np.zeros_like(offset),
        )  # fmt: skip
        if constants is ConstantsForm.WIDE:
            return replace(weights, wide_because=ASKED_FOR)
        return encoded(weights, source, target, keeps_codes=keeps_codes)

    def _folded(self) -> tuple[Tensor, Tensor]:
        """Return the layer's weights and bias after folding batch norm with its running statistics."""
        learned = self.learned
        gain = learned.gain
        return learned.weight * across(gain, learned.weight), learned.beta - learned.mean * gain

    def _deployed_parameters(self) -> tuple[Tensor, WeightGrid, DoubleArray, DoubleArray]:
        """Return the weights to quantize, their grid, and the scale and offset of the layer's sums.

        The layer multiplies its sums of products by the factor [1] or [c], then adds the offset [c].
        """
        learned = self.learned
        if self.folds:
            weight, bias = self._folded()
            quantizer = self.quantizer
            if not self.is_folded:  # evaluated before the folding: simulate folding with the current statistics
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
    """Compute the output of a layer with weights as on the device, in multiples of the output's quantization step, not
    yet rounded.

    Args:
        codes: Input codes minus zero point, [n, channels, height, width].
        weights: Constants of the layer.
        layer: The layer.

    Returns:
        Output in multiples of the output's step, float64 [n, output channels, height, width].
    """

    def per_channel(constants: DoubleArray) -> Tensor:
        return torch.from_numpy(constants).to(codes.device).reshape(1, -1, 1, 1)

    bound = int(np.maximum(weights.highest, -weights.lowest).max())
    dtype = torch.float32 if bound < EXACT_IN_FLOAT32 else torch.float64
    centred = torch.from_numpy(weights.centred).to(codes.device, dtype)
    accumulator = convolved(codes.to(dtype), centred, None, layer).double()
    accumulator += per_channel(weights.bias)
    accumulator *= per_channel(weights.factor)
    accumulator += per_channel(np.where(weights.on_grid, 0.0, weights.offset))
    return accumulator
