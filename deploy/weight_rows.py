"""Packing of weight codes into rows of bytes: depthwise convolutions on a chip, and all weights in versions 1 to 3 of
the file format.

    convolution      one row per output channel: kernel row, kernel column, input channel
    depthwise        one row per kernel row and kernel column: output channel

Each row starts on a new byte; the unused bits of its last byte are 0. A 3x3 kernel over 5 input channels at 4 bits has
rows of 45 codes in 23 bytes. A depthwise 3x3 kernel over 5 channels has 9 rows of 5 codes in 3 bytes each.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, pack_rows, unpack_rows
from deploy.integer_network import IntegerConvolution
from network.allocation import Bits
from network.layers import is_depthwise
from network.memory.packing import packed_row_bytes, weight_rows

CONVOLUTION_ORDER: Final = "output_channel | kernel_row, kernel_column, input_channel"
DEPTHWISE_ORDER: Final = "kernel_row, kernel_column | output_channel"
"""Order of packed weights: index of a row | indices inside a row; the last index varies fastest."""

CodesShape = tuple[int, int, int, int]
"""Shape of weight codes: [output channels, kernel height, kernel width, input channels / groups]."""


def packed_shape(shape: CodesShape, groups: int, bits: Bits) -> tuple[int, int]:
    """Return the number of rows of a layer's packed weights and the number of bytes of each row."""
    rows, elements = _rows(shape, groups)
    return rows, packed_row_bytes(elements, bits)


def pack_weight_rows(layer: IntegerConvolution) -> npt.NDArray[np.uint8]:
    """Pack the weight codes of a convolution into rows of bytes, uint8 [rows, bytes per row]."""
    codes = layer.codes.transpose(1, 2, 0, 3) if layer.is_depthwise else layer.codes
    return pack_rows(codes.reshape(_rows(codes_shape(layer), layer.groups)), layer.weight_bits)


def unpack_weight_rows(packed: npt.NDArray[np.uint8], shape: CodesShape, groups: int, bits: Bits) -> CodeArray:
    """Unpack the weight codes of a convolution from rows of bytes, the inverse of `pack_weight_rows`.

    Args:
        packed: The packed weights, uint8 [rows, bytes per row].
        shape: The shape of the codes.
        groups: Number of groups of channels.
        bits: Number of bits of each code: 8, 4 or 2.

    Returns:
        The codes, uint8 of `shape`.

    Raises:
        ValueError: if the packed weights have another type or shape, or if an unused bit is not 0.
    """
    expected = packed_shape(shape, groups, bits)
    if packed.dtype != np.uint8 or packed.shape != expected:
        raise ValueError(
            f"weights of shape {list(shape)} at {bits} bits need packed bytes of type uint8 and shape "
            f"{list(expected)}, not {packed.dtype} of shape {list(packed.shape)}"
        )
    _, elements = _rows(shape, groups)
    rows = unpack_rows(packed, elements, bits)
    if not np.array_equal(pack_rows(rows, bits), packed):
        raise ValueError("the packed weights have a 1 among the unused bits in the last byte of a row; expected 0")
    if not is_depthwise(groups, shape[3] * groups):
        return rows.reshape(shape)
    output_channels, height, width, _ = shape
    return np.ascontiguousarray(rows.reshape(height, width, output_channels, 1).transpose(2, 0, 1, 3))


def codes_shape(layer: IntegerConvolution) -> CodesShape:
    """Return the shape of a layer's weight codes."""
    output_channels, height, width, input_channels = layer.codes.shape
    return output_channels, height, width, input_channels


def _rows(shape: CodesShape, groups: int) -> tuple[int, int]:
    """Return the number of rows of a layer's packed weights and the number of weight codes of each row."""
    return weight_rows(shape, is_depthwise=is_depthwise(groups, shape[3] * groups))
