"""The order and the size of weights as rows of bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.arithmetic import pack_rows
from deploy.integer_network import IntegerConvolution
from deploy.weight_rows import pack_weight_rows, unpack_weight_rows
from network.allocation import BITS, Bits
from network.layers import Shape
from tests.deploy.random_networks import Builder


def convolution(
    seed: int, groups: int, per_group: int, outputs: int, kernel: tuple[int, int], bits: Bits
) -> IntegerConvolution:
    builder = Builder(np.random.default_rng(seed), Shape(groups * per_group, *kernel))
    builder.convolution("input", groups * outputs, kernel, groups=groups, weight_bits=bits)
    (layer,) = builder.layers
    assert isinstance(layer, IntegerConvolution)
    return layer


@pytest.mark.parametrize(
    ("groups", "per_group", "outputs", "bits", "packed_bytes"),
    [
        # 3x3 kernels over 5 channels in, 5 out: rows of 45 codes, or 9 rows of 5
        (1, 5, 5, 8, 5 * 45),
        (1, 5, 5, 4, 5 * 23),
        (1, 5, 5, 2, 5 * 12),
        (5, 1, 1, 8, 9 * 5),
        (5, 1, 1, 4, 9 * 3),
        (5, 1, 1, 2, 9 * 2),
        (5, 1, 2, 4, 9 * 5),  # two filters per channel: rows of 10 codes
        (2, 3, 2, 4, 4 * 14),  # two groups: 4 rows of 27 codes
        (1, 1, 1, 2, 3),  # one channel does not make a depthwise convolution: a row of 9 codes
    ],
)
def test_packed_bytes_by_hand(groups: int, per_group: int, outputs: int, bits: Bits, packed_bytes: int) -> None:
    layer = convolution(0, groups, per_group, outputs, (3, 3), bits)
    assert pack_weight_rows(layer).nbytes == packed_bytes


def test_order_of_rows_and_codes() -> None:
    dense = convolution(1, 1, 3, 2, (2, 2), 4)
    codes = [[dense.codes[o, y, x, i] for y in range(2) for x in range(2) for i in range(3)] for o in range(2)]
    np.testing.assert_array_equal(pack_weight_rows(dense), pack_rows(np.array(codes), 4))
    depthwise = convolution(2, 3, 1, 2, (2, 2), 4)
    codes = [[depthwise.codes[o, y, x, 0] for o in range(6)] for y in range(2) for x in range(2)]
    np.testing.assert_array_equal(pack_weight_rows(depthwise), pack_rows(np.array(codes), 4))


@given(
    st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3),
    st.tuples(st.integers(1, 3), st.integers(1, 3)), st.sampled_from(BITS),
)  # fmt: skip
def test_unpacking_is_the_inverse(
    seed: int, groups: int, per_group: int, outputs: int, kernel: tuple[int, int], bits: Bits
) -> None:
    layer = convolution(seed, groups, per_group, outputs, kernel, bits)
    shape = (groups * outputs, *kernel, per_group)
    np.testing.assert_array_equal(unpack_weight_rows(pack_weight_rows(layer), shape, groups, bits), layer.codes)


def test_leftover_bits_and_wrong_sizes_are_refused() -> None:
    packed = np.array([[0x21, 0x13]], np.uint8)
    with pytest.raises(ValueError, match="unused bits"):
        unpack_weight_rows(packed, (1, 1, 1, 3), 1, 4)
    with pytest.raises(
        ValueError, match=r"need packed bytes of type uint8 and shape \[1, 2\], not uint8 of shape \[2, 1\]"
    ):
        unpack_weight_rows(packed.reshape(2, 1), (1, 1, 1, 3), 1, 4)
    with pytest.raises(ValueError, match=r"shape \[1, 4611686018427387904\]"):  # rejected before memory is allocated
        unpack_weight_rows(packed, (1, 2**21, 2**21, 2**20), 1, 8)
