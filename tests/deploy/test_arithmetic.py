"""Rounding, requantization and packing, compared with Python's integers and fractions and with tables by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.arithmetic import (
    INT32_MAX,
    MAX_SHIFT,
    Requantization,
    encode_factors,
    encode_factors_of_int32_sum,
    encode_factors_of_sum,
    pack_rows,
    quantize,
    requantize,
    round_half_up,
    top_code,
    unpack_rows,
)
from network.allocation import BITS, Bits
from network.errors import ConversionError
from network.memory.packing import packed_row_bytes

INT32 = st.integers(-(2**31), INT32_MAX)
FACTORS = st.floats(min_value=-(2.0**30), max_value=2.0**30, allow_nan=False)


def requantization(multipliers: list[int], shifts: list[int]) -> Requantization:
    return Requantization(np.array(multipliers, np.int32), np.array(shifts, np.int8))


@pytest.mark.parametrize(
    ("accumulator", "multiplier", "shift", "zero_point", "bits", "code"),
    [
        (1000, 1181975000, 38, 3, 8, 7),  # 4.3 + 3: the example of deploy.arithmetic
        (5, 1, 1, 0, 8, 3),  # 2.5 is rounded up
        (-5, 1, 1, 10, 8, 8),  # -2.5 is rounded up, to -2
        (3, 1, 1, 0, 8, 2),  # 1.5 is rounded up; rounding to even also gives 2
        (-1, 1, 1, 1, 8, 1),  # -0.5 is rounded up, to 0
        (7, -1, 1, 10, 8, 7),  # -3.5 is rounded up, to -3
        (7, 1, 0, 3, 4, 10),  # no shift, nothing to round
        (9, 1, 0, 7, 4, 15),  # clamped to the top code
        (-9, 1, 0, 7, 4, 0),  # clamped to 0
        (2**31 - 1, 2**31 - 1, 62, 0, 2, 1),  # the largest product: a little less than 1
        (-(2**31), -(2**31), 62, 0, 2, 1),  # 2^62 / 2^62, exactly 1
        (-(2**31), 2**31 - 1, 62, 2, 2, 1),
    ],
)
def test_requantization_by_hand(
    accumulator: int, multiplier: int, shift: int, zero_point: int, bits: Bits, code: int
) -> None:
    factor = requantization([multiplier], [shift])
    assert requantize(np.array([accumulator], np.int64), factor, zero_point, bits).tolist() == [code]


@given(
    st.lists(st.tuples(INT32, INT32, st.integers(0, MAX_SHIFT)), min_size=1, max_size=8),
    st.sampled_from(BITS),
    st.data(),
)
def test_requantization_is_exact(columns: list[tuple[int, int, int]], bits: Bits, data: st.DataObject) -> None:
    zero_point = data.draw(st.integers(0, top_code(bits)))
    accumulators, multipliers, shifts = map(list, zip(*columns, strict=True))
    given_accumulators = np.array([accumulators] * 2, np.int64)
    codes = requantize(given_accumulators, requantization(multipliers, shifts), zero_point, bits)
    expected = [
        min(max(zero_point + math.floor(Fraction(a * m, 2**n) + Fraction(1, 2)), 0), 2**bits - 1) for a, m, n in columns
    ]
    assert codes.tolist() == [expected, expected]
    assert codes.dtype == np.uint8
    assert given_accumulators.tolist() == [accumulators] * 2, "the accumulators of the caller are unchanged"


@given(st.lists(FACTORS, min_size=1, max_size=8))
def test_a_factor_is_encoded_to_the_nearest(factors: list[float]) -> None:
    encoded = encode_factors(factors, "layer")
    for factor, multiplier, shift in zip(factors, encoded.multiplier.tolist(), encoded.shift.tolist(), strict=True):
        error = abs(Fraction(multiplier, 2**shift) - Fraction(factor))
        assert error <= Fraction(1, 2 ** (shift + 1))
        assert shift == MAX_SHIFT or 2**30 <= abs(multiplier) <= INT32_MAX
        assert Fraction(encoded.factors[factors.index(factor)]) == Fraction(
            encoded.multiplier.tolist()[factors.index(factor)], 2 ** encoded.shift.tolist()[factors.index(factor)]
        )


@given(st.lists(FACTORS, min_size=1, max_size=8))
def test_factors_of_a_sum_share_a_shift(factors: list[float]) -> None:
    encoded = encode_factors_of_sum(factors, "layer")
    (shift,) = set(encoded.shift.tolist())
    for factor, multiplier in zip(factors, encoded.multiplier.tolist(), strict=True):
        assert abs(Fraction(multiplier, 2**shift) - Fraction(factor)) <= Fraction(1, 2 ** (shift + 1))
    assert shift == MAX_SHIFT or max(map(abs, encoded.multiplier.tolist())) >= 2**30


def test_factors_at_their_borders() -> None:
    just_below = math.nextafter(1.0, 0.0)  # its 31 bits round up to 2^31, which needs one shift less
    assert encode_factors([just_below], "layer").multiplier.tolist() == [2**30]
    assert encode_factors([just_below], "layer").shift.tolist() == [30]
    assert encode_factors([0.0], "layer").multiplier.tolist() == [0]
    assert encode_factors([-1.0, 0.5], "layer").multiplier.tolist() == [-(2**30), 2**30]
    assert encode_factors([2.0**-70], "layer").multiplier.tolist() == [0]
    assert encode_factors([2.0**31 - 1], "layer").multiplier.tolist() == [INT32_MAX]
    assert encode_factors_of_sum([1.0, 2.0**-31], "layer").multiplier.tolist() == [2**30, 0]
    for factor in (2.0**31, -(2.0**31), math.inf, math.nan, 2.0**31 - 0.25):
        with pytest.raises(ConversionError, match="layer 'wild' needs a requantization factor"):
            encode_factors([0.5, factor], "wild")


def test_a_requantization_is_checked() -> None:
    for multipliers, shifts in (([1, 2], [3]), ([1], [63]), ([1], [-1])):
        with pytest.raises(ValueError, match="shift"):
            requantization(multipliers, shifts)


def test_half_goes_up() -> None:
    assert round_half_up(np.array([2.5, -2.5, 0.5, -0.5, 0.4999, -0.5001])).tolist() == [3, -2, 1, 0, 0, -1]


def test_quantization_by_hand() -> None:
    values = np.array([-1.0, -0.05, 0.0, 0.05, 0.149, 0.151, 9.0])
    assert quantize(values, 0.1, 2, 2).tolist() == [0, 2, 2, 3, 3, 3, 3]
    per_channel = quantize(np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([0.5, 0.25]), np.array([0, 3]), 4)
    assert per_channel.tolist() == [[2, 7], [4, 11]]


@pytest.mark.parametrize(
    ("codes", "bits", "packed"),
    [
        ([[1, 2, 3]], 4, [[0x21, 0x03]]),
        ([[3, 0, 1, 2, 3]], 2, [[0x93, 0x03]]),
        ([[255, 0, 7]], 8, [[255, 0, 7]]),
        ([[15], [1]], 4, [[0x0F], [0x01]]),  # each row starts on a new byte
        ([[1, 1, 1, 1, 1]] * 2, 2, [[0x55, 0x01]] * 2),
        ([[]], 4, [[]]),
    ],
)
def test_packing_by_hand(codes: list[list[int]], bits: Bits, packed: list[list[int]]) -> None:
    rows = np.array(codes, np.uint8)
    assert pack_rows(rows, bits).tolist() == packed
    assert unpack_rows(np.array(packed, np.uint8).reshape(len(codes), -1), rows.shape[1], bits).tolist() == codes


@given(st.sampled_from(BITS), st.integers(0, 4), st.integers(0, 17), st.integers(0, 2**32))
def test_packing_is_a_little_endian_number_per_row(bits: Bits, rows: int, elements: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, top_code(bits) + 1, (rows, elements)).astype(np.uint8)
    packed = pack_rows(codes, bits)
    assert packed.shape == (rows, packed_row_bytes(elements, bits)) == (rows, math.ceil(elements * bits / 8))
    for row, packed_row in zip(codes.tolist(), packed, strict=True):
        number = sum(code << (bits * index) for index, code in enumerate(row))
        assert packed_row.tobytes() == number.to_bytes(packed.shape[1], "little")
    np.testing.assert_array_equal(unpack_rows(packed, elements, bits), codes)


def test_what_does_not_fit_is_not_packed() -> None:
    with pytest.raises(ValueError, match="a code of 16 does not fit into 4 bits"):
        pack_rows(np.array([[16]], np.uint8), 4)
    with pytest.raises(ValueError, match="5 codes of 2 bits need 2 bytes for each row"):
        unpack_rows(np.zeros((1, 3), np.uint8), 5, 2)


@pytest.mark.parametrize(
    ("factors", "largest_steps", "zero_point", "shift"),
    [
        # 255 * 1 + 255 * 0.5 + 1 = 383.5 steps: 2^31 / 383.5 = 5,599,731 is above 2^22
        ([1.0, -0.5], [255, 255], 0, 22),
        ([1.0, -0.5], [255, 255], 129, 21),  # 512.5 steps
        ([1.0, -0.5], [255, 255], 128, 22),  # 511.5 steps
        ([2.0**-20], [3], 0, 30),  # the output's own step
        ([0.0, 0.0], [3, 3], 3, 28),
    ],
)
def test_sums_of_32_bits_have_the_largest_shift(
    factors: list[float], largest_steps: list[int], zero_point: int, shift: int
) -> None:
    encoded = encode_factors_of_int32_sum(factors, "layer", largest_steps, zero_point)
    assert encoded.shift.tolist() == [shift] * len(factors)
    np.testing.assert_allclose(encoded.factors, factors, atol=2.0 ** -(shift + 1))


def test_factors_too_large_for_32_bits_are_encoded_for_64() -> None:
    """255 * 2^22 steps leave one bit for the fraction of a factor, whose rounding could change the sum by 64 steps."""
    exact = encode_factors_of_int32_sum([2.0**22, 0.5], "layer", [255, 255], 0)
    assert exact.shift.tolist() == [1, 1]
    wide = encode_factors_of_int32_sum([2.0**22, 0.2], "layer", [255, 255], 0)
    assert wide.shift.tolist() == encode_factors_of_sum([2.0**22, 0.2], "layer").shift.tolist()
    assert encode_factors_of_int32_sum([2.0**30], "layer", [255], 0).multiplier.tolist() == [2**30]
