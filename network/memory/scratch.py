"""Scratch memory in the arena that the kernels need while they run a layer.

Scratch memory does not depend on bits, so that the solver can count it before bits are chosen. K is the number of codes
of a window in one group rounded up to 16, and C the number of output channels of a group rounded up to 4:

    convolution         4 K for two columns of 16-bit elements, K for the codes of one column before they are widened,
                        2 C for the output bytes of both columns
    pointwise           4 K and 2 C: its codes are widened where they are
    fully connected     2 K for one column, C for the output bytes, and K for the codes if there are several pixels and
                        the number of channels is not a multiple of 4, so that a pixel may end within a byte
    depthwise           a ring of rows (`depthwise_scratch.py`)

A layer that overwrites its input needs no more: an activation or add reads each element before it writes its place, and
a depthwise convolution of stride 1 has the rows that it reads again in its ring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from network.kernels import DEPTHWISE, IN_PLACE_KERNELS, KERNELS, POINTWISE, kernel_of, require_rows
from network.layers import Convolution, FullyConnected, Layer, Shape
from network.memory.depthwise_scratch import depthwise_scratch_bytes
from network.memory.packing import whole_words

ELEMENT_BYTES: Final = 2
"""Number of bytes of one element of a column: dual multiply-accumulate instructions read 16-bit values."""

COLUMNS: Final = 2
"""Number of columns of a convolution: it computes two output positions at once."""

COLUMN_MULTIPLE: Final = 16
"""Number of elements of which a column is a multiple, at all bits: the codes of a word of 2-bit weights."""

GROUP_CODES: Final = 4
"""Number of codes that are widened or packed at once: those of a byte at 2 bits."""


def scratch_bytes(layer: Layer, input_shape: Shape) -> int:
    """Return the number of bytes of scratch memory that a layer's kernel needs if it overwrites none of its inputs.

    Args:
        layer: The layer.
        input_shape: Shape of the first tensor that the layer reads.

    Raises:
        InvalidNetwork: if the class of the layer is not registered.
    """
    return whole_words(_SCRATCH_BYTES[kernel_of(layer, input_shape)](layer, input_shape))


def in_place_scratch_bytes(layer: Layer, input_shape: Shape) -> int | None:
    """Return the number of bytes of additional scratch memory that a layer's kernel needs to overwrite an input.

    Args:
        layer: The layer, whose output has the shape of that input.
        input_shape: Shape of the input.

    Returns:
        The number of bytes; None if the layer cannot overwrite an input.

    Raises:
        InvalidNetwork: if the class of the layer is not registered.
    """
    kernel = kernel_of(layer, input_shape)
    size_bytes = _IN_PLACE_SCRATCH_BYTES[kernel](layer, input_shape) if KERNELS[kernel].can_write_in_place else None
    return None if size_bytes is None else whole_words(size_bytes)


def _none(_layer: Layer, _input_shape: Shape) -> int:
    return 0


def _convolution(layer: Convolution, input_shape: Shape) -> int:
    """Return the bytes of two columns, of one column's codes before they are widened, and of two columns of outputs."""
    elements = _column_elements(layer, input_shape)
    return COLUMNS * ELEMENT_BYTES * elements + elements + COLUMNS * _output_bytes(layer.output_channels, layer.groups)


def _pointwise(layer: Convolution, input_shape: Shape) -> int:
    """Return the bytes of two columns and of two columns of outputs."""
    elements = _column_elements(layer, input_shape)
    return COLUMNS * ELEMENT_BYTES * elements + COLUMNS * _output_bytes(layer.output_channels, 1)


def _fully_connected(layer: FullyConnected, input_shape: Shape) -> int:
    """Return the bytes of one column and of the outputs, and of staging if pixels can end within a byte."""
    elements = _rounded_up(input_shape.elements, COLUMN_MULTIPLE)
    has_gaps = input_shape.channels % GROUP_CODES != 0 and input_shape.height * input_shape.width > 1
    return ELEMENT_BYTES * elements + (elements if has_gaps else 0) + _output_bytes(layer.output_channels, 1)


def _column_elements(layer: Convolution, input_shape: Shape) -> int:
    """Return the number of elements of a column: those of a window in one group, in whole words at 2 bits."""
    height, width = layer.kernel
    return _rounded_up(height * width * (input_shape.channels // layer.groups), COLUMN_MULTIPLE)


def _output_bytes(output_channels: int, groups: int) -> int:
    """Return the bytes of one column's outputs, a byte for each channel of a group, before they are packed."""
    return _rounded_up(output_channels // groups, GROUP_CODES)


def _depthwise_in_place(layer: Convolution, _input_shape: Shape) -> int | None:
    """Return 0, because the rows that are read again are in the scratch memory; None if the stride is not 1."""
    return 0 if layer.stride == (1, 1) else None


def _rounded_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


_SCRATCH_BYTES: Final[Mapping[str, Callable[[Any, Shape], int]]] = {
    "convolution": _convolution,
    POINTWISE: _pointwise,
    DEPTHWISE: depthwise_scratch_bytes,
    "fully_connected": _fully_connected,
    "add": _none,
    "activation": _none,
    "concat": _none,
    "max_pool": _none,
    "average_pool": _none,
    "pad": _none,
}
require_rows(_SCRATCH_BYTES, KERNELS, "the table of scratch memory")

_IN_PLACE_SCRATCH_BYTES: Final[Mapping[str, Callable[[Any, Shape], int | None]]] = {
    "activation": _none,
    "add": _none,
    DEPTHWISE: _depthwise_in_place,
}
require_rows(_IN_PLACE_SCRATCH_BYTES, IN_PLACE_KERNELS, "the table of scratch memory in place")
