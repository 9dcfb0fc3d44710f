"""Factors of single codes: the same code for every difference of codes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploy.arithmetic import Requantization
from deploy.emission.code_factors import LARGEST_SHIFT, LEAST_SHIFT, CodeFactor, code_factors


def codes(multiplier: int, shift: int, zero_point: int) -> list[int]:
    half = 1 << shift >> 1
    return [min(max(zero_point + ((steps * multiplier + half) >> shift), 0), 255) for steps in range(-255, 256)]


def factors(*pairs: tuple[int, int]) -> tuple[CodeFactor, ...]:
    multipliers, shifts = zip(*pairs, strict=True)
    return code_factors(Requantization(np.array(multipliers, np.int32), np.array(shifts, np.int8)))


MULTIPLIERS = st.integers(1 - 2**31, 2**31 - 1) | st.integers(0, 30).map(lambda bits: 1 << bits)


@given(MULTIPLIERS, st.integers(0, 62), st.integers(0, 255))
def test_every_code_stays_the_same(multiplier: int, shift: int, zero_point: int) -> None:
    (factor,) = factors((multiplier, shift))
    assert LEAST_SHIFT <= factor.shift <= LARGEST_SHIFT
    assert -(2**31) < factor.multiplier < 2**31
    assert codes(*factor, zero_point) == codes(multiplier, shift, zero_point)


def test_small_shifts_are_scaled_and_large_factors_limited() -> None:
    assert factors((1, 0), (-3, 21), (2**31 - 1, 0), (2**30, 30), (2**30, 47)) == (
        (2**22, 22), (-6, 22), (2**30, 22), (2**30, 30), (0, 46),
    )  # fmt: skip
