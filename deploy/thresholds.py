"""Requantization by comparison: an output's code is the number of thresholds that its sum reaches.

The other method of arXiv 1905.13082, section 4: 2^b - 1 thresholds for each output channel, with the bias, the batch
norm, the scales and the zero point in them. The multiplier form (`deploy.arithmetic.requantize`) stays the definition.
With s the sum of products, without its bias, and a = s + bias, a channel's code is k or more exactly where

    z + floor(a * m / 2^n + 1/2) >= k      i.e.      a * m >= N_k      with N_k = (k - z - 1/2) * 2^n
    m > 0          a >= ceil(N_k / m)      so        s >= ceil(N_k / |m|) - bias
    m < 0        - a >= ceil(N_k / |m|)    so      - s >= ceil(N_k / |m|) + bias
    m = 0        always for k <= z, else never

    code = how many k have   direction * s >= t_k,      t_k = ceil(N_k / |m|) - direction * bias

(Without a shift, n = 0, nothing is added before the floor: N_k = k - z.) The clamp to [0, 2^b - 1] is that there are
2^b - 1 thresholds. A sum stays within -(2^31 - 2) and 2^31 - 2 (`deploy.proof`), so a t_k that is cut to 2^31 - 1 says
"never", and one cut to -(2^31 - 1) "always".

By hand: z = 1, 2 bits, m / 2^n = -3 / 4, bias = 2. N_k = 4 k - 6 = -2, 2, 6; thirds rounded up 0, 1, 2; plus the bias
t = 2, 3, 4 with direction -1. A sum of -3 reaches two of them. So says the other form: (-3 + 2) * -3 / 4 = 0.75
rounds to 1, and 1 + z = 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, CodeArray, IntArray, Requantization, top_code
from network.allocation import Bits

BEYOND = np.int64(2**34)
"""Of a threshold: farther out than any sum and bias together reach."""


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """See the module's text.

    Attributes:
        values: t_k, int32 [output_channels, 2^b - 1], ascending in each row.
        direction: int8 [output_channels], -1 where the codes fall as the sum rises, else 1.
    """

    values: npt.NDArray[np.int32]
    direction: npt.NDArray[np.int8]


def thresholds_of(
    requantization: Requantization, bias: npt.NDArray[np.int32], zero_point: int, bits: Bits
) -> Thresholds:
    """The thresholds that give the codes that the multipliers give, for every sum that fits.

    Args:
        requantization: m and n, [1] or [output_channels].
        bias: int32 [output_channels].
        zero_point: z, of the output.
        bits: b, of the output.
    """
    multiplier = np.broadcast_to(requantization.multiplier, bias.shape).astype(np.int64)[:, None]
    shift = np.broadcast_to(requantization.shift, bias.shape).astype(np.int64)[:, None]
    size = np.maximum(np.abs(multiplier), 1)
    steps = np.arange(1, top_code(bits) + 1, dtype=np.int64)[None, :] - zero_point
    # N_k is an odd number of halves 2^(n - 1), divided as q * |m| + r: its 70 bits never stand in one word.
    halves, unit = np.where(shift > 0, 2 * steps - 1, steps), np.int64(1) << np.maximum(shift - 1, 0)
    whole, rest = unit // size, unit % size
    reached = halves * np.minimum(whole, BEYOND) - (-halves * rest) // size
    reached = np.where(multiplier == 0, np.where(steps <= 0, -BEYOND, BEYOND), reached)
    direction = np.where(multiplier < 0, -1, 1)
    values = np.clip(reached - direction * bias.astype(np.int64)[:, None], -INT32_MAX, INT32_MAX)
    return Thresholds(values.astype(np.int32), direction[:, 0].astype(np.int8))


def reached_codes(sums: IntArray, thresholds: Thresholds) -> CodeArray:
    """The code of each sum of products.

    Args:
        sums: within -(2^31 - 2) and 2^31 - 2, without their bias, [..., output_channels].
        thresholds: of those channels.

    Returns:
        Codes, [..., output_channels].
    """
    codes = np.empty(sums.shape, dtype=np.uint8)
    for channel, (values, direction) in enumerate(zip(thresholds.values, thresholds.direction.tolist(), strict=True)):
        codes[..., channel] = np.searchsorted(values, direction * sums[..., channel], side="right")
    return codes
