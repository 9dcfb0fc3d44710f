"""How codes lie in memory, in rows that each start on a byte: decided here for the accounting and for what is emitted.

    activations       a row per pixel: its channels
    convolution       a row per output channel: kernel row, kernel column, input channel
    depthwise         a row per kernel row and kernel column: output channels
    fully connected   a row per output channel: height, width, channel of its input

A row of n codes of b bits takes ceil(n * b / 8) bytes; the bits that are left over in its last byte are 0.
"""

from __future__ import annotations

import math

from network.allocation import Bits


def packed_row_bytes(elements: int, bits: Bits) -> int:
    """Bytes of one packed row."""
    return -(-elements * bits // 8)


def weight_rows(shape: tuple[int, ...], *, is_depthwise: bool) -> tuple[int, int]:
    """How many rows packed weights have, and how many codes are in each.

    Args:
        shape: output channels first, then what each of them reads, in any order.
        is_depthwise: each output channel reads one input channel, of several.
    """
    channels, *inside = shape
    return (math.prod(inside), channels) if is_depthwise else (channels, math.prod(inside))
