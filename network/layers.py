"""The layers of a network: frozen data, and the shape each one writes.

A layer is one step that the device executes, with its batch norm and activation function folded in. Shapes are
(channels, height, width) without the batch; a vector is (channels, 1, 1). Weights are float32:

    convolution       weight [output_channels, input_channels / groups, kernel_height, kernel_width]
    fully connected   weight [output_channels, channels * height * width of its input], flattened in that order

Weights may be missing (`None`): element counts are enough to choose bits.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from network.errors import InvalidNetwork

FloatArray = npt.NDArray[np.float32]


class Shape(NamedTuple):
    """An activation tensor's extents, without the batch."""

    channels: int
    height: int = 1
    width: int = 1

    @property
    def elements(self) -> int:
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


class Padding(NamedTuple):
    """Rows and columns added around an image."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0


@dataclass(frozen=True, slots=True)
class ActivationFunction:
    """A clamp to [low, high]: ReLU is [0, inf], ReLU6 is [0, 6], none at all is [-inf, inf].

    Real zero is always inside, because padding and zero points need it: `low <= 0 <= high`.
    """

    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= 0.0 <= self.high or self.low == self.high:
            raise InvalidNetwork(
                f"an activation function must keep an interval around zero; it keeps [{self.low}, {self.high}]"
            )

    @property
    def is_linear(self) -> bool:
        return math.isinf(self.low) and math.isinf(self.high)


LINEAR = ActivationFunction()
RELU = ActivationFunction(low=0.0)
RELU6 = ActivationFunction(low=0.0, high=6.0)


@dataclass(frozen=True, slots=True, eq=False)
class BatchNorm:
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta; each array has one float32 per channel."""

    gamma: FloatArray
    beta: FloatArray
    mean: FloatArray
    variance: FloatArray
    epsilon: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer(ABC):
    """What all layers have. `inputs` and `output` name activation tensors."""

    kind: ClassVar[str]
    name: str
    inputs: tuple[str, ...]
    output: str
    activation: ActivationFunction = LINEAR

    @abstractmethod
    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        """The shape that the layer writes.

        Raises:
            InvalidNetwork: the input shapes do not suit the layer.
        """

    def _only(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(inputs) != 1:
            raise self._mismatch(f"takes one input, not {len(inputs)}")
        return inputs[0]

    def _mismatch(self, what: str) -> InvalidNetwork:
        return InvalidNetwork(f"layer '{self.name}' ({self.kind}) {what}")


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightLayer(Layer):
    """A layer that reads a weight tensor from flash."""

    output_channels: int
    weight: FloatArray | None = None
    bias: FloatArray | None = None
    batch_norm: BatchNorm | None = None

    @abstractmethod
    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        """The shape of the weight tensor, from the input's shape."""

    def multiply_accumulates(self, inputs: tuple[Shape, ...]) -> int:
        """Multiplications of one inference, padding counted as if it were multiplied."""
        output = self.output_shape(inputs)
        return math.prod(self.weight_shape(inputs)) * output.height * output.width

    def _check_parameters(self, weight_shape: tuple[int, ...]) -> None:
        if self.weight is not None and self.weight.shape != weight_shape:
            raise self._mismatch(f"needs weights of shape {list(weight_shape)}, has {list(self.weight.shape)}")
        per_channel = {"bias": self.bias}
        if self.batch_norm is not None:
            norm = self.batch_norm
            per_channel |= {"gamma": norm.gamma, "beta": norm.beta, "mean": norm.mean, "variance": norm.variance}
        for what, values in per_channel.items():
            if values is not None and values.shape != (self.output_channels,):
                raise self._mismatch(
                    f"has {self.output_channels} output channels, but its {what} has shape {list(values.shape)}"
                )
        for what, values in {"weights": self.weight, **per_channel}.items():
            if values is not None and not np.isfinite(values).all():
                raise self._mismatch(f"has NaN or infinite values in its {what}; train the network to finite values")
        if self.batch_norm is not None and (self.batch_norm.variance < 0).any():
            raise self._mismatch("has a negative variance in its batch norm")


def _window_extent(size: int, kernel: int, stride: int, before: int, after: int, dilation: int) -> int:
    """Output positions of a window along one axis; 0 or less if the window does not fit."""
    return (size + before + after - (dilation * (kernel - 1) + 1)) // stride + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Convolution(WeightLayer):
    """A convolution of any group count; depthwise when each input channel is a group of its own."""

    kind: ClassVar[str] = "convolution"
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        return (self.output_channels, self._only(inputs).channels // self.groups, *self.kernel)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = self._only(inputs)
        if shape.channels % self.groups or self.output_channels % self.groups:
            raise self._mismatch(
                f"has {self.groups} groups, which do not divide its {shape.channels} input "
                f"and {self.output_channels} output channels"
            )
        self._check_parameters(self.weight_shape(inputs))
        height, width = _window(self, shape, self.dilation)
        return Shape(self.output_channels, height, width)

    def is_depthwise(self, input_shape: Shape) -> bool:
        """One filter (or several) per input channel, none of which sees another channel."""
        return self.groups > 1 and self.groups == input_shape.channels


@dataclass(frozen=True, kw_only=True, eq=False)
class FullyConnected(WeightLayer):
    """A matrix product over all elements of the input, flattened channel, height, width."""

    kind: ClassVar[str] = "fully_connected"

    def weight_shape(self, inputs: tuple[Shape, ...]) -> tuple[int, ...]:
        return (self.output_channels, self._only(inputs).elements)

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        self._check_parameters(self.weight_shape(inputs))
        return Shape(self.output_channels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Add(Layer):
    """The elementwise sum of two or more tensors of one shape."""

    kind: ClassVar[str] = "add"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if len(inputs) < 2:
            raise self._mismatch(f"takes two inputs or more, not {len(inputs)}")
        if len(set(inputs)) > 1:
            raise self._mismatch(f"needs inputs of one shape, has {' and '.join(map(str, inputs))}")
        return inputs[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Concat(Layer):
    """Tensors of one height and width, one after the other along the channels."""

    kind: ClassVar[str] = "concat"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        if not inputs:
            raise self._mismatch("has no input")
        if len({(shape.height, shape.width) for shape in inputs}) > 1:
            raise self._mismatch(f"needs inputs of one height and width, has {' and '.join(map(str, inputs))}")
        return Shape(sum(shape.channels for shape in inputs), inputs[0].height, inputs[0].width)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool(Layer):
    """A window over each channel by itself."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        shape = self._only(inputs)
        top, left, bottom, right = self.padding
        if max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise self._mismatch(f"pads by {tuple(self.padding)}, which leaves windows of padding alone")
        return Shape(shape.channels, *_window(self, shape, (1, 1)))


@dataclass(frozen=True, kw_only=True, eq=False)
class MaxPool(Pool):
    """The largest element of each window; padding never wins."""

    kind: ClassVar[str] = "max_pool"


@dataclass(frozen=True, kw_only=True, eq=False)
class AveragePool(Pool):
    """The mean of each window, over all of it or only over what is not padding."""

    kind: ClassVar[str] = "average_pool"
    count_includes_padding: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Pad(Layer):
    """Real zeros around the image, or before and after the channels (padding that no convolution could take in)."""

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
            raise self._mismatch("has negative padding, which would crop the image")
        return shape


@dataclass(frozen=True, kw_only=True, eq=False)
class Activation(Layer):
    """An activation function that no layer could take in, because its input is also read as it is."""

    kind: ClassVar[str] = "activation"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        return self._only(inputs)


def _window(layer: Convolution | Pool, shape: Shape, dilation: tuple[int, int]) -> tuple[int, int]:
    top, left, bottom, right = layer.padding
    if min(*layer.kernel, *layer.stride, *dilation) < 1 or min(layer.padding) < 0:
        raise layer._mismatch("needs a kernel, strides and dilations of 1 or more, and padding of 0 or more")
    height = _window_extent(shape.height, layer.kernel[0], layer.stride[0], top, bottom, dilation[0])
    width = _window_extent(shape.width, layer.kernel[1], layer.stride[1], left, right, dilation[1])
    if height < 1 or width < 1:
        raise layer._mismatch(
            f"has a {layer.kernel[0]}x{layer.kernel[1]} kernel that does not fit into its input of "
            f"{shape} with padding {tuple(layer.padding)}"
        )
    return height, width
