"""Scratch memory of depthwise convolutions, in bytes that were counted by hand."""

from __future__ import annotations

import pytest

from network.layers import Convolution, Padding, Shape
from network.memory.depthwise_scratch import depthwise_scratch_bytes

AROUND = Padding(1, 1, 1, 1)


def scratch_bytes(
    shape: Shape,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    dilation: tuple[int, int] = (1, 1),
    multiplier: int = 1,
) -> int:
    layer = Convolution(
        name="layer", inputs=("x",), output="y", output_channels=shape.channels * multiplier, kernel=kernel,
        stride=stride, padding=padding, dilation=dilation, groups=shape.channels,
    )  # fmt: skip
    return depthwise_scratch_bytes(layer, shape)


@pytest.mark.parametrize(
    ("width", "stride", "padding", "expected"),
    [
        (16, 1, AROUND, 9 * 64 + 8 * 16 + 212),  # 8 blocks of 2 columns read 18 columns; 2 rows of output codes
        (5, 1, AROUND, 4 * 64 + 3 * 16 + 212),  # the last of 3 blocks has one column
        (48, 2, Padding(0, 0, 1, 1), 25 * 64 + 12 * 8 + 212),  # 24 columns: 12 blocks read 49 columns
        (3, 1, Padding(), 2 * 64 + 16 + 212),
    ],
)
def test_3x3(width: int, stride: int, padding: Padding, expected: int) -> None:
    for height in (3, 30):
        assert scratch_bytes(Shape(8, height, width), (3, 3), (stride, stride), padding) == expected


def test_any_other_kernel_keeps_the_rows_of_a_window_and_weights() -> None:
    assert scratch_bytes(Shape(8, 9, 16), (5, 5), (1, 1), Padding(2, 2, 2, 2)) == 5 * 20 * 4 + 4 * 25 * 2
    assert scratch_bytes(Shape(8, 9, 16), (3, 3), (1, 1), AROUND, multiplier=2) == 3 * 18 * 4 + 2 * 4 * 9 * 2
    # rows 1, 3, 5 of five; 6 output columns of stride 3 read 3 * 5 + 2 columns
    assert scratch_bytes(Shape(8, 9, 17), (3, 2), (1, 3), Padding(), (2, 1)) == 5 * 17 * 4 + 4 * 6 * 2
