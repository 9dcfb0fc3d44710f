"""The layer kinds that a device can run, and the kernel (function of the device's library) that runs each layer.

A layer kind is a class of `layers.py`; a kernel is a function of the device's library. Each kind has one kernel of the
same name, except that the form of a convolution chooses one of three:

    depthwise_convolution    one group for each input channel, two groups or more
    pointwise_convolution    1x1 kernel, stride 1, no padding, one group
    convolution              any other

Every table that has a row for each kind or kernel (code sizes, constants, scratch, cycles, JSON keys) calls
`require_rows` where it is defined. A new kind without a row in one of them is therefore an error at import, and a layer
class that is not registered in `LAYER_KINDS` is an error where it is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from network.errors import InvalidNetwork
from network.layers import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    is_depthwise,
)
from network.shapes import Shape

LAYER_KINDS: Final[Mapping[str, type[Layer]]] = {
    each.kind: each for each in (Convolution, FullyConnected, Add, Concat, MaxPool, AveragePool, Pad, Activation)
}
"""Name of each layer kind -> its class."""

POINTWISE: Final = "pointwise_convolution"
DEPTHWISE: Final = "depthwise_convolution"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Properties of a kernel that byte accounting, devices and latency estimates share.

    Attributes:
        has_weights: Whether the kernel reads a weight tensor.
        has_row_per_position: Whether its packed weights have one row for each kernel position; else they have one row
            for each output channel.
        can_write_in_place: Whether the kernel can write its output over one of its inputs.
    """

    has_weights: bool
    has_row_per_position: bool
    can_write_in_place: bool


_WEIGHTS_BY_CHANNEL: Final = Kernel(has_weights=True, has_row_per_position=False, can_write_in_place=False)
_WEIGHTS_BY_POSITION: Final = Kernel(has_weights=True, has_row_per_position=True, can_write_in_place=True)
_ELEMENTWISE: Final = Kernel(has_weights=False, has_row_per_position=False, can_write_in_place=True)
_SEPARATE_OUTPUT: Final = Kernel(has_weights=False, has_row_per_position=False, can_write_in_place=False)

KERNELS: Final[Mapping[str, Kernel]] = {
    Convolution.kind: _WEIGHTS_BY_CHANNEL,
    POINTWISE: _WEIGHTS_BY_CHANNEL,
    DEPTHWISE: _WEIGHTS_BY_POSITION,
    FullyConnected.kind: _WEIGHTS_BY_CHANNEL,
    Add.kind: _ELEMENTWISE,
    Activation.kind: _ELEMENTWISE,
    Concat.kind: _SEPARATE_OUTPUT,
    MaxPool.kind: _SEPARATE_OUTPUT,
    AveragePool.kind: _SEPARATE_OUTPUT,
    Pad.kind: _SEPARATE_OUTPUT,
}
"""Name of each kernel -> its properties."""

WEIGHT_KERNELS: Final = tuple(name for name, kernel in KERNELS.items() if kernel.has_weights)
"""Names of the kernels that read a weight tensor."""

KERNELS_WITHOUT_WEIGHTS: Final = tuple(name for name, kernel in KERNELS.items() if not kernel.has_weights)
"""Names of the kernels that read no weight tensor; each is also the name of a layer kind."""

IN_PLACE_KERNELS: Final = tuple(sorted(name for name, kernel in KERNELS.items() if kernel.can_write_in_place))
"""Names of the kernels that can write their output over an input, on a device that allows it."""


def require_rows(table: Iterable[object], expected: Iterable[object], what: str) -> None:
    """Reject a table that does not have exactly one row for each expected key, such as each kernel.

    Args:
        table: Keys of the table.
        expected: Keys that the table must have: layer kinds or kernels.
        what: Name of the table in the error, e.g. "the table of code sizes".

    Raises:
        ValueError: if a row is missing, or belongs to none of the expected keys.
    """
    present, required = set(table), set(expected)
    for problem, keys in (("lacks a row for", required - present), ("has a row for the unknown", present - required)):
        if keys:
            first = min(keys, key=str)
            raise ValueError(f"{what} {problem} {first!r}; expected rows for {sorted(required, key=str)}")


def check_registered(layer: Layer) -> None:
    """Reject a layer whose class is not in the list of supported layer kinds: its bytes and cycles are unknown.

    Raises:
        InvalidNetwork: if the class is not registered; the message names the layer, its kind and its class.
    """
    kind = getattr(layer, "kind", None)
    if LAYER_KINDS.get(str(kind)) is not type(layer):
        raise InvalidNetwork(
            f"layer '{layer.name}' has the unknown kind '{kind}' (class {type(layer).__name__}), whose bytes cannot be "
            f"counted; expected one of {', '.join(LAYER_KINDS)}. A new kind is added to LAYER_KINDS in "
            "network/kernels.py (docs/adding-an-operator.md)"
        )


def kernel_of(layer: Layer, input_shape: Shape) -> str:
    """Return the name of the device's kernel that runs a layer.

    Args:
        layer: The layer.
        input_shape: Shape of the first tensor that the layer reads.

    Raises:
        InvalidNetwork: if the class of the layer is not in `LAYER_KINDS`.
    """
    check_registered(layer)
    if not isinstance(layer, Convolution):
        return layer.kind
    return convolution_kernel(input_shape.channels, layer.groups, layer.kernel, layer.stride, layer.padding)


def convolution_kernel(
    input_channels: int, groups: int, kernel_size: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> str:
    """Return the name of the kernel that runs a convolution of the given form.

    Args:
        input_channels: Number of channels of its input.
        groups: Number of groups of the convolution.
        kernel_size: Height and width of the kernel.
        stride: Vertical and horizontal stride.
        padding: Rows and columns of zeros around the input.
    """
    if is_depthwise(groups, input_channels):
        return DEPTHWISE
    is_pointwise = kernel_size == (1, 1) and stride == (1, 1) and not any(padding) and groups == 1
    return POINTWISE if is_pointwise else Convolution.kind


require_rows(KERNELS, {*LAYER_KINDS, POINTWISE, DEPTHWISE}, "the table KERNELS in network/kernels.py")
