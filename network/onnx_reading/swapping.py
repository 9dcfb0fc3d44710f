"""Exchange of rows and columns in all layers, for files that transpose the image before their first layer.

Such a file computes f(transpose(x)). If each output of f is one pixel, the same numbers come from x and the layers with
rows and columns exchanged: kernels, strides, dilations, padding, and the columns of fully connected layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from network.errors import UnsupportedOperator
from network.layers import Axis, Concat, Convolution, FullyConnected, Layer, Pad, Padding, Pool, Shape
from network.onnx_reading.translation import InputLayout

Layers = tuple[Layer, ...]


def swapped_shape(shape: Shape) -> Shape:
    """Return a shape with height and width exchanged."""
    return Shape(shape.channels, shape.width, shape.height)


def with_rows_and_columns_swapped(
    layers: Layers, outputs: Iterable[str], shapes: Mapping[str, Shape], layouts: Mapping[str, InputLayout]
) -> Layers:
    """Return the layers that compute the same outputs from an image whose rows and columns are exchanged.

    Args:
        layers: The layers, after all fusion passes.
        outputs: Names of the network's output tensors.
        shapes: Shape of each tensor before the exchange, by name.
        layouts: Name of each input -> its layout.

    Raises:
        UnsupportedOperator: If an output has more than one pixel, so that it would be transposed, or if the file does
            not transpose another input that has more than one pixel.
    """
    for name, layout in layouts.items():
        if not layout.swaps_rows_and_columns and (layout.shape.height, layout.shape.width) != (1, 1):
            raise UnsupportedOperator(
                f"the file transposes rows and columns of one of its inputs, but not of '{name[:80]}'; expected the "
                "same for all images: remove the transpose of the input"
            )
    for output in outputs:
        shape = shapes[output]
        if (shape.height, shape.width) != (1, 1):
            raise UnsupportedOperator(
                f"the file transposes rows and columns of its input, and its output '{output[:80]}' is an image "
                f"({shape}), which would be transposed too; expected outputs of one pixel: remove the transpose of the "
                "input"
            )
    for layer in layers:
        is_flattening = isinstance(layer, Concat) and layer.flattening is not None
        if is_flattening and any(shapes[tensor][1:] != (1, 1) for tensor in layer.inputs):
            raise UnsupportedOperator(
                f"the file transposes rows and columns of its input, and node '{layer.name[:80]}' joins flattened "
                "images, whose elements would be transposed too: remove the transpose of the input"
            )
    return tuple(_swapped(layer, shapes) for layer in layers)


def _swapped(layer: Layer, shapes: Mapping[str, Shape]) -> Layer:
    match layer:
        case Convolution():
            weight = None if layer.weight is None else np.ascontiguousarray(layer.weight.transpose(0, 1, 3, 2))
            return replace(
                layer,
                kernel=layer.kernel[::-1],
                stride=layer.stride[::-1],
                dilation=layer.dilation[::-1],
                padding=_swapped_padding(layer.padding),
                weight=weight,
            )
        case Pool():
            return replace(
                layer,
                kernel=layer.kernel[::-1],
                stride=layer.stride[::-1],
                padding=_swapped_padding(layer.padding),
            )
        case Concat():
            swapped = {Axis.HEIGHT: Axis.WIDTH, Axis.WIDTH: Axis.HEIGHT}
            return replace(layer, axis=swapped.get(layer.axis, layer.axis))
        case Pad():
            return replace(layer, padding=_swapped_padding(layer.padding))
        case FullyConnected() if layer.weight is not None:
            weight = layer.weight.reshape(-1, *shapes[layer.inputs[0]]).transpose(0, 1, 3, 2)
            return replace(layer, weight=np.ascontiguousarray(weight).reshape(layer.weight.shape))
    return layer


def _swapped_padding(padding: Padding) -> Padding:
    top, left, bottom, right = padding
    return Padding(left, top, right, bottom)
