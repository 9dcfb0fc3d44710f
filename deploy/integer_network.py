"""The integer-only network: codes, zero points and requantizations, with nothing left to choose.

Activations are laid out height, width, channel; weights output channel, kernel row, kernel column, input channel. A
real value is s * (q - z).
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
from network.layers import Padding, Shape, is_depthwise
from network.network import InputFormat


@dataclass(frozen=True, slots=True)
class IntegerTensor:
    """An activation tensor's codes: real value = scale * (code - zero_point)."""

    name: str
    shape: Shape
    bits: Bits
    scale: float
    zero_point: int


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerLayer:
    """One step of the integer-only network."""

    kind: ClassVar[str]
    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerConvolution(IntegerLayer):
    """y = clamp(z_y + round_half_up((sum (q_x - z_x) * (q_w - z_w) + bias) * m / 2^n), 0, 2^b - 1).

    Padding adds the code of real zero, z_x. A fully connected layer is the convolution whose kernel is its whole input.
    With thresholds, comparing the sum with them gives the same codes; bias, m and n are recorded, not needed to run.

    Attributes:
        codes: q_w, [output_channels, kernel_height, kernel_width, input_channels / groups].
        weight_bits: bits of every code.
        weight_zero_point: z_w, int32 [1] or [output_channels].
        bias: int32 [output_channels], in steps of s_x * s_w.
        requantization: [1] or [output_channels].
        scheme: how the weights were quantized; recorded, not needed to run.
        weight_scale: s_w, float64 [1] or [output_channels], of any sign; recorded, not needed to run.
        thresholds: those that bias and requantization give (`deploy.thresholds`); None where the layer multiplies.
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

    @property
    def kernel(self) -> tuple[int, int]:
        return self.codes.shape[1], self.codes.shape[2]

    @property
    def is_depthwise(self) -> bool:
        return is_depthwise(self.groups, self.codes.shape[3] * self.groups)


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerFullyConnected(IntegerConvolution):
    """A convolution whose kernel is its whole input: one output position."""

    kind: ClassVar[str] = "fully_connected"


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerAdd(IntegerLayer):
    """y = clamp(z_y + round_half_up(sum_i (q_i - z_i) * m_i / 2^n), 0, 2^b - 1): one shift, one rounding.

    With one input it is an activation function on its own.

    Attributes:
        requantization: one multiplier per input; all shifts are equal.
    """

    kind: ClassVar[str] = "add"
    requantization: Requantization


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerConcat(IntegerLayer):
    """Inputs one after the other along the channels, each requantized to the output's scale and bits.

    Attributes:
        requantization: one multiplier and shift per input.
    """

    kind: ClassVar[str] = "concat"
    requantization: Requantization


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerMaxPool(IntegerLayer):
    """The largest code of each window, requantized; padding never wins.

    Attributes:
        requantization: [1].
    """

    kind: ClassVar[str] = "max_pool"
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding
    requantization: Requantization


@dataclass(frozen=True, kw_only=True, eq=False)
class IntegerAveragePool(IntegerLayer):
    """The sum of (q - z) over each window, requantized with the window's own divisor in the factor.

    Attributes:
        divisors: the distinct numbers of elements that windows have, ascending: one, unless padding is left out.
        requantization: one multiplier and shift per divisor.
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
    """The input requantized, with the code of real zero around it.

    Attributes:
        requantization: [1].
    """

    kind: ClassVar[str] = "pad"
    padding: Padding
    channels_before: int
    channels_after: int
    requantization: Requantization


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Everything that an inference needs, and what its codes mean.

    Attributes:
        name: the network's.
        input: the tensor that the caller's codes are written to.
        tensors: every activation tensor, the input first, in the order in which they are written.
        layers: in schedule order.
        outputs: the tensors that the caller reads.
        input_format: how a caller's sample becomes the real values of the input tensor.
    """

    name: str
    input: str
    tensors: Mapping[str, IntegerTensor]
    layers: tuple[IntegerLayer, ...]
    outputs: tuple[str, ...]
    input_format: InputFormat
