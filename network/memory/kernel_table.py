"""What kernels take on a core: code, scratch, the layer table's entries, state and stack.

One table, so that figures of linked images have one place to go. Until the C that bitbudget emits is linked, code,
state and stack are estimates, and every report says so: `is_estimate`. They start from what CMSIS-NN's kernels take on
a Cortex-M4 (GCC 12.2, -O3: convolve 1,584 bytes of .text, pointwise 2,504, depthwise 3x3 2,896); unpacking 4 and 2
bits adds to each.

Layers that write onto their input:

    activation, add           element by element: each is read before its place is written; nothing beside
    depthwise convolution     row by row. Row r of the output lies where row r of the input was, and the rows from
                              r - top to r are still read: by this row (to the left of what is written already) and by
                              rows below it. They are copied, unpacked to 8 bits, into a ring of top + 1 rows of
                              width * channels codes, `top` being the rows of padding above; no more rows than there
                              are. 3x3 with one row of padding takes 2 rows. A 1x1 kernel takes nothing.
                              Stride 1, one filter per channel, an output of the input's shape
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from network.allocation import Bits
from network.layers import Convolution, Layer, Shape

COLUMN_ELEMENT_BYTES: Final = 2
"""im2col columns hold 16-bit steps, as the dual multiply-accumulate instructions take them."""

IN_PLACE_KERNELS: Final = ("activation", "add", "depthwise_convolution")
"""Those that can write onto an input, on a device that lets them."""

COLUMNS: Final = 2
"""Two output positions are computed at once."""


@dataclass(frozen=True)
class KernelTable:
    """A core's figures, in bytes.

    Attributes:
        core: the core's name.
        weight_kernel_bytes: (kernel, weight bits) -> code.
        kernel_bytes: kernel -> code, for layers without weights.
        activation_bits_bytes: activation bits -> code that packs and unpacks them; 8 bits need none.
        runtime_bytes: code that runs the schedule.
        startup_bytes: constants that are copied or cleared at start-up.
        table_entry_bytes: kernel -> a layer's entry in the layer table.
        state_bytes: RAM that lives beside the arena.
        stack_bytes: the deepest stack.
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


def kernel_of(layer: Layer, input_shape: Shape) -> str:
    """The kernel that runs a layer: a convolution's is chosen by its form."""
    if not isinstance(layer, Convolution):
        return layer.kind
    if layer.is_depthwise(input_shape):
        return "depthwise_convolution"
    return "pointwise_convolution" if _is_pointwise(layer) else "convolution"


def scratch_bytes(layer: Layer, input_shape: Shape) -> int:
    """What a layer's kernel takes beside its tensors: the im2col columns of a convolution that gathers."""
    if not isinstance(layer, Convolution) or layer.is_depthwise(input_shape):
        return 0
    height, width = layer.kernel
    return COLUMNS * COLUMN_ELEMENT_BYTES * height * width * (input_shape.channels // layer.groups)


def in_place_scratch_bytes(layer: Layer, input_shape: Shape) -> int | None:
    """What a layer's kernel takes beside when it writes onto an input of its output's shape; None where it cannot."""
    if kernel_of(layer, input_shape) not in IN_PLACE_KERNELS:
        return None
    if not isinstance(layer, Convolution):
        return 0
    if layer.stride != (1, 1):
        return None
    rows = 0 if layer.kernel == (1, 1) else min(layer.padding.top + 1, input_shape.height)
    return rows * input_shape.width * input_shape.channels


def _is_pointwise(layer: Convolution) -> bool:
    return layer.kernel == (1, 1) and layer.stride == (1, 1) and not any(layer.padding) and layer.groups == 1
