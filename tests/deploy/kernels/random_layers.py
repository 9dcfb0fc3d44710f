"""Random layers in the corners of their ranges, as cases for the kernels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from deploy.arithmetic import CodeArray, Requantization, encode_factors, encode_factors_of_sum, top_code
from deploy.counterparts import counterpart
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerLayer,
    IntegerMaxPool,
    IntegerPad,
    IntegerTensor,
)
from deploy.narrow_constants import NarrowConstants, narrow_constants_of
from deploy.proof import accumulator_bound, largest_step, product_bound
from deploy.thresholds import thresholds_of
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.layers import Axis, Flattening, Padding, Shape
from network.windows import window_divisors
from tests.deploy.kernels.kernel_cases import Case, convolution_case, other_case

SCHEME: Final = Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
NO_PADDING: Final = Padding()


class RandomLayers:
    """Maker of random layers of given bits and shapes.

    Attributes:
        generator: The source of all random numbers.
    """

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def corner(self, top: int) -> int:
        """Return 0, `top` or a number between them."""
        return (0, top, int(self.generator.integers(top + 1)))[self.generator.integers(3)]

    def bits(self) -> Bits:
        return BITS[self.generator.integers(3)]

    def tensor(self, shape: Shape, bits: Bits) -> IntegerTensor:
        return IntegerTensor("tensor", shape, bits, 0.5, self.corner(top_code(bits)))

    def codes(self, shape: Shape, bits: Bits) -> CodeArray:
        """Return an image of random codes, or (one in five) of the smallest or the largest code alone."""
        extents = (shape.height, shape.width, shape.channels)
        if self.generator.random() < 0.2:
            return np.full(extents, self.corner(top_code(bits)), dtype=np.uint8)
        return self.generator.integers(0, top_code(bits) + 1, extents, dtype=np.uint8)

    def factors(self, count: int, size: float) -> Requantization:
        """Return factors m / 2^n of about `size`, some of them negative or 0, or m and n in the corners of their
        ranges.
        """
        if self.generator.random() < 0.2:
            return Requantization(
                self.generator.choice(np.array([1, -1, 2**30, 2**31 - 1, 1 - 2**31], dtype=np.int32), count),
                self.generator.choice(np.array([0, 1, 30, 31, 32, 33, 34, 62], dtype=np.int8), count),
            )
        factors = self.generator.uniform(-0.3, 1, count) * size * 4.0 ** self.generator.integers(-1, 2, count)
        factors[self.generator.random(count) < 0.05] = 0.0
        return encode_factors(factors, "random")

    def convolution(
        self,
        shape: Shape,
        output_channels: int,
        bits: tuple[Bits, Bits, Bits],
        form: str,
        *,
        kernel: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
        padding: Padding = NO_PADDING,
        dilation: tuple[int, int] = (1, 1),
        groups: int = 1,
        is_fully_connected: bool = False,
    ) -> Case:
        """Return the case of a convolution or a fully connected layer.

        Args:
            shape: Shape of the input.
            output_channels: Number of output channels.
            bits: Bits of the input, of the weights and of the output.
            form: "narrow", "wide" or "thresholds".
            kernel: Rows and columns of the kernel.
            stride: Rows and columns between two windows.
            padding: Padding around the image.
            dilation: Rows and columns between two taps.
            groups: Number of groups of channels.
            is_fully_connected: Whether the kernel is the whole input.
        """
        input_bits, weight_bits, output_bits = bits
        kind = IntegerFullyConnected if is_fully_connected else IntegerConvolution
        kernel = (shape.height, shape.width) if is_fully_connected else kernel
        source = self.tensor(shape, input_bits)
        extents = (output_channels, *kernel, shape.channels // groups)
        weights = self.generator.integers(0, top_code(weight_bits) + 1, extents, dtype=np.uint8)
        if self.generator.random() < 0.2:
            weights[:] = self.corner(top_code(weight_bits))
        zero_points = np.array(
            [self.corner(top_code(weight_bits)) for _ in range((1, output_channels)[self.generator.integers(2)])],
            dtype=np.int32,
        )
        output_zero_point = self.corner(top_code(output_bits))
        spread = math.sqrt(weights[0].size) * (top_code(weight_bits) + 1) * (top_code(input_bits) + 1) / 8
        factors = self.factors(1 if self.generator.random() < 0.2 else output_channels, 2**output_bits / spread)
        bias = self.generator.integers(-int(spread) - 1, int(spread) + 2, output_channels).astype(np.int32)

        def layer_of(values: np.ndarray, requantization: Requantization) -> IntegerConvolution:
            return kind(
                name="layer", inputs=("tensor",), output="output", codes=weights, weight_bits=weight_bits,
                weight_zero_point=zero_points, bias=values.astype(np.int32), requantization=requantization,
                scheme=SCHEME, weight_scale=np.ones(1), stride=stride, padding=padding, dilation=dilation,
                groups=groups,
            )  # fmt: skip

        layer, narrow = layer_of(bias, factors), None
        if form == "narrow":
            narrow = self._narrow(output_channels, spread, bits)
            steps = weights.reshape(output_channels, -1).astype(np.int64) - zero_points[:, None]
            offsets = narrow.offset.astype(np.int64) << narrow.offset_shift
            shifts = np.full(output_channels, narrow.shift + 16 - (8 - input_bits) - (8 - weight_bits), dtype=np.int8)
            layer = layer_of(
                offsets + source.zero_point * steps.sum(axis=1),
                Requantization(narrow.multiplier.astype(np.int32), shifts),
            )
            assert accumulator_bound(layer, source) << (16 - input_bits - weight_bits) < 2**31
        elif form == "thresholds":
            thresholds = thresholds_of(layer.requantization, layer.bias, output_zero_point, output_bits)
            layer = replace(layer, thresholds=thresholds)
        assert product_bound(layer, source) << (8 - input_bits) < 2**31
        output = IntegerTensor("output", self.shape_of(layer, shape), output_bits, 0.5, output_zero_point)
        if form == "narrow" and self.generator.integers(2):
            narrow = narrow_constants_of(layer, source, output)
            assert narrow is not None
        return convolution_case(layer, (source,), output, self.codes(shape, input_bits), narrow, self.generator)

    def _narrow(self, channels: int, spread: float, bits: tuple[Bits, Bits, Bits]) -> NarrowConstants:
        """Return narrow constants for sums of about `spread`; one in five in the corners of their ranges."""
        widening, weight_shift, size = 8 - bits[0], 8 - bits[1], max(int(spread), 1).bit_length()
        multiplier = self.generator.integers(1 - 2**15, 2**15, channels).astype(np.int16)
        multiplier[self.generator.integers(channels)] = (2**15 - 1, 1 - 2**15)[self.generator.integers(2)]
        limit = 2 ** min(size, 15)
        offset = self.generator.integers(-limit, limit, channels).astype(np.int16)
        shift = min(max(size + widening + weight_shift - 1 - bits[2] + int(self.generator.integers(-1, 3)), 1), 16)
        if self.generator.random() < 0.2:
            shift = (1, 16)[self.generator.integers(2)]
        return NarrowConstants(multiplier, offset, shift, max(size - 15, 0), widening, weight_shift)

    def add(self, shape: Shape, bits: tuple[Bits, ...], *, is_wide: bool, overwritten: int | None = None) -> Case:
        """Return the case of an add of inputs of the first bits; the last bits are those of the output."""
        inputs = [self.tensor(shape, each) for each in bits[:-1]]
        output = self.tensor(shape, bits[-1])
        sizes = [2.0 ** (bits[-1] - each) for each in bits[:-1]]
        factors = encode_factors_of_sum(self.generator.uniform(-0.5, 1.2, len(inputs)) * sizes, "add")
        if not is_wide:
            lost = 0
            while True:
                shift = int(factors.shift[0]) - lost
                multiplier = factors.multiplier.astype(np.int64) >> lost
                terms = sum(abs(int(m)) * largest_step(each) for m, each in zip(multiplier, inputs, strict=True))
                if terms + (output.zero_point + 1) * 2**shift < 2**31:
                    break
                lost += 1
            factors = Requantization(multiplier.astype(np.int32), np.full(len(inputs), shift, dtype=np.int8))
        layer = IntegerAdd(name="layer", inputs=("tensor",) * len(inputs), output="output", requantization=factors)
        codes = [self.codes(shape, each) for each in bits[:-1]]
        return other_case(layer, inputs, output, codes, self.generator, overwritten)

    def concat(self, shapes: tuple[Shape, ...], axis: Axis, flattening: Flattening | None) -> Case:
        inputs = [self.tensor(shape, self.bits()) for shape in shapes]
        layer = IntegerConcat(
            name="layer", inputs=("tensor",) * len(inputs), output="output", flattening=flattening, axis=axis,
            requantization=self._rescaling(len(inputs)),
        )  # fmt: skip
        return self._other(layer, inputs)

    def max_pool(
        self, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding, bits: tuple[Bits, Bits]
    ) -> Case:
        layer = IntegerMaxPool(
            name="layer", inputs=("tensor",), output="output", kernel=kernel, stride=stride, padding=padding,
            requantization=self._rescaling(1),
        )  # fmt: skip
        return self._other(layer, [self.tensor(shape, bits[0])], bits[1])

    def average_pool(
        self, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], padding: Padding, bits: tuple[Bits, Bits]
    ) -> Case:
        counts = bool(self.generator.integers(2))
        divisors = window_divisors(shape, kernel, stride, padding, includes_padding=counts)
        factors = encode_factors(2.0 ** (bits[1] - bits[0]) / np.array(divisors), "average_pool")
        layer = IntegerAveragePool(
            name="layer", inputs=("tensor",), output="output", kernel=kernel, stride=stride, padding=padding,
            count_includes_padding=counts, divisors=divisors, requantization=factors,
        )  # fmt: skip
        return self._other(layer, [self.tensor(shape, bits[0])], bits[1])

    def pad(self, shape: Shape, padding: Padding, channels: tuple[int, int], bits: tuple[Bits, Bits]) -> Case:
        layer = IntegerPad(
            name="layer", inputs=("tensor",), output="output", padding=padding, channels_before=channels[0],
            channels_after=channels[1], requantization=self._rescaling(1),
        )  # fmt: skip
        return self._other(layer, [self.tensor(shape, bits[0])], bits[1])

    def _rescaling(self, count: int) -> Requantization:
        """Return factors of about 1, often exactly 1."""
        if self.generator.random() < 0.4:
            return Requantization(np.full(count, 2**30, dtype=np.int32), np.full(count, 30, dtype=np.int8))
        return self.factors(count, 1.0)

    def _other(self, layer: IntegerLayer, inputs: list[IntegerTensor], bits: Bits | None = None) -> Case:
        shape = counterpart(layer).output_shape(tuple(each.shape for each in inputs))
        output = self.tensor(shape, bits or self.bits())
        if self.generator.random() < 0.4:  # the same zero point: with a factor of 1, codes stay as they are
            zero_point = min(output.zero_point, *(top_code(each.bits) for each in inputs))
            output = replace(output, zero_point=zero_point)
            inputs = [replace(each, zero_point=zero_point) for each in inputs]
        codes = [self.codes(each.shape, each.bits) for each in inputs]
        return other_case(layer, inputs, output, codes, self.generator)

    def shape_of(self, layer: IntegerLayer, shape: Shape) -> Shape:
        return counterpart(layer).output_shape((shape,))
