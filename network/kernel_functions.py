"""The functions of the generated C that run each layer: its driver, and the functions that the driver calls.

The emitter writes the functions that this module names, and the `deployed` accounting counts their code, so that both
always agree. The names are those of the sources in `deploy/kernels`; the emitter replaces the prefix `bb_` by the
network's identifier.

    kernel                   driver                             calls
    convolution              bb_convolution                     widen (input bits), dot2 (weight bits), pack
    pointwise_convolution    bb_pointwise                       widen, dot2, pack
    fully_connected          bb_fully_connected                 widen, dot1, pack
    depthwise_convolution    bb_depthwise_3x3, bb_depthwise
    add, activation          bb_add, bb_add_wide
    any other                its own

dot1 and dot2 multiply all rows of weights by 1 or 2 columns of activations. pack (output bits) is needed below 8 bits.
Depthwise convolutions and layers without weights read and write 8, 4 and 2 bits in one function.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from network.allocation import BITS, NARROWEST_BITS, WIDEST_BITS, Bits
from network.kernels import DEPTHWISE, KERNELS, POINTWISE, require_rows

RUN_FUNCTION: Final = "bb_run"
"""C function that runs the steps of a network, one after the other."""


class Form(StrEnum):
    """How a layer requantizes its accumulators, which decides its constants and its C functions."""

    NARROW = "narrow"
    """16-bit multipliers and offsets, one shift for the whole layer, 32-bit arithmetic."""
    WIDE = "wide"
    """32-bit multipliers and offsets, a shift for each channel, a 64-bit product."""
    THRESHOLDS = "thresholds"
    """Comparison with 2^b - 1 thresholds for each channel, for outputs of b bits."""
    PAIRS = "pairs"
    """As narrow, with functions that make four products of 2-bit codes at once: for inputs and weights of 2 bits."""


_DRIVERS: Final[Mapping[str, str]] = {
    "convolution": "bb_convolution",
    POINTWISE: "bb_pointwise",
    DEPTHWISE: "bb_depthwise",
    "fully_connected": "bb_fully_connected",
    "add": "bb_add",
    "activation": "bb_add",
    "concat": "bb_concat",
    "max_pool": "bb_max_pool",
    "average_pool": "bb_average_pool",
    "pad": "bb_pad",
}
require_rows(_DRIVERS, KERNELS, "the table of drivers in network/kernel_functions.py")

_COLUMNS: Final[Mapping[str, int]] = {"convolution": 2, POINTWISE: 2, "fully_connected": 1}
"""Name of each kernel that multiplies rows of weights by columns of activations -> number of columns at a time."""


_PAIRS: Final = "2x2"


def calls_dot(kernel: str) -> bool:
    """Return whether a kernel multiplies rows of weights by columns of activations in functions of their own.

    Args:
        kernel: Name of the kernel, e.g. "pointwise_convolution".
    """
    return kernel in _COLUMNS


def is_depthwise_3x3(
    kernel_size: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int], multiplier: int
) -> bool:
    """Return whether a depthwise convolution has the geometry of the fast function for 3x3 kernels.

    Args:
        kernel_size: Height and width of the kernel.
        stride: Vertical and horizontal stride.
        dilation: Vertical and horizontal distance between neighbouring elements of the kernel.
        multiplier: Number of output channels for each input channel.
    """
    return kernel_size == (3, 3) and stride in {(1, 1), (2, 2)} and dilation == (1, 1) and multiplier == 1


def driver_of(kernel: str, form: Form = Form.NARROW, *, is_3x3: bool = False) -> str:
    """Return the name of the C function that runs a layer.

    Args:
        kernel: Name of the layer's kernel, e.g. "pointwise_convolution".
        form: How the layer requantizes.
        is_3x3: Whether `is_depthwise_3x3` is true of the layer; it matters only to depthwise convolutions.

    Raises:
        ValueError: if the form does not suit the kernel.
    """
    if form not in forms_of_kernel(kernel):
        expected = ", ".join(forms_of_kernel(kernel))
        raise ValueError(f"the kernel {kernel!r} does not requantize in the form {form!s}; expected one of {expected}")
    driver = _DRIVERS[kernel]
    if kernel == DEPTHWISE and is_3x3 and form is Form.NARROW:
        return "bb_depthwise_3x3"
    return "bb_add_wide" if driver == "bb_add" and form is Form.WIDE else driver


def forms_of_kernel(kernel: str) -> tuple[Form, ...]:
    """Return the forms in which a kernel can requantize.

    Args:
        kernel: Name of the kernel, e.g. "pointwise_convolution".
    """
    if calls_dot(kernel):
        return tuple(Form)
    if KERNELS[kernel].has_weights:
        return (Form.NARROW, Form.WIDE, Form.THRESHOLDS)
    return (Form.NARROW, Form.WIDE)


def widen_function(input_bits: Bits, form: Form = Form.NARROW) -> str:
    """Return the name of the C function that widens activation codes of the given bits to a column.

    Args:
        input_bits: Number of bits of each activation code: 8, 4 or 2.
        form: How the layer requantizes.
    """
    return f"bb_widen_{_PAIRS if form is Form.PAIRS else input_bits}"


def dot_function(kernel: str, weight_bits: Bits, form: Form = Form.NARROW) -> str:
    """Return the name of the C function that multiplies rows of weights by columns and requantizes the sums.

    Args:
        kernel: Name of a kernel of which `calls_dot` is true.
        weight_bits: Number of bits of each weight code: 8, 4 or 2.
        form: How the layer requantizes.
    """
    if form is Form.PAIRS:
        return f"bb_dot{_COLUMNS[kernel]}_{_PAIRS}"
    middle = "" if form is Form.NARROW else f"{form}_"
    return f"bb_dot{_COLUMNS[kernel]}_{middle}{weight_bits}"


def pack_function(output_bits: Bits) -> str | None:
    """Return the name of the C function that packs output codes of the given bits; None for 8 bits."""
    return None if output_bits == WIDEST_BITS else f"bb_pack_{output_bits}"


def functions_of(
    kernel: str,
    input_bits: Bits,
    weight_bits: Bits | None,
    output_bits: Bits,
    form: Form = Form.NARROW,
    *,
    is_3x3: bool = False,
) -> tuple[str, ...]:
    """Return the names of the C functions that run a layer: its driver, then widen, dot and pack where it calls them.

    Args:
        kernel: Name of the layer's kernel, e.g. "pointwise_convolution".
        input_bits: Number of bits of each code of the first input: 8, 4 or 2.
        weight_bits: Number of bits of each weight code; None for a layer without weights.
        output_bits: Number of bits of each output code: 8, 4 or 2.
        form: How the layer requantizes.
        is_3x3: Whether `is_depthwise_3x3` is true of the layer; it matters only to depthwise convolutions.

    Raises:
        ValueError: if the weight bits are missing for a kernel that needs them, or the form does not suit the kernel.
    """
    driver = driver_of(kernel, form, is_3x3=is_3x3)
    if not calls_dot(kernel):
        return (driver,)
    if weight_bits is None:
        raise ValueError(f"the kernel {kernel!r} reads weights; expected their number of bits, got None")
    if form is Form.PAIRS and not input_bits == weight_bits == NARROWEST_BITS:
        raise ValueError(f"pairs need inputs and weights of 2 bits; got {input_bits} and {weight_bits}")
    pack = pack_function(output_bits)
    return (
        driver,
        widen_function(input_bits, form),
        dot_function(kernel, weight_bits, form),
        *(() if pack is None else (pack,)),
    )


def _all_functions() -> tuple[str, ...]:
    found = {RUN_FUNCTION: None}
    for kernel in KERNELS:
        for form, bits, is_3x3 in itertools.product(forms_of_kernel(kernel), BITS, (False, True)):
            if form is not Form.PAIRS or bits == NARROWEST_BITS:
                found |= dict.fromkeys(functions_of(kernel, bits, bits, bits, form, is_3x3=is_3x3))
    return tuple(found)


FUNCTIONS: Final = _all_functions()
"""Names of all C functions that a network can need."""
