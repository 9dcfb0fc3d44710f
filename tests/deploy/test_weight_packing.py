"""The order and the size of weights in flash: words of pairs of rows, and bytes of depthwise rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.arithmetic import CodeArray
from deploy.integer_network import IntegerConvolution
from deploy.weight_packing import pack_weights, packed_weight_bytes, unpack_weights
from deploy.weight_rows import CodesShape
from network.allocation import BITS, Bits
from network.layers import Shape
from tests.deploy.random_networks import Builder


def convolution(codes: CodeArray, groups: int, bits: Bits) -> IntegerConvolution:
    """Return a convolution with the given weight codes [output channel, kernel row, kernel column, input channel]."""
    outputs, height, width, per_group = codes.shape
    builder = Builder(np.random.default_rng(0), Shape(groups * per_group, height, width))
    builder.convolution("input", outputs, (height, width), groups=groups, weight_bits=bits)
    (layer,) = builder.layers
    assert isinstance(layer, IntegerConvolution)
    return dataclasses.replace(layer, codes=codes)


def rows(*codes: list[int]) -> CodeArray:
    """Return weight codes of 1x1 kernels, one row for each output channel."""
    return np.array(codes, np.uint8).reshape(len(codes), 1, 1, -1)


@pytest.mark.parametrize(
    ("codes", "groups", "bits", "packed"),
    [
        (rows([1, 2, 3, 4, 5]), 1, 8, "01 02 03 04 05 00 00 00"),
        (rows([1, 2, 3, 4, 5, 6, 7, 8, 9]), 1, 4, "21 65 43 87 09 00 00 00"),
        (rows([3, 0, 1, 2, 3]), 1, 2, "33 00 09 00"),
        (rows([3, 0, 1, 2, 3, 1, 2, 0, 1, 2, 3, 3, 0, 1, 2, 3, 1]), 1, 2, "73 49 29 ef 01 00 00 00"),
        (rows([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]), 1, 8, "01 02 03 04 06 07 08 09 05 00 00 00 0a 00 00 00"),
        (rows([1], [2], [3]), 1, 4, "01 00 00 00 02 00 00 00 03 00 00 00"),
        (
            rows([1, 1, 1, 1, 2], [3, 3, 3, 3, 4], [5, 5, 5, 5, 6]), 1, 8,
            "01 01 01 01 03 03 03 03 02 00 00 00 04 00 00 00 05 05 05 05 06 00 00 00",
        ),
        # two groups of three rows: the third row of each group is alone
        (
            rows(*([k, k, k, k, 9] for k in range(1, 7))), 2, 8,
            (
                "01 01 01 01 02 02 02 02 09 00 00 00 09 00 00 00 03 03 03 03 09 00 00 00"
                "04 04 04 04 05 05 05 05 09 00 00 00 09 00 00 00 06 06 06 06 09 00 00 00"
            ),
        ),
        # depthwise, three channels, 1x2 kernel: a row of three codes for each tap, in whole bytes
        (np.array([[1, 4], [2, 5], [3, 6]], np.uint8).reshape(3, 1, 2, 1), 3, 4, "21 03 54 06"),
        (np.array([1, 2, 3], np.uint8).reshape(3, 1, 1, 1), 3, 2, "39 00 00 00"),
        (np.array([[5, 6, 7, 8]] * 2, np.uint8).reshape(2, 2, 2, 1), 2, 8, "05 05 06 06 07 07 08 08"),
    ],
)  # fmt: skip
def test_bytes_by_hand(codes: CodeArray, groups: int, bits: Bits, packed: str) -> None:
    assert pack_weights(convolution(codes, groups, bits)).tobytes() == bytes.fromhex(packed)


@pytest.mark.parametrize(("bits", "mask"), [(8, 0x00FF00FF), (4, 0x000F000F), (2, 0x00030003)])
def test_a_mask_of_a_word_gives_codes_k_and_k_plus_2(bits: Bits, mask: int) -> None:
    per_word = 32 // bits
    codes = np.random.default_rng(1).integers(0, 2**bits, per_word).astype(np.uint8)
    word = int.from_bytes(pack_weights(convolution(codes.reshape(1, 1, 1, -1), 1, bits)).tobytes(), "little")
    pairs = [((word >> bits * j) & mask & 0xFFFF, (word >> bits * j & mask) >> 16) for j in range(per_word // 2)]
    firsts = [k for k in range(per_word) if k % 4 < 2]
    assert pairs == [(codes[k], codes[k + 2]) for k in firsts]


@pytest.mark.parametrize(
    ("shape", "groups", "bits", "packed_bytes"),
    [
        # 3x3 kernels over 5 channels in, 5 out: rows of 45 codes, or 9 rows of 5
        ((5, 3, 3, 5), 1, 8, 5 * 48),
        ((5, 3, 3, 5), 1, 4, 5 * 24),
        ((5, 3, 3, 5), 1, 2, 5 * 12),
        ((5, 3, 3, 1), 5, 8, 48),
        ((5, 3, 3, 1), 5, 4, 28),
        ((5, 3, 3, 1), 5, 2, 20),
        ((10, 3, 3, 1), 5, 4, 48),  # two filters per channel: 9 rows of 10 codes
        ((4, 3, 3, 3), 2, 4, 4 * 16),  # two groups: 4 rows of 27 codes
        ((1, 3, 3, 1), 1, 2, 4),  # one channel does not make a depthwise convolution: a row of 9 codes
    ],
)
def test_packed_bytes_by_hand(shape: CodesShape, groups: int, bits: Bits, packed_bytes: int) -> None:
    assert packed_weight_bytes(shape, groups, bits) == packed_bytes
    assert pack_weights(convolution(np.ones(shape, np.uint8), groups, bits)).nbytes == packed_bytes


@given(
    st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.sampled_from(BITS),
)  # fmt: skip
def test_unpacking_is_the_inverse(
    seed: int, groups: int, per_group: int, outputs: int, kernel: tuple[int, int], bits: Bits
) -> None:
    shape = (groups * outputs, *kernel, per_group)
    layer = convolution(np.random.default_rng(seed).integers(0, 2**bits, shape).astype(np.uint8), groups, bits)
    packed = pack_weights(layer)
    np.testing.assert_array_equal(unpack_weights(packed, shape, groups, bits), layer.codes)
    for place in range(8 * len(packed)):  # every other content of the bytes is other codes, or is refused
        changed = packed.copy()
        changed[place // 8] ^= 1 << place % 8
        try:
            other = unpack_weights(changed, shape, groups, bits)
        except ValueError:
            continue
        assert (other != layer.codes).sum() == 1


@pytest.mark.parametrize(
    ("packed", "shape", "groups", "message"),
    [
        ("21 13 00 00", (1, 1, 1, 3), 1, "unused bits"),
        ("21 03 00 01", (1, 1, 1, 3), 1, "unused bits"),
        ("21 13 00 00", (3, 1, 1, 1), 3, "unused bits"),
        ("21 03 00 01", (3, 1, 1, 1), 3, "unused bits"),
        ("21 03", (1, 1, 1, 3), 1, r"need packed bytes of type uint8 and shape \[4\], not uint8 of shape \[2\]"),
        ("21 03 00 00", (1, 1, 1, 3), 2, "1 output channels in 2 groups"),
        ("00 00 00 00", (1, 2**21, 2**21, 2**20), 1, r"shape \[2305843009213693952\]"),  # before memory is allocated
    ],
)
def test_leftover_bits_and_wrong_sizes_are_refused(packed: str, shape: CodesShape, groups: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack_weights(np.frombuffer(bytes.fromhex(packed), np.uint8), shape, groups, 4)
