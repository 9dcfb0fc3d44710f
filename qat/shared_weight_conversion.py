"""Integer constants of layers that share weights, for output channels whose bias is not representable in int32.

Conversion replaces the weights of such a channel by zeros, and its output by a constant (`qat.conversion`). Weights
that other layers read too must keep their codes. The channel then gets the largest bias that int32 allows, and the
factor that makes of this bias the offset of the channel:

    steps = factor' * (acc + bias')        bias' = +- (2^31 - 1 - largest |acc|)        factor' = offset / bias'

factor' is larger than the true factor, but the accumulator changes the output by at most
|offset| * (highest acc - lowest acc) / |bias'| steps.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX
from network.errors import ConversionError
from qat.deployed_weights import DeployedWeights
from qat.quantizers.fake_quantize import Grid
from qat.requantization_factors import limited

DoubleArray = npt.NDArray[np.float64]

MAX_SPREAD: Final = 2.0
"""Largest difference, in output codes, that the accumulator may make in a channel without an int32 bias."""


def bias_and_factor(name: str, weights: DeployedWeights, target: Grid) -> tuple[npt.NDArray[np.int64], DoubleArray]:
    """Return the bias and the factor of each output channel of a layer whose weight codes must not change.

    Args:
        name: Name of the layer, for the error message.
        weights: Constants of the layer.
        target: Quantization grid of the layer's output.

    Returns:
        Biases, int64 [c], and factors, float64 [1] or [c].

    Raises:
        ConversionError: If the accumulator would change the output of a channel without an int32 bias by more than
            `MAX_SPREAD` codes.
    """
    bias, factor = weights.bias.astype(np.int64), limited(weights.factor)
    chosen = np.flatnonzero(~weights.on_grid)
    if not chosen.size:
        return bias, factor
    ends = weights.offset + np.broadcast_to(weights.factor, bias.shape) * np.stack([weights.lowest, weights.highest])
    ends = np.clip(ends, target.lowest_step, target.highest_step)
    offsets, extents = ends.mean(axis=0), (weights.highest - weights.lowest).astype(np.float64)
    largest = np.maximum(INT32_MAX - np.maximum(weights.highest, -weights.lowest), 1)
    spread = np.maximum(np.abs(ends[1] - ends[0]), np.abs(offsets) * extents / largest)
    for channel in chosen.tolist():
        if not spread[channel] <= MAX_SPREAD:
            raise ConversionError(
                f"output channel {channel} of layer '{name}' has a bias beyond int32, and weights that other layers "
                f"read too, so that they cannot be replaced by zeros; expected sums that change its output by at most "
                f"{MAX_SPREAD:g} codes, they change it by up to {spread[channel]:.3g}: give the weights or the "
                "layer's input fewer bits"
            )
    factor = np.broadcast_to(factor, bias.shape).copy()
    bias[chosen] = (np.sign(offsets) * largest).astype(np.int64)[chosen]
    factor[chosen] = (np.abs(offsets) / largest)[chosen]
    return bias, factor
