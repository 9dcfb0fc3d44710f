"""Packing of 8-, 4- and 2-bit codes into rows of whole bytes, for counting bytes and for writing weights.

Each row starts on a byte:

    activations       one row for each pixel: its channels
    convolution       one row for each output channel: kernel row, kernel column, input channel
    depthwise         one row for each kernel row and kernel column: output channels
    fully connected   one row for each output channel: height, width, channel of the input

A row of n codes of b bits needs ceil(n * b / 8) bytes; unused bits of its last byte are 0.
"""

from __future__ import annotations

import math

from network.allocation import Bits


def packed_row_bytes(elements: int, bits: Bits) -> int:
    """Return the number of bytes of one row of packed 8-, 4- or 2-bit codes.

    Args:
        elements: Number of codes in the row.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    return -(-elements * bits // 8)


def weight_rows(shape: tuple[int, ...], *, is_depthwise: bool) -> tuple[int, int]:
    """Return the number of rows of a packed weight tensor, and the number of codes in each row.

    Args:
        shape: Shape of the weight tensor: output channels first, then the other extents in any order.
        is_depthwise: Whether each output channel reads one input channel, of several.
    """
    channels, *inside = shape
    return (math.prod(inside), channels) if is_depthwise else (channels, math.prod(inside))
