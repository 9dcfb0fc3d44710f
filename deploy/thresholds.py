"""Requantization by thresholds: a layer's output code is the number of thresholds that its sum of products reaches.

This is the second method of arXiv 1905.13082, section 4: each output channel has 2^b - 1 thresholds, which include the
bias, the batch norm, the scales and the zero point. The multiplier form (`deploy.arithmetic.requantize`) is the
definition. Let s be the sum of products without the bias, and a = s + bias. A channel's code is k or more if and only
if

    z + floor(a * m / 2^n + 1/2) >= k      i.e.      a * m >= N_k      with N_k = (k - z - 1/2) * 2^n
    m > 0          a >= ceil(N_k / m)      so        s >= ceil(N_k / |m|) - bias
    m < 0        - a >= ceil(N_k / |m|)    so      - s >= ceil(N_k / |m|) + bias
    m = 0        always if k <= z, else never

    code = number of k with   direction * s >= t_k,      t_k = ceil(N_k / |m|) - direction * bias

(With n = 0 there is no shift, and nothing is added before rounding down: N_k = k - z.) The clamp to [0, 2^b - 1]
follows from the number of thresholds, 2^b - 1. A sum is between -(2^31 - 2) and 2^31 - 2 (`deploy.proof`). So a t_k
that is clipped to 2^31 - 1 is never reached, and a t_k that is clipped to -(2^31 - 1) is always reached.

Example: z = 1, 2 bits, m / 2^n = -3 / 4, bias = 2. N_k = 4 k - 6 = -2, 2, 6; divided by 3 and rounded up 0, 1, 2; plus
the bias t = 2, 3, 4 with direction -1. The sum -3 reaches two thresholds, so the code is 2. The multiplier form gives
the same: (-3 + 2) * -3 / 4 = 0.75 rounds to 1, and 1 + z = 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, CodeArray, IntArray, Requantization, top_code
from network.allocation import Bits

BEYOND = np.int64(2**34)
"""Magnitude of a threshold that no sum with its bias reaches."""


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """Requantization thresholds of a layer, with which the layer compares its sums of products.

    Attributes:
        values: The thresholds t_k, int32 [output_channels, 2^b - 1], ascending in each row.
        direction: The factor of each sum before it is compared, int8 [output_channels]: -1 if the code falls while the
            sum rises, else 1.
    """

    values: npt.NDArray[np.int32]
    direction: npt.NDArray[np.int8]


def thresholds_of(
    requantization: Requantization, bias: npt.NDArray[np.int32], zero_point: int, bits: Bits
) -> Thresholds:
    """Compute the requantization thresholds that give the same codes as multiplication, for every sum from -(2^31 - 2)
    to 2^31 - 2.

    Args:
        requantization: The multipliers m and shifts n, [1] or [output_channels].
        bias: The biases, int32 [output_channels].
        zero_point: The zero point z of the output tensor.
        bits: Number of bits b of the output tensor: 8, 4 or 2.
    """
    multiplier = np.broadcast_to(requantization.multiplier, bias.shape).astype(np.int64)[:, None]
    shift = np.broadcast_to(requantization.shift, bias.shape).astype(np.int64)[:, None]
    size = np.maximum(np.abs(multiplier), 1)
    steps = np.arange(1, top_code(bits) + 1, dtype=np.int64)[None, :] - zero_point
    # N_k is an odd multiple of 2^(n - 1) and has up to 70 bits. So 2^(n - 1) = whole * |m| + rest is divided first, and
    # every product fits into 64 bits.
    halves, unit = np.where(shift > 0, 2 * steps - 1, steps), np.int64(1) << np.maximum(shift - 1, 0)
    whole, rest = unit // size, unit % size
    reached = halves * np.minimum(whole, BEYOND) - (-halves * rest) // size
    reached = np.where(multiplier == 0, np.where(steps <= 0, -BEYOND, BEYOND), reached)
    direction = np.where(multiplier < 0, -1, 1)
    values = np.clip(reached - direction * bias.astype(np.int64)[:, None], -INT32_MAX, INT32_MAX)
    return Thresholds(values.astype(np.int32), direction[:, 0].astype(np.int8))


def reached_codes(sums: IntArray, thresholds: Thresholds) -> CodeArray:
    """Return the output code of each sum of products: the number of requantization thresholds that the sum reaches.

    Args:
        sums: The sums without the bias, int64 from -(2^31 - 2) to 2^31 - 2, [..., output_channels].
        thresholds: The thresholds of the same output channels.

    Returns:
        The codes, uint8 [..., output_channels].
    """
    codes = np.empty(sums.shape, dtype=np.uint8)
    for channel, (values, direction) in enumerate(zip(thresholds.values, thresholds.direction.tolist(), strict=True)):
        codes[..., channel] = np.searchsorted(values, direction * sums[..., channel], side="right")
    return codes
