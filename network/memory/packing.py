"""Packing of 8-, 4- and 2-bit codes into rows of whole bytes or words, for counting bytes and for writing weights.

Activations are rows of whole bytes: one row for each pixel, its channels. Weights on a chip:

    convolution       one row for each output channel: kernel row, kernel column, input channel; whole words of 4 bytes
    fully connected   one row for each output channel: height, width, channel of the input; whole words
    depthwise         one row for each kernel row and kernel column: output channels; whole bytes, and the whole tensor
                      a multiple of 4 bytes

A row of n codes of b bits needs ceil(n * b / 8) bytes or ceil(n * b / 32) words; unused bits at its end are 0. A 3x3
kernel over 5 channels, 5 filters, at 4 bits: 5 rows of 45 codes in 6 words, 120 bytes. The same kernel for each channel
alone (depthwise): 9 rows of 5 codes in 3 bytes, 27 bytes, padded to 28.
"""

from __future__ import annotations

import math
from typing import Final

from network.allocation import Bits

WORD_BYTES: Final = 4
"""Number of bytes of a word, which kernels read at once; objects in flash are a multiple of it."""


def packed_row_bytes(elements: int, bits: Bits) -> int:
    """Return the number of bytes of one row of packed 8-, 4- or 2-bit codes.

    Args:
        elements: Number of codes in the row.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    return -(-elements * bits // 8)


def packed_row_words(elements: int, bits: Bits) -> int:
    """Return the number of words of 4 bytes of one row of packed weights of a layer that is not depthwise.

    Args:
        elements: Number of weight codes of one output channel.
        bits: Number of bits of each code: 8, 4 or 2.
    """
    return -(-packed_row_bytes(elements, bits) // WORD_BYTES)


def whole_words(size_bytes: int) -> int:
    """Return a number of bytes rounded up to a multiple of the 4 bytes of a word."""
    return -(-size_bytes // WORD_BYTES) * WORD_BYTES


def weight_tensor_bytes(shape: tuple[int, ...], bits: Bits, *, is_depthwise: bool) -> int:
    """Return the number of bytes of a layer's packed weights on a chip, with all padding.

    Args:
        shape: Shape of the weight tensor: output channels first, then the other extents in any order.
        bits: Number of bits of each code: 8, 4 or 2.
        is_depthwise: Whether each output channel reads one input channel, of several.
    """
    rows, elements = weight_rows(shape, is_depthwise=is_depthwise)
    if is_depthwise:
        return whole_words(rows * packed_row_bytes(elements, bits))
    return rows * packed_row_words(elements, bits) * WORD_BYTES


def weight_rows(shape: tuple[int, ...], *, is_depthwise: bool) -> tuple[int, int]:
    """Return the number of rows of a packed weight tensor, and the number of codes in each row.

    Args:
        shape: Shape of the weight tensor: output channels first, then the other extents in any order.
        is_depthwise: Whether each output channel reads one input channel, of several.
    """
    channels, *inside = shape
    return (math.prod(inside), channels) if is_depthwise else (channels, math.prod(inside))
