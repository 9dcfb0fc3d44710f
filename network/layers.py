"""Immutable descriptions of the layers of a network, and the shape of the tensor that each layer writes.

A layer is one step that the device executes, with its batch norm and activation function folded in. Shapes are
(channels, height, width) without the batch; a vector is (channels, 1, 1). Weights are float32:

    convolution       weight [output_channels, input_channels / groups, kernel_height, kernel_width]
    fully connected   weight [output_channels, channels * height * width of its input], flattened in that order

Weights may be missing (`None`): element counts are enough to choose bits.

`kernels.py` registers every layer kind, and names the kernel that runs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from network.base_layer import (
    LINEAR,
    RELU,
    RELU6,
    ActivationFunction,
    BatchNorm,
    Float32Array,
    Layer,
    WeightLayer,
)
from network.shapes import Axis, Flattening, Padding, Shape
from network.windows import window_divisors, window_positions

__all__ = [
    "LINEAR", "RELU", "RELU6", "Activation", "ActivationFunction", "Add", "AveragePool", "Axis", "BatchNorm", "Concat",
    "Convolution", "Flattening", "Float32Array", "FullyConnected", "Layer", "MaxPool", "Pad", "Padding", "Pool",
    "Shape", "WeightLayer", "is_depthwise",
]  # fmt: skip


def is_depthwise(groups: int, input_channels: int) -> bool:
    """Return whether a convolution is depthwise: it has several input channels, and each filter reads one of them.

    Args:
        groups: Number of groups of the convolution.
        input_channels: Number of channels of its input.
    """
    return groups > 1 and groups == input_channels


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(WeightLayer):
    """Convolution layer with any number of groups; depthwise if each input channel is one group.

    Attributes:
        kernel: Height and width of the kernel.
        stride: Vertical and horizontal stride.
        padding: Rows and columns of zeros around the input.
        dilation: Vertical and horizontal distance between neighbouring elements of the kernel.
        groups: Number of groups; it divides the number of input channels and of output channels.
    """

    kind: ClassVar[str] = "convolution"
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        return (self.output_channels, self._only(inputs).channels // self.groups, *self.kernel)

    def weight_layout(self, inputs: tuple[Shape, ...]) -> tuple[object, ...]:
        return (self.groups,)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = self._only(inputs)
        if shape.channels % self.groups or self.output_channels % self.groups:
            raise self._mismatch(
                f"has {self.groups} groups, which do not divide its {shape.channels} input "
                f"and {self.output_channels} output channels; expected a number that divides both"
            )
        self._check_parameters(self.weight_shape(inputs))
        height, width = _window(self, shape, self.dilation)
        return Shape(self.output_channels, height, width)

    def is_depthwise(self, input_shape: Shape) -> bool:
        """Return whether each filter of a convolution reads one of several channels of an input of the given shape."""
        return is_depthwise(self.groups, input_shape.channels)


@dataclass(frozen=True, kw_only=True, eq=False)
class FullyConnected(WeightLayer):
    """Fully connected layer: matrix product over all elements of the input, flattened as channel, height, width."""

    kind: ClassVar[str] = "fully_connected"

    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        return (self.output_channels, self._only(inputs).elements)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        self._check_parameters(self.weight_shape(inputs))
        return Shape(self.output_channels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Layer):
    """Layer that adds two or more tensors of the same shape elementwise."""

    kind: ClassVar[str] = "add"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(inputs) < 2:
            raise self._mismatch(f"reads {len(inputs)} inputs; expected two inputs or more")
        if len(set(inputs)) > 1:
            raise self._mismatch(f"has inputs of the shapes {' and '.join(map(str, inputs))}; expected the same shape")
        return inputs[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Layer):
    """Layer that concatenates tensors of which the other two extents are equal, or flattened tensors.

    Attributes:
        axis: Dimension along which the tensors are concatenated.
        flattening: Order in which each input is flattened to a vector first; None concatenates images.
    """

    kind: ClassVar[str] = "concat"
    axis: Axis = Axis.CHANNELS
    flattening: Flattening | None = None

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if not inputs:
            raise self._mismatch("has no input; expected one input or more")
        if self.flattening is not None:
            return Shape(sum(shape.elements for shape in inputs))
        index = self.axis.position
        others = [other for other in Axis if other is not self.axis]
        if len({tuple(shape[other.position] for other in others) for shape in inputs}) > 1:
            raise self._mismatch(
                f"has inputs of the shapes {' and '.join(map(str, inputs))}; expected the same {' and '.join(others)}"
            )
        extents = list(inputs[0])
        extents[index] = sum(shape[index] for shape in inputs)
        return Shape(*extents)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Layer):
    """Base class of the pooling layers (max, average), which move a window over each channel separately.

    Attributes:
        kernel: Height and width of the window.
        stride: Vertical and horizontal stride.
        padding: Rows and columns around the input.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()

    @property
    def window_elements(self) -> int:
        """Number of elements of one window of a pooling layer, padding included."""
        return math.prod(self.kernel)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = self._only(inputs)
        top, left, bottom, right = self.padding
        if max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise self._mismatch(
                f"has padding {tuple(self.padding)}, so that some windows contain only padding; use less padding or a "
                "larger kernel"
            )
        return Shape(shape.channels, *_window(self, shape, (1, 1)))


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """Max-pooling layer: the largest element of each window; padding elements are ignored."""

    kind: ClassVar[str] = "max_pool"


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Pool):
    """Average-pooling layer: the mean of each window.

    Attributes:
        count_includes_padding: Whether padding elements count in the divisor of the mean.
    """

    kind: ClassVar[str] = "average_pool"
    count_includes_padding: bool = False

    def divisors(self, shape: Shape) -> tuple[int, ...]:
        """Return the distinct numbers by which an average-pooling layer divides its window sums, ascending."""
        return window_divisors(
            shape, self.kernel, self.stride, self.padding, includes_padding=self.count_includes_padding
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(Layer):
    """Layer that adds zeros around an image or to its channels, where no convolution or pooling layer can do this.

    Attributes:
        padding: Rows and columns of zeros around the image.
        channels_before: Number of channels of zeros before the first channel.
        channels_after: Number of channels of zeros after the last channel.
    """

    kind: ClassVar[str] = "pad"
    padding: Padding = Padding()
    channels_before: int = 0
    channels_after: int = 0

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        channels, height, width = self._only(inputs)
        top, left, bottom, right = self.padding
        shape = Shape(
            channels + self.channels_before + self.channels_after, height + top + bottom, width + left + right
        )
        if min(*self.padding, self.channels_before, self.channels_after) < 0 or min(shape) < 1:
            raise self._mismatch("has negative padding, which would crop the image; expected 0 or more")
        return shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Layer):
    """Layer that applies an activation function alone, because other layers read its input without the function."""

    kind: ClassVar[str] = "activation"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return self._only(inputs)


def _window(layer: Convolution | Pool, shape: Shape, dilation: tuple[int, int]) -> tuple[int, int]:
    top, left, bottom, right = layer.padding
    if min(*layer.kernel, *layer.stride, *dilation) < 1 or min(layer.padding) < 0:
        raise layer._mismatch(
            "has a kernel, stride or dilation below 1 or padding below 0; expected 1 or more, and padding of 0 or more"
        )
    height = window_positions(shape.height, layer.kernel[0], layer.stride[0], top, bottom, dilation[0])
    width = window_positions(shape.width, layer.kernel[1], layer.stride[1], left, right, dilation[1])
    if height < 1 or width < 1:
        raise layer._mismatch(
            f"has a {layer.kernel[0]}x{layer.kernel[1]} kernel that does not fit into its input of "
            f"{shape} with padding {tuple(layer.padding)}; use a smaller kernel or more padding"
        )
    return height, width
