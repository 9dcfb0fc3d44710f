"""Scratch memory of depthwise convolutions in the generated C: a ring of rows of four channels, with their padding.

Its size depends neither on the bits of the layer nor on the height of the image, and it is enough to overwrite the
input (stride 1): a row is in the ring before its memory is overwritten.

    3x3, stride 1 or 2         Blocks of two output columns. Four rows of int16 codes in pairs of columns, the output
                               codes of one block row, and weights, constants and padding codes of four channels.
    any other                  Bytes: the rows of one window, and the weights of four input channels as int16.

The ring of the 3x3 function has the fewest rows that it can compute with. Each step, of one or two rows of outputs of
four channels, costs about 100 instructions on a Cortex-M4 besides its columns (counted), whatever the width. A ring
with more rows would save a part of them, mostly in narrow images, for 8 bytes of RAM for each row and column.
"""

from __future__ import annotations

from typing import Final

from network.layers import Convolution, Shape
from network.windows import window_positions

BLOCK_COLUMNS: Final = 2
"""Number of output columns that the 3x3 function computes at once."""

COLUMN_PAIR_BYTES: Final = 64
"""Bytes of two columns of the ring of the 3x3 function: 2 columns of 4 rows of 4 channels of 2 bytes."""

CHANNELS_BYTES: Final = 4 * 52 + 4
"""Bytes of the weights and constants of four channels of the 3x3 function, and of the padding codes."""


def depthwise_scratch_bytes(layer: Convolution, input_shape: Shape) -> int:
    """Return the number of bytes of scratch memory of a depthwise convolution, also if it overwrites its input.

    Args:
        layer: The depthwise convolution.
        input_shape: Shape of its input.
    """
    kernel_height, kernel_width = layer.kernel
    dilation_y, dilation_x = layer.dilation
    padding = layer.padding
    columns = window_positions(
        input_shape.width, kernel_width, layer.stride[1], padding.left, padding.right, dilation_x
    )
    multiplier = layer.output_channels // input_shape.channels
    if layer.kernel == (3, 3) and layer.dilation == (1, 1) and multiplier == 1 and layer.stride in {(1, 1), (2, 2)}:
        stride = layer.stride[0]
        blocks = -(-columns // BLOCK_COLUMNS)
        output_rows = 3 - stride  # two rows of outputs at once if the stride is 1
        return COLUMN_PAIR_BYTES * (stride * blocks + 1) + 8 * output_rows * blocks + CHANNELS_BYTES
    rows = dilation_y * (kernel_height - 1) + 1
    width = (columns - 1) * layer.stride[1] + dilation_x * (kernel_width - 1) + 1
    return 4 * rows * width + 8 * multiplier * kernel_height * kernel_width
