"""Integer-only networks of one layer, with random codes, for counting what a kernel executes.

The shapes of pointwise and depthwise layers are those for which figures of other kernels are published.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from deploy.arithmetic import Requantization, encode_factors, top_code
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
    IntegerTensor,
)
from deploy.narrow_constants import shift_limits
from network.allocation import Bits, Folding, Scheme, WeightScheme
from network.layers import Padding, Shape
from network.network_input import InputFormat, NetworkInput

SAME: Final = Padding(1, 1, 1, 1)
SQUARE: Final = Shape(64, 16, 16)
"""Shape of the input of most layers here: 64 channels of 16 x 16."""


@dataclass(frozen=True, slots=True)
class WeightedShape:
    """Extents of a layer with weights.

    Attributes:
        input: Shape of the input.
        channels: Number of output channels.
        kernel: Rows and columns of the square kernel.
        stride: Rows and columns between neighbouring windows.
        groups: Number of groups of channels.
        is_fully_connected: Whether the layer is fully connected.
    """

    input: Shape
    channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    is_fully_connected: bool = False

    @property
    def output(self) -> Shape:
        """Shape of the output."""
        if self.is_fully_connected:
            return Shape(self.channels)
        return Shape(self.channels, -(-self.input.height // self.stride), -(-self.input.width // self.stride))

    @property
    def multiply_accumulates(self) -> int:
        """Number of multiply-accumulate operations of one inference."""
        if self.is_fully_connected:
            return self.input.elements * self.channels
        return self.output.elements * self.kernel**2 * self.input.channels // self.groups


WEIGHTED: Final[Mapping[str, WeightedShape]] = {
    "pointwise_convolution": WeightedShape(SQUARE, 64),
    "convolution": WeightedShape(Shape(32, 16, 16), 32, kernel=3),
    "depthwise_convolution": WeightedShape(SQUARE, 64, kernel=3, groups=64),
    "fully_connected": WeightedShape(Shape(256), 64, is_fully_connected=True),
}
"""Kernel with weights -> the layer for which its speed is counted."""


def weighted(shape: WeightedShape, input_bits: Bits, weight_bits: Bits, output_bits: Bits = 8) -> IntegerNetwork:
    """Return a network of one layer with weights: narrow constants, one weight zero point, random codes.

    Args:
        shape: Extents of the layer.
        input_bits: Bits of the input's codes.
        weight_bits: Bits of the weight codes.
        output_bits: Bits of the output's codes.
    """
    rng = np.random.default_rng(0)
    source = shape.input
    height, width = (source.height, source.width) if shape.is_fully_connected else (shape.kernel, shape.kernel)
    codes = rng.integers(0, top_code(weight_bits) + 1, (shape.channels, height, width, source.channels // shape.groups))
    centre = (top_code(weight_bits) + 1) // 2
    taps = codes[0].size
    deviation = math.sqrt(taps) * top_code(input_bits) * top_code(weight_bits) / 6
    least, most = shift_limits(input_bits, weight_bits)
    shift = min(max(15 - math.frexp(top_code(output_bits) / 4 / deviation)[1], least), most)
    multiplier = rng.integers(2**14, 2**15, shape.channels)
    common: dict[str, Any] = {
        "name": "layer", "inputs": ("input",), "output": "output", "codes": codes.astype(np.uint8),
        "weight_bits": weight_bits, "weight_zero_point": np.array([centre], np.int32),
        "bias": rng.integers(-1000, 1000, shape.channels).astype(np.int32),
        "requantization": Requantization(
            multiplier.astype(np.int32), np.full(shape.channels, shift, dtype=np.int8)
        ),
        "scheme": Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN), "weight_scale": np.full(shape.channels, 0.01),
    }  # fmt: skip
    layer = (
        IntegerFullyConnected(**common)
        if shape.is_fully_connected
        else IntegerConvolution(
            **common, stride=(shape.stride, shape.stride), padding=_padding(shape), groups=shape.groups
        )
    )
    return _network(layer, {"input": (source, input_bits)}, shape.output, output_bits)


def _padding(shape: WeightedShape) -> Padding:
    if shape.kernel == 1:
        return Padding()
    return SAME if shape.stride == 1 else Padding(0, 0, 1, 1)


def _network(
    layer: IntegerLayer, inputs: Mapping[str, tuple[Shape, Bits]], output: Shape, output_bits: Bits
) -> IntegerNetwork:
    """Return the network of one layer between tensors of the given shapes and bits.

    Behind a layer without weights stands a fully connected layer, because every network has weights.
    """
    tensors = {name: IntegerTensor(name, shape, bits, 0.05, 0) for name, (shape, bits) in inputs.items()}
    tensors["output"] = IntegerTensor("output", output, output_bits, 0.05, top_code(output_bits) // 2)
    given = tuple(
        NetworkInput(name, shape, InputFormat((shape.channels, shape.height, shape.width)))
        for name, (shape, _) in inputs.items()
    )
    if isinstance(layer, IntegerConvolution):
        return IntegerNetwork("layer", given, tensors, (layer,), ("output",))
    tensors["end"] = IntegerTensor("end", Shape(1), 8, 0.05, 0)
    end = IntegerFullyConnected(
        name="end", inputs=("output",), output="end", codes=np.full((1, *output[1:], output[0]), 3, np.uint8),
        weight_bits=2, weight_zero_point=np.array([2], np.int32), bias=np.zeros(1, np.int32),
        requantization=Requantization(np.array([2**14], np.int32), np.array([30], np.int8)),
        scheme=Scheme(WeightScheme.PER_CHANNEL_SYM_LSQ, Folding.ICN), weight_scale=np.ones(1),
    )  # fmt: skip
    return IntegerNetwork("layer", given, tensors, (layer, end), ("end",))


def _add(bits: Bits) -> IntegerNetwork:
    factors = Requantization(np.array([90000, 60000], np.int32), np.array([17, 17], np.int8))
    layer = IntegerAdd(name="layer", inputs=("input", "second"), output="output", requantization=factors)
    return _network(layer, {"input": (SQUARE, bits), "second": (SQUARE, bits)}, SQUARE, bits)


def _activation(bits: Bits) -> IntegerNetwork:
    factors = Requantization(np.array([90000], np.int32), np.array([17], np.int8))
    layer = IntegerAdd(name="layer", inputs=("input",), output="output", requantization=factors)
    return _network(layer, {"input": (SQUARE, bits)}, SQUARE, bits)


def _concat(bits: Bits) -> IntegerNetwork:
    layer = IntegerConcat(
        name="layer", inputs=("input", "second"), output="output", requantization=encode_factors([0.7, 0.9], "layer")
    )
    shape = Shape(2 * SQUARE.channels, SQUARE.height, SQUARE.width)
    return _network(layer, {"input": (SQUARE, bits), "second": (SQUARE, bits)}, shape, bits)


def _max_pool(bits: Bits) -> IntegerNetwork:
    layer = IntegerMaxPool(
        name="layer", inputs=("input",), output="output", kernel=(2, 2), stride=(2, 2), padding=Padding(),
        requantization=encode_factors([1.0], "layer"),
    )  # fmt: skip
    return _network(layer, {"input": (SQUARE, bits)}, Shape(64, 8, 8), bits)


def _average_pool(bits: Bits) -> IntegerNetwork:
    layer = IntegerAveragePool(
        name="layer", inputs=("input",), output="output", kernel=(16, 16), stride=(1, 1), padding=Padding(),
        count_includes_padding=False, divisors=(256,), requantization=encode_factors([1 / 256], "layer"),
    )  # fmt: skip
    return _network(layer, {"input": (SQUARE, bits)}, Shape(64), bits)


def _pad(bits: Bits) -> IntegerNetwork:
    layer = IntegerPad(
        name="layer", inputs=("input",), output="output", padding=SAME, channels_before=0, channels_after=0,
        requantization=encode_factors([1.0], "layer"),
    )  # fmt: skip
    return _network(layer, {"input": (SQUARE, bits)}, Shape(64, 18, 18), bits)


WEIGHTLESS: Final[Mapping[str, tuple[Callable[[Bits], IntegerNetwork], int]]] = {
    "add": (_add, 2 * SQUARE.elements),
    "activation": (_activation, SQUARE.elements),
    "concat": (_concat, 2 * SQUARE.elements),
    "max_pool": (_max_pool, SQUARE.elements),
    "average_pool": (_average_pool, SQUARE.elements),
    "pad": (_pad, SQUARE.elements),
}
"""Kernel without weights -> builder of a network whose layer "layer" it runs, and number of elements that it reads."""
