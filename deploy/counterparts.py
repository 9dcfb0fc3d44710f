"""Conversion of a layer of an integer-only network to the float layer of the same kind, which computes the output
shape.
"""

from __future__ import annotations

from functools import singledispatch

from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerLayer,
    IntegerMaxPool,
    IntegerPad,
)
from network.errors import ConversionError
from network.layers import Activation, Add, AveragePool, Concat, Convolution, FullyConnected, Layer, MaxPool, Pad


@singledispatch
def counterpart(layer: IntegerLayer) -> Layer:
    """Return the float layer that has the same kind, inputs, windows and channels as a layer of an integer-only
    network.

    Raises:
        ConversionError: if the kind of the layer is unknown, or if its weights do not have four dimensions.
    """
    raise fault(layer, "is of a kind that the reference interpreter cannot run")


@counterpart.register
def _(layer: IntegerConvolution) -> Layer:
    if layer.codes.ndim != 4:
        raise fault(
            layer,
            f"has weight codes of shape {list(layer.codes.shape)}; expected four dimensions: output channels, kernel "
            "height, kernel width, input channels / groups",
        )
    return Convolution(
        name=layer.name, inputs=layer.inputs, output=layer.output, output_channels=len(layer.codes),
        kernel=layer.kernel, stride=layer.stride, padding=layer.padding, dilation=layer.dilation, groups=layer.groups,
    )  # fmt: skip


@counterpart.register
def _(layer: IntegerFullyConnected) -> Layer:
    return FullyConnected(
        name=layer.name, inputs=layer.inputs, output=layer.output, output_channels=len(layer.codes)
    )  # fmt: skip


@counterpart.register
def _(layer: IntegerAdd) -> Layer:
    kind = Activation if len(layer.inputs) == 1 else Add
    return kind(name=layer.name, inputs=layer.inputs, output=layer.output)


@counterpart.register
def _(layer: IntegerConcat) -> Layer:
    return Concat(
        name=layer.name, inputs=layer.inputs, output=layer.output, flattening=layer.flattening, axis=layer.axis
    )


@counterpart.register
def _(layer: IntegerMaxPool) -> Layer:
    return MaxPool(
        name=layer.name, inputs=layer.inputs, output=layer.output,
        kernel=layer.kernel, stride=layer.stride, padding=layer.padding,
    )  # fmt: skip


@counterpart.register
def _(layer: IntegerAveragePool) -> Layer:
    return AveragePool(
        name=layer.name, inputs=layer.inputs, output=layer.output,
        kernel=layer.kernel, stride=layer.stride, padding=layer.padding,
        count_includes_padding=layer.count_includes_padding,
    )  # fmt: skip


@counterpart.register
def _(layer: IntegerPad) -> Layer:
    return Pad(
        name=layer.name, inputs=layer.inputs, output=layer.output, padding=layer.padding,
        channels_before=layer.channels_before, channels_after=layer.channels_after,
    )  # fmt: skip


def fault(layer: IntegerLayer, what: str) -> ConversionError:
    """Return a `ConversionError` whose message consists of a layer's name, the layer's kind and the given text."""
    return ConversionError(f"layer '{layer.name}' ({layer.kind}) {what}")
