"""Coarser weights for output channels whose weights hardly matter, so that 16-bit constants suffice for their layer.

A channel with tiny weights and a usual bias needs a small factor and a huge bias, in units of its small accumulator
step. The 16-bit offsets of a layer share one unit, so that such a channel would make those of all others imprecise.
With weights of a step that is 2^j times larger, its factor is 2^j times larger, and its bias 2^j times smaller:

    factor * (acc + bias)  =  (factor * 2^j) * (acc / 2^j + bias / 2^j)        w' = floor(w / 2^j + 1/2)

Only the rounding of the weights changes the output: by |factor| * sum |w - 2^j * w'| * |x| at most, which is computed
from the weights for all inputs.

Example: weights 100, -50, 7 with factor 2^-20 and inputs from 0 to 255. With j = 2 they are 25, -12, 2: the rest is
0, -2, -1, and the output changes by at most 3 * 255 / 2^20 = 0.0007 steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX
from qat.deployed_weights import DeployedWeights, DoubleArray, accumulator_ends
from qat.quantizers.fake_quantize import Grid

MAX_LEVEL: Final = 7
"""Largest j: weights have up to 8 bits."""

MAX_ERROR: Final = 1 / 4
"""Largest change in steps of the output by coarser weights, for the worst of all inputs."""


def coarser(
    weights: DeployedWeights, chosen: npt.NDArray[np.bool_], level: int, source: Grid
) -> tuple[DeployedWeights, DoubleArray]:
    """Return a layer's constants with coarser weights in the chosen channels, and how much that changes them.

    Args:
        weights: The constants of the layer, with real factors.
        chosen: Which channels may have coarser weights, bool [c].
        level: Largest j; a channel gets the largest j up to it whose change is at most `MAX_ERROR`.
        source: Quantization grid of the layer's input.

    Returns:
        The constants, and the largest change of each channel in steps of the output, float64 [c].
    """
    channels = len(weights.codes)
    steps = weights.centred.reshape(channels, -1)
    factor = np.broadcast_to(weights.factor, (channels,))
    kept, shifts, errors = steps, np.zeros(channels, np.int64), np.zeros(channels)
    for shift in range(1, level + 1):
        rounded = (steps + (1 << (shift - 1))) >> shift
        lowest, highest = accumulator_ends(steps - (rounded << shift), source)
        error = np.abs(factor) * np.maximum(highest, -lowest)
        better = chosen & (error <= MAX_ERROR)
        kept = np.where(better[:, None], rounded, kept)
        shifts, errors = np.where(better, shift, shifts), np.where(better, error, errors)
    lowest, highest = accumulator_ends(kept, source)
    zero_point = np.broadcast_to(weights.zero_point, (channels,))
    bias = np.floor(np.ldexp(weights.bias, -shifts) + 0.5)
    scale = weights.scale if not shifts.any() else np.ldexp(np.broadcast_to(weights.scale, (channels,)), shifts)
    return replace(
        weights,
        codes=(kept + zero_point[:, None]).astype(np.uint8).reshape(weights.codes.shape),
        scale=scale,
        factor=weights.factor if not shifts.any() else np.ldexp(factor, shifts),
        bias=bias,
        on_grid=weights.on_grid & (np.abs(bias) + np.maximum(highest, -lowest) <= INT32_MAX),
        lowest=lowest,
        highest=highest,
    ), errors
