"""Execution of each kind of integer layer: from input codes to output codes, in exact integers at every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import singledispatch

import numpy as np

from deploy.arithmetic import CodeArray, IntArray, Requantization, requantize, round_to_codes
from deploy.convolution import ConvolutionExecutor
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerLayer,
    IntegerMaxPool,
    IntegerPad,
    IntegerTensor,
)
from deploy.windows import padded, window_maxima, window_sums
from network.layers import Axis, Flattening
from network.windows import window_counts

Executor = Callable[..., CodeArray]
"""Function from the codes of a layer's inputs to the codes of its output, each uint8 [n, height, width, channels]."""


@singledispatch
def executor(layer: IntegerLayer, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    """Return the function that executes an integer layer; work that does not depend on the input codes is done only
    once, here.

    Args:
        layer: The layer to execute.
        inputs: The input tensors of the layer.
        output: The output tensor of the layer.

    Raises:
        TypeError: if the kind of the layer has no executor.
    """
    raise TypeError(f"layer '{layer.name}' is of kind {layer.kind}, which the reference interpreter cannot run")


@executor.register
def _(layer: IntegerConvolution, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    return ConvolutionExecutor(layer, inputs[0], output)


@executor.register
def _(layer: IntegerAdd, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    multipliers = layer.requantization.multiplier.astype(np.int64)

    def execute(*operands: CodeArray) -> CodeArray:
        total = np.zeros(operands[0].shape, dtype=np.int64)
        for codes, tensor, multiplier in zip(operands, inputs, multipliers, strict=True):
            total += _steps(codes, tensor) * multiplier
        return round_to_codes(total, layer.requantization.shift[:1], output.zero_point, output.bits)

    return execute


@executor.register
def _(layer: IntegerConcat, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    axis = {Axis.CHANNELS: 3, Axis.HEIGHT: 1, Axis.WIDTH: 2}[layer.axis]

    def execute(*operands: CodeArray) -> CodeArray:
        parts = [
            _requantized(codes, tensor, _one(layer.requantization, index), output)
            for index, (codes, tensor) in enumerate(zip(operands, inputs, strict=True))
        ]
        if layer.flattening is not None:
            parts = [_flattened(part, layer.flattening) for part in parts]
        return np.concatenate(parts, axis=axis)

    return execute


@executor.register
def _(layer: IntegerMaxPool, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    def execute(codes: CodeArray) -> CodeArray:
        # 0 is the smallest code, so padding never exceeds an element of the image.
        largest = window_maxima(padded(codes, layer.padding, 0), layer.kernel, layer.stride)
        return _requantized(largest, inputs[0], layer.requantization, output)

    return execute


@executor.register
def _(layer: IntegerAveragePool, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    counts = np.full((output.shape.height, output.shape.width), layer.divisors[0])
    if not layer.count_includes_padding:
        counts = np.outer(*window_counts(inputs[0].shape, layer.padding, layer.kernel, layer.stride))

    def execute(codes: CodeArray) -> CodeArray:
        sums = window_sums(padded(_steps(codes, inputs[0]), layer.padding, 0), layer.kernel, layer.stride)
        result = np.empty(sums.shape, dtype=np.uint8)
        for index, divisor in enumerate(layer.divisors):
            alike = counts == divisor
            factor = _one(layer.requantization, index)
            result[:, alike] = requantize(sums[:, alike], factor, output.zero_point, output.bits)
        return result

    return execute


@executor.register
def _(layer: IntegerPad, inputs: tuple[IntegerTensor, ...], output: IntegerTensor) -> Executor:
    def execute(codes: CodeArray) -> CodeArray:
        image = padded(_requantized(codes, inputs[0], layer.requantization, output), layer.padding, output.zero_point)
        channels = (layer.channels_before, layer.channels_after)
        return np.pad(image, ((0, 0), (0, 0), (0, 0), channels), constant_values=output.zero_point)

    return execute


def _steps(codes: CodeArray, tensor: IntegerTensor) -> IntArray:
    return codes.astype(np.int64) - tensor.zero_point


def _flattened(codes: CodeArray, order: Flattening) -> CodeArray:
    """Return the codes of images as vectors, [n, 1, 1, elements]."""
    if order is Flattening.CHANNELS_FIRST:
        codes = codes.transpose(0, 3, 1, 2)
    return codes.reshape(len(codes), 1, 1, math.prod(codes.shape[1:]))


def _requantized(codes: CodeArray, source: IntegerTensor, factor: Requantization, output: IntegerTensor) -> CodeArray:
    return requantize(_steps(codes, source), factor, output.zero_point, output.bits)


def _one(requantization: Requantization, index: int) -> Requantization:
    """Return the requantization that has only the multiplier and the shift at one index of the given requantization."""
    one = slice(index, index + 1)
    return Requantization(requantization.multiplier[one], requantization.shift[one])
