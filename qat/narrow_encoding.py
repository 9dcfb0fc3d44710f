"""Encoding of a layer's real factors and biases as narrow constants: 16-bit multipliers and offsets of a chip.

    steps = factor * acc + offset     real constants of an output channel, acc in [lowest, highest] over all inputs
    m / 2^n * (acc + bias)            encoded: n for the layer, so that the largest |m| is in [2^14, 2^15)
    bias - z_x * sum (q_w - z_w)      = o * 2^k, o in int16, the smallest k for the layer

Both roundings change the output. The added error of a channel is the largest difference of the two lines over the
accumulators that can be reached and whose code is not saturated (the difference is linear in acc, so that it is at one
of two ends), without the half step of the accumulator that every whole bias costs. If it exceeds `MAX_ADDED_ERROR`
steps, the bias moves to where both ends have the same error; if that is not enough, channels whose weights hardly
matter get coarser weights (`qat.coarse_weights`); if that is not enough either, the layer becomes wide.

A channel whose output changes by at most `MAX_ADDED_ERROR` steps over all inputs, such as one with tiny weights or one
that ReLU clamps to 0 for every input, becomes a constant: its weights are zero, and o and m are such that
o * 2^k * m / 2^n is the constant. So its bias needs no large k, and its factor no small m. Channels whose bias does not
fit into int32 become constants by a larger limit (`MAX_CONSTANT_SPREAD`). Weights that other layers read too stay.

Example: factors 0.003 and 0.0001, 8-bit input with z_x = 0. 0.003 is in [2^-9, 2^-8), so n = 23, m = 25166 and 839.
With 839 / 2^23 in place of 0.0001, the code 255 has an error of 0.04 steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, Requantization, round_half_up
from deploy.narrow_constants import MAX_OFFSET_SHIFT, MULTIPLIER_BITS, shift_limits, widening_shift
from network.allocation import Bits
from qat.coarse_weights import MAX_LEVEL, coarser
from qat.deployed_weights import DeployedWeights, DoubleArray
from qat.quantizers.fake_quantize import Grid

IntArray = npt.NDArray[np.int64]

MAX_ADDED_ERROR: Final = 1 / 4
"""Largest error in steps of the output that narrow constants may add in a layer."""

MAX_CONSTANT_SPREAD: Final = 2
"""Largest difference between the codes of an output channel without an int32 bias that a constant replaces; the
constant is at most one code from each of them."""

ASKED_FOR: Final = "wide constants were asked for"
"""Reason why a layer is wide if conversion was told so."""

_LARGEST: Final = 2**MULTIPLIER_BITS - 1
"""Largest magnitude of a multiplier, and largest offset."""


class _WideError(Exception):
    """The reason why a layer cannot be narrow."""


def encoded(
    weights: DeployedWeights, weight_bits: Bits, source: Grid, target: Grid, *, keeps_codes: bool
) -> DeployedWeights:
    """Encode the real factors and offsets of a layer with weights as narrow constants.

    Args:
        weights: The constants of the layer, with real factors.
        weight_bits: Number of bits of each weight code.
        source: Quantization grid of the layer's input.
        target: Quantization grid of the layer's output.
        keeps_codes: Whether the weight codes must stay, because other layers read them too.

    Returns:
        The constants with their narrow encoding; if the layer becomes wide, the given ones with the reason.
    """
    change = np.zeros_like(weights.offset)
    try:
        found = _Encoder(weights, weight_bits, source, target, keeps_codes=keeps_codes).encoded()
        for level in () if keeps_codes else range(1, MAX_LEVEL + 1):
            imprecise = found.added_error > MAX_ADDED_ERROR
            if not imprecise.any():
                break
            coarse, change = coarser(weights, imprecise | (np.abs(weights.bias) > _LARGEST), level, source)
            found = _Encoder(coarse, weight_bits, source, target, keeps_codes=False).encoded()
        _check(found, weight_bits, source)
    except _WideError as reason:
        return replace(weights, wide_because=str(reason))
    return replace(found, added_error=found.added_error + change)


def _check(found: DeployedWeights, weight_bits: Bits, source: Grid) -> None:
    """Reject narrow constants that are too imprecise, or whose sums exceed 32 bits."""
    worst = int(found.added_error.argmax())
    if found.added_error[worst] > MAX_ADDED_ERROR:
        raise _WideError(
            f"16-bit constants would change output channel {worst} by up to {found.added_error[worst]:.3g} codes; "
            f"expected at most {MAX_ADDED_ERROR:g}"
        )
    highest, lowest = found.highest + np.maximum(found.bias, 0), found.lowest + np.minimum(found.bias, 0)
    widening = widening_shift(source.bits) + widening_shift(weight_bits)
    bound = int(np.maximum(highest, -lowest).max()) << widening
    if bound > INT32_MAX:
        raise _WideError(f"its sums, shifted as if all codes had 8 bits, reach {bound}; expected at most {INT32_MAX}")


class _Encoder:
    """Encoder of the constants of one layer; the module's docstring has the rules."""

    def __init__(
        self, real: DeployedWeights, weight_bits: Bits, source: Grid, target: Grid, *, keeps_codes: bool
    ) -> None:
        self.real, self.weight_bits, self.source = real, weight_bits, source
        self.factor = np.broadcast_to(real.factor, real.offset.shape)
        if not np.isfinite(self.factor).all():
            raise _WideError("a factor is not finite")
        ends = real.offset + self.factor * np.stack([real.lowest, real.highest])
        self.ends = np.clip(ends, target.lowest_step - 0.5, target.highest_step + 0.5)
        self.constants = whole_steps(self.ends.mean(axis=0), target)
        self.spread = np.abs(self.ends[1] - self.ends[0])
        codes = whole_steps(self.ends, target)
        nearly = ~real.on_grid & (np.abs(codes[1] - codes[0]) <= MAX_CONSTANT_SPREAD)
        self.is_constant = ((self.spread <= MAX_ADDED_ERROR) | nearly) & (not keeps_codes)
        missing = np.flatnonzero(~(real.on_grid | self.is_constant))
        if missing.size:
            raise _WideError(f"output channel {missing[0]} has no int32 bias")

    def encoded(self) -> DeployedWeights:
        """Return the constants with their narrow encoding.

        Raises:
            _WideError: If the layer cannot be narrow.
        """
        shift = self._shift()
        multiplier: DoubleArray = np.floor(np.ldexp(self.factor, shift) + 0.5)
        exact = np.zeros(len(self.factor))
        np.divide(self.real.offset, self.factor, out=exact, where=~self.is_constant)
        found = self._with_biases(shift, multiplier, exact)
        if (found.added_error > MAX_ADDED_ERROR).any():
            moved = (found.added_error > MAX_ADDED_ERROR) & ~self.is_constant
            found = self._with_biases(shift, multiplier, np.where(moved, self._balanced(shift, multiplier), exact))
        return found

    def _shift(self) -> int:
        """Return the shift n of the layer."""
        least, most = shift_limits(self.source.bits, self.weight_bits)
        largest = np.abs(self.factor[~self.is_constant]).max(initial=0.0)
        if largest == 0.0:
            return least
        shift = MULTIPLIER_BITS - int(np.frexp(largest)[1])
        if round_half_up(np.ldexp(largest, shift)) > _LARGEST:
            shift -= 1
        if shift < least:
            limit = 2.0 ** (MULTIPLIER_BITS - least)
            raise _WideError(f"the factor {largest:.4g} is too large for 16 bits; expected less than {limit:g}")
        return min(shift, most)

    def _with_biases(self, shift: int, multiplier: DoubleArray, exact: DoubleArray) -> DeployedWeights:
        """Return the encoding with the given multipliers and the given real biases, rounded."""
        real, constant = self.real, self.is_constant
        across = (-1,) + (1,) * (real.codes.ndim - 1)
        centres = real.zero_point.reshape(across)
        codes = np.where(constant.reshape(across), centres, real.codes).astype(np.uint8)
        sums = self.source.zero_point * (codes - centres).reshape(len(codes), -1).sum(axis=1)
        for offset_shift in range(MAX_OFFSET_SHIFT + 1):
            free_offsets, free = _constant_pairs(np.ldexp(self.constants.astype(np.float64), shift - offset_shift))
            offsets = np.where(constant, free_offsets, round_half_up(np.ldexp(exact - sums, -offset_shift)))
            if (np.abs(offsets + 0.5) <= _LARGEST + 0.5).all():
                break
        else:
            raise _WideError("an offset exceeds 32 bits")
        bias = np.ldexp(offsets, offset_shift) + sums
        multiplier = np.where(constant, free, multiplier)
        if len(real.factor) == 1 and (multiplier == multiplier[0]).all():
            multiplier = multiplier[:1]
        factor = np.ldexp(multiplier, -shift)
        return replace(
            real,
            codes=codes,
            factor=factor,
            bias=bias,
            on_grid=np.ones_like(real.on_grid),
            lowest=np.where(constant, 0, real.lowest),
            highest=np.where(constant, 0, real.highest),
            added_error=self._errors(np.broadcast_to(factor, bias.shape), bias),
            narrow=Requantization(multiplier.astype(np.int32), np.full(len(multiplier), shift, np.int8)),
        )

    def _reach(self) -> DoubleArray:
        """Return the smallest and the largest accumulator of each channel whose code is not saturated, [2, c]."""
        reach = np.zeros_like(self.ends)
        np.divide(self.ends - self.real.offset, self.factor, out=reach, where=~self.is_constant)
        return np.clip(reach, self.real.lowest, self.real.highest)

    def _errors(self, factor: DoubleArray, bias: DoubleArray) -> DoubleArray:
        """Return the largest error, in steps, that the encoding adds to each channel."""
        reach = self._reach()
        differences = factor * (reach + bias) - (self.factor * reach + self.real.offset)
        error = np.maximum(np.abs(differences).max(axis=0) - np.abs(self.factor) / 2, 0.0)
        of_constant = np.abs(factor * bias - self.constants) + np.where(self.real.on_grid, self.spread / 2, 0.0)
        return np.where(self.is_constant, of_constant, error)

    def _balanced(self, shift: int, multiplier: DoubleArray) -> DoubleArray:
        """Return the real bias of each channel for which the errors at both ends of its reach are opposite."""
        middle, factor = self._reach().mean(axis=0), np.ldexp(multiplier, -shift)
        wanted = self.factor * middle + self.real.offset
        total = np.zeros_like(wanted)
        np.divide(wanted, factor, out=total, where=factor != 0)
        balanced: DoubleArray = total - middle
        return balanced


def _constant_pairs(products: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """Return an offset and a multiplier, a power of two, whose product is nearly the given number, [c] each."""
    least = np.maximum(np.abs(products) / _LARGEST, 1.0)
    multiplier = np.minimum(np.exp2(np.ceil(np.log2(least))), 2.0 ** (MULTIPLIER_BITS - 1))
    return np.floor(products / multiplier + 0.5), multiplier


def whole_steps(values: DoubleArray, target: Grid) -> IntArray:
    """Round real multiples of the output's step to whole steps and clamp them to those that have a code."""
    steps: IntArray = np.clip(round_half_up(values), target.lowest_step, target.highest_step).astype(np.int64)
    return steps
