"""Data types of an integer-only network: its layers, weight codes, zero points and requantization factors.

Memory layout: activations are height, width, channel; weights are output channel, kernel row, kernel column, input
channel. A code q stands for the real value s * (q - z), with the scale s and the zero point z.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, Requantization
from deploy.thresholds import Thresholds
from network.allocation import Bits, Scheme
from network.errors import ConversionError
from network.host_steps import HostSteps
from network.layers import Axis, Flattening, Padding, Shape, is_depthwise
from network.network_input import NetworkInput


@dataclass(frozen=True, slots=True)
class IntegerTensor:
    """Activation tensor of an integer-only network; an integer code stands for the real value scale * (code -
    zero_point).

    Attributes:
        name: The name of the tensor, unique in its network.
        shape: The extents of one image.
        bits: Number of bits of each code: 8, 4 or 2.
        scale: The real value of one quantization step, finite and above 0.
        zero_point: The code of real zero, from 0 to 2^bits - 1.
    """

    name: str
    shape: Shape
    bits: Bits
    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLayer:
    """Base class of the layers of an integer-only network.

    Attributes:
        kind: The name of the layer's kind, e.g. "convolution".
        name: The name of the layer, unique in its network.
        inputs: The names of the tensors that the layer reads.
        output: The name of the tensor that the layer writes.
    """

    kind: ClassVar[str]
    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerConvolution(IntegerLayer):
    """Convolution in integer arithmetic, with weight codes of 8, 4 or 2 bits, int32 biases and requantization.

    Each element of the output is

    y = clamp(z_y + round_half_up((sum (q_x - z_x) * (q_w - z_w) + bias) * m / 2^n), 0, 2^b - 1).

    Padding adds the code of real zero, z_x. If the layer has thresholds, an inference compares the sum with them
    instead, which gives the same codes; then bias, m and n are only recorded.

    Attributes:
        codes: The weight codes q_w, uint8 [output_channels, kernel_height, kernel_width, input_channels / groups].
        weight_bits: Number of bits of each weight code: 8, 4 or 2.
        weight_zero_point: The zero points z_w of the weights, int32 [1] or [output_channels].
        bias: The biases in units of s_x * s_w, int32 [output_channels].
        requantization: The multipliers m and shifts n, [1] or [output_channels].
        scheme: The scheme by which the weights were quantized; an inference does not need it.
        weight_scale: The scales s_w of the weights, float64 [1] or [output_channels], of any sign but not 0; an
            inference does not need them.
        stride: Rows and columns between two neighbouring windows.
        padding: Rows and columns of real zero around the image.
        dilation: Rows and columns between two neighbouring taps of the kernel.
        groups: Number of groups of channels; each group of output channels reads one group of input channels.
        thresholds: The thresholds that follow from bias and requantization (see `deploy.thresholds`); None if the layer
            requantizes by multiplication.
        shares_weights_of: Name of the earlier layer whose weight codes this layer reads; flash stores them once, with
            that layer. None if the layer stores its own.
    """

    kind: ClassVar[str] = "convolution"
    codes: CodeArray
    weight_bits: Bits
    weight_zero_point: npt.NDArray[np.int32]
    bias: npt.NDArray[np.int32]
    requantization: Requantization
    scheme: Scheme
    weight_scale: npt.NDArray[np.float64]
    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    thresholds: Thresholds | None = None
    shares_weights_of: str | None = None

    @property
    def kernel(self) -> tuple[int, int]:
        """Number of rows and number of columns of the convolution kernel."""
        return self.codes.shape[1], self.codes.shape[2]

    @property
    def is_depthwise(self) -> bool:
        """Whether the convolution is depthwise: each output channel reads only one input channel."""
        return is_depthwise(self.groups, self.codes.shape[3] * self.groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerFullyConnected(IntegerConvolution):
    """Fully connected layer in integer arithmetic: a convolution whose kernel is its whole input, with one output
    position.
    """

    kind: ClassVar[str] = "fully_connected"


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerAdd(IntegerLayer):
    """Sum of tensors in integer arithmetic, y = clamp(z_y + round_half_up(sum_i (q_i - z_i) * m_i / 2^n), 0, 2^b - 1),
    which is rounded only once.

    With one input, the layer is a separate activation function.

    Attributes:
        requantization: One multiplier m_i for each input; all shifts are equal to n.
    """

    kind: ClassVar[str] = "add"
    requantization: Requantization


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerConcat(IntegerLayer):
    """Concatenation along one axis, or of flattened tensors, in integer arithmetic; each input is requantized to the
    scale and bits of the output.

    Attributes:
        flattening: Order in which each input is flattened to a vector first; None concatenates images.
        axis: Dimension along which images are concatenated.
        requantization: One multiplier and one shift for each input.
    """

    kind: ClassVar[str] = "concat"
    requantization: Requantization
    flattening: Flattening | None = None
    axis: Axis = Axis.CHANNELS


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerMaxPool(IntegerLayer):
    """Max pooling layer in integer arithmetic: the largest code of each window, requantized; padding is never the
    largest.

    Attributes:
        kernel: Rows and columns of the window.
        stride: Rows and columns between two neighbouring windows.
        padding: Rows and columns around the image.
        requantization: One multiplier and one shift.
    """

    kind: ClassVar[str] = "max_pool"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    requantization: Requantization


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerAveragePool(IntegerLayer):
    """Average pooling layer in integer arithmetic: the sum of (q - z) over each window, requantized by a factor that
    includes the division.

    Attributes:
        kernel: Rows and columns of the window.
        stride: Rows and columns between two neighbouring windows.
        padding: Rows and columns of real zero around the image.
        count_includes_padding: Whether the divisor of a window counts its padding.
        divisors: The distinct numbers of elements of the windows, ascending. There is more than one only if windows
            contain padding that is not counted.
        requantization: One multiplier and one shift for each divisor.
    """

    kind: ClassVar[str] = "average_pool"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    count_includes_padding: bool
    divisors: tuple[int, ...]
    requantization: Requantization


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerPad(IntegerLayer):
    """Padding layer in integer arithmetic: the requantized input, surrounded by the code that stands for the real value
    zero.

    Attributes:
        padding: Rows and columns that are added around the image.
        channels_before: Number of channels that are added before the first channel.
        channels_after: Number of channels that are added after the last channel.
        requantization: One multiplier and one shift.
    """

    kind: ClassVar[str] = "pad"
    padding: Padding
    channels_before: int
    channels_after: int
    requantization: Requantization


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Integer-only network: its layers and tensors, and the scales and zero points by which codes stand for real
    values.

    Attributes:
        name: The name of the network.
        inputs: The tensors that receive the codes of the caller, one or more, each with the conversion of a sample of
            the caller into its real values.
        tensors: All activation tensors by name: first the inputs, then the others in the order in which they are
            written.
        layers: The layers in schedule order.
        outputs: The names of the tensors that the caller reads.
        host_steps: What the caller's program computes from the outputs, for each output of the source file that is not
            a tensor of the network; an inference does not need them.
    """

    name: str
    inputs: tuple[NetworkInput, ...]
    tensors: Mapping[str, IntegerTensor]
    layers: tuple[IntegerLayer, ...]
    outputs: tuple[str, ...]
    host_steps: tuple[HostSteps, ...] = ()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The names of the tensors that receive the codes of the caller."""
        return tuple(each.name for each in self.inputs)

    @property
    def only_input(self) -> NetworkInput:
        """The input of a network that has one input.

        Raises:
            ConversionError: if the network has several inputs.
        """
        if len(self.inputs) != 1:
            raise ConversionError(
                f"network '{self.name}' has {len(self.inputs)} inputs; expected a network with one input"
            )
        return self.inputs[0]
