"""Memory that kernels need on a core: code, scratch memory, entries of the layer table, state and stack.

All figures of a core are in one table. No C has been linked yet, so code, state and stack are estimates, and every
report says so (`is_estimate`). The estimates start from the sizes of CMSIS-NN's kernels on a Cortex-M4 (GCC 12.2, -O3:
convolve 1,584 bytes of .text, pointwise 2,504, depthwise 3x3 2,896); unpacking 4 and 2 bits adds to each.

Scratch memory does not depend on bits, so that the solver can count it before bits are chosen. K is the number of codes
of a window in one group rounded up to 16, and C the number of output channels of a group rounded up to 4:

    convolution         4 K for two columns of 16-bit elements, K for the codes of one column before they are widened,
                        2 C for the output bytes of both columns
    pointwise           the same, but without the codes if the number of channels is a multiple of 16
    fully connected     2 K for one column, C for the output bytes, and K for the codes if there are several pixels and
                        the number of channels is not a multiple of 4, so that a pixel may end within a byte

Layers that overwrite an input need additional scratch memory:

    activation, add           None: each element is read before its place is written.
    depthwise convolution     A ring of rows. Row r of the output is written over row r of the input, but the rows from
                              r - top to r are still read, where `top` is the number of padding rows above. These rows
                              are copied, unpacked to 8 bits, into a ring of top + 1 rows of width * channels codes (at
                              most the number of rows of the image). A 3x3 kernel with one row of padding needs 2 rows,
                              a 1x1 kernel needs none. Overwriting requires stride 1, one filter per channel, and an
                              output that has the shape of the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from network.allocation import BITS, Bits
from network.kernels import (
    DEPTHWISE,
    IN_PLACE_KERNELS,
    KERNELS,
    KERNELS_WITHOUT_WEIGHTS,
    POINTWISE,
    WEIGHT_KERNELS,
    kernel_of,
    require_rows,
)
from network.layers import Convolution, FullyConnected, Layer, Shape

ALIGNMENT_BYTES: Final = 4
"""Number of bytes of which every offset and size in the arena, and every constant object, is a multiple."""

ELEMENT_BYTES: Final = 2
"""Number of bytes of one element of a column: dual multiply-accumulate instructions read 16-bit values."""

COLUMNS: Final = 2
"""Number of columns of a convolution: it computes two output positions at once."""

COLUMN_MULTIPLE: Final = 16
"""Number of elements of which a column is a multiple, at all bits: the codes of a word of 2-bit weights."""

GROUP_CODES: Final = 4
"""Number of codes that are widened or packed at once: those of a byte at 2 bits."""


@dataclass(frozen=True)
class KernelTable:
    """Memory in bytes that the kernels of one microcontroller core need.

    Attributes:
        core: Name of the core.
        weight_kernel_bytes: (kernel with weights, weight bits) -> bytes of code.
        kernel_bytes: Kernel without weights -> bytes of code.
        activation_bits_bytes: Activation bits -> bytes of code that packs and unpacks them; 0 for 8 bits.
        runtime_bytes: Bytes of the code that runs the schedule.
        startup_bytes: Bytes of constants that are copied or cleared at start-up.
        table_entry_bytes: Kernel -> bytes of a layer's entry in the layer table.
        state_bytes: Bytes of RAM that are in use between inferences, without the arena.
        stack_bytes: Bytes of the deepest stack.

    Raises:
        ValueError: if a kernel lacks a figure, or a figure belongs to no kernel of `network.kernels.KERNELS`.
    """

    core: str
    weight_kernel_bytes: Mapping[tuple[str, Bits], int]
    kernel_bytes: Mapping[str, int]
    activation_bits_bytes: Mapping[Bits, int]
    runtime_bytes: int
    startup_bytes: int
    table_entry_bytes: Mapping[str, int]
    state_bytes: int
    stack_bytes: int

    def __post_init__(self) -> None:
        codes = [(kernel, bits) for kernel in WEIGHT_KERNELS for bits in BITS]
        require_rows(self.weight_kernel_bytes, codes, f"weight_kernel_bytes of {self.core}")
        require_rows(self.kernel_bytes, KERNELS_WITHOUT_WEIGHTS, f"kernel_bytes of {self.core}")
        require_rows(self.activation_bits_bytes, BITS, f"activation_bits_bytes of {self.core}")
        require_rows(self.table_entry_bytes, KERNELS, f"table_entry_bytes of {self.core}")


CORTEX_M4: Final = KernelTable(
    core="cortex-m4",
    weight_kernel_bytes={
        ("convolution", 8): 1584, ("convolution", 4): 2000, ("convolution", 2): 2100,
        ("pointwise_convolution", 8): 2504, ("pointwise_convolution", 4): 2900, ("pointwise_convolution", 2): 3000,
        ("depthwise_convolution", 8): 2896, ("depthwise_convolution", 4): 3300, ("depthwise_convolution", 2): 3400,
        ("fully_connected", 8): 900, ("fully_connected", 4): 1200, ("fully_connected", 2): 1300,
    },
    kernel_bytes={"add": 400, "activation": 250, "concat": 350, "max_pool": 400, "average_pool": 500, "pad": 300},
    activation_bits_bytes={8: 0, 4: 250, 2: 300},
    runtime_bytes=600,
    startup_bytes=0,
    table_entry_bytes={
        "convolution": 48, "pointwise_convolution": 48, "depthwise_convolution": 48, "fully_connected": 40,
        "add": 32, "activation": 24, "concat": 32, "max_pool": 32, "average_pool": 32, "pad": 32,
    },
    state_bytes=16,
    stack_bytes=512,
)  # fmt: skip


def scratch_bytes(layer: Layer, input_shape: Shape) -> int:
    """Return the number of bytes of scratch memory that a layer's kernel needs if it overwrites none of its inputs.

    Args:
        layer: The layer.
        input_shape: Shape of the first tensor that the layer reads.

    Raises:
        InvalidNetwork: if the class of the layer is not registered.
    """
    return rounded_up(_SCRATCH_BYTES[kernel_of(layer, input_shape)](layer, input_shape), ALIGNMENT_BYTES)


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
    return None if size_bytes is None else rounded_up(size_bytes, ALIGNMENT_BYTES)


def rounded_up(size: int, multiple: int) -> int:
    """Return the smallest multiple of a number that is at least as large as a size."""
    return -(-size // multiple) * multiple


def _none(_layer: Layer, _input_shape: Shape) -> int:
    return 0


def _convolution(layer: Convolution, input_shape: Shape) -> int:
    """Return the bytes of two columns, of one column's codes before they are widened, and of two columns of outputs."""
    elements = _column_elements(layer, input_shape)
    return COLUMNS * ELEMENT_BYTES * elements + elements + COLUMNS * _output_bytes(layer.output_channels, layer.groups)


def _pointwise(layer: Convolution, input_shape: Shape) -> int:
    """Return the bytes of two columns and of two columns of outputs, and of staging unless pixels fill the columns."""
    elements = _column_elements(layer, input_shape)
    staging_bytes = 0 if elements == input_shape.channels else elements
    return COLUMNS * ELEMENT_BYTES * elements + staging_bytes + COLUMNS * _output_bytes(layer.output_channels, 1)


def _fully_connected(layer: FullyConnected, input_shape: Shape) -> int:
    """Return the bytes of one column and of the outputs, and of staging if pixels can end within a byte."""
    elements = rounded_up(input_shape.elements, COLUMN_MULTIPLE)
    has_gaps = input_shape.channels % GROUP_CODES != 0 and input_shape.height * input_shape.width > 1
    return ELEMENT_BYTES * elements + (elements if has_gaps else 0) + _output_bytes(layer.output_channels, 1)


def _column_elements(layer: Convolution, input_shape: Shape) -> int:
    """Return the number of elements of a column: those of a window in one group, in whole words at 2 bits."""
    height, width = layer.kernel
    return rounded_up(height * width * (input_shape.channels // layer.groups), COLUMN_MULTIPLE)


def _output_bytes(output_channels: int, groups: int) -> int:
    """Return the bytes of one column's outputs, a byte for each channel of a group, before they are packed."""
    return rounded_up(output_channels // groups, GROUP_CODES)


def _copied_rows(layer: Convolution, input_shape: Shape) -> int | None:
    """Return the number of bytes of a depthwise convolution's ring of copied rows; None if its stride is not 1."""
    if layer.stride != (1, 1):
        return None
    rows = 0 if layer.kernel == (1, 1) else min(layer.padding.top + 1, input_shape.height)
    return rows * input_shape.width * input_shape.channels


_SCRATCH_BYTES: Final[Mapping[str, Callable[[Any, Shape], int]]] = {
    "convolution": _convolution,
    POINTWISE: _pointwise,
    DEPTHWISE: _none,
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
    DEPTHWISE: _copied_rows,
}
require_rows(_IN_PLACE_SCRATCH_BYTES, IN_PLACE_KERNELS, "the table of scratch memory in place")
