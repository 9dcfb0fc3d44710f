"""Weights as they lie in flash: packed at their bits, in the order in which the kernels read them.

    convolution      one row per output channel: kernel row, kernel column, input channel
    depthwise        one row per kernel row and kernel column: output channel

Each row starts on a byte; the bits that are left over in its last byte are 0. A 3x3 kernel over 5 channels at 4 bits
has rows of 45 codes in 23 bytes; as a depthwise convolution, 9 rows of 5 codes in 3 bytes each.
"""

from __future__ import annotations

import math
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
"""What a row is counted by | what is inside a row, the last one fastest."""

CodesShape = tuple[int, int, int, int]
"""[output channels, kernel height, kernel width, input channels / groups]"""


def packed_shape(shape: CodesShape, groups: int, bits: Bits) -> tuple[int, int]:
    """Rows, and bytes per row."""
    rows, elements = _rows(shape, groups)
    return rows, packed_row_bytes(elements, bits)


def packed_weight_bytes(layer: IntegerConvolution) -> int:
    """What a layer's weights take in flash, row padding included."""
    return math.prod(packed_shape(_shape(layer), layer.groups, layer.weight_bits))


def pack_weights(layer: IntegerConvolution) -> npt.NDArray[np.uint8]:
    """The layer's weights as they lie in flash, [rows, bytes per row]."""
    codes = layer.codes.transpose(1, 2, 0, 3) if layer.is_depthwise else layer.codes
    return pack_rows(codes.reshape(_rows(_shape(layer), layer.groups)), layer.weight_bits)


def unpack_weights(packed: npt.NDArray[np.uint8], shape: CodesShape, groups: int, bits: Bits) -> CodeArray:
    """The inverse of `pack_weights`: codes of `shape`.

    Raises:
        ValueError: bytes of another type or shape, or leftover bits that are not 0.
    """
    expected = packed_shape(shape, groups, bits)
    if packed.dtype != np.uint8 or packed.shape != expected:
        raise ValueError(
            f"weights of shape {list(shape)} at {bits} bits take uint8 of shape {list(expected)}, "
            f"not {packed.dtype} of shape {list(packed.shape)}"
        )
    _, elements = _rows(shape, groups)
    rows = unpack_rows(packed, elements, bits)
    if not np.array_equal(pack_rows(rows, bits), packed):
        raise ValueError("the bits that are left over in a row's last byte must be 0")
    if not is_depthwise(groups, shape[3] * groups):
        return rows.reshape(shape)
    output_channels, height, width, _ = shape
    return np.ascontiguousarray(rows.reshape(height, width, output_channels, 1).transpose(2, 0, 1, 3))


def _shape(layer: IntegerConvolution) -> CodesShape:
    output_channels, height, width, input_channels = layer.codes.shape
    return output_channels, height, width, input_channels


def _rows(shape: CodesShape, groups: int) -> tuple[int, int]:
    """Rows, and codes per row."""
    return weight_rows(shape, is_depthwise=is_depthwise(groups, shape[3] * groups))
