"""Ticks of the axes of a curve at round numbers."""

from __future__ import annotations

import math
from typing import Final

_STEPS: Final = (1, 2, 5, 10)


def ticks_of(low: float, high: float, most: int) -> list[float]:
    """Return round numbers within a range, at equal distances of 1, 2 or 5 times a power of ten.

    Args:
        low: Lower end of the range.
        high: Upper end of the range, more than `low`.
        most: Largest number of ticks, 2 or more.
    """
    least_step = (high - low) / most
    power = 10.0 ** math.floor(math.log10(least_step))
    step = next(factor * power for factor in _STEPS if factor * power >= least_step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(tick: float) -> str:
    """Return the text of a tick without needless digits, such as '0.5', '40' or '-2'."""
    return f"{tick:.6g}".replace("-0", "0") if tick == 0 else f"{tick:.6g}"
