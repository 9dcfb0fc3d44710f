"""A second implementation of the integer arithmetic, for comparison: Python integers, element by element, without
numpy.

From `deploy` it uses only the fields of the network.
"""

from __future__ import annotations

import itertools
from typing import Any

from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
    IntegerTensor,
)

Image = list[list[list[int]]]
"""The codes of one image, indexed by [height][width][channels]."""


def interpret(network: IntegerNetwork, input_codes: dict[str, Image]) -> dict[str, Image]:
    """Compute the codes of all tensors for one image of each input."""
    images = dict(input_codes)
    for layer in network.layers:
        tensors = [network.tensors[name] for name in layer.inputs]
        operands = [images[name] for name in layer.inputs]
        images[layer.output] = _execute(layer, operands, tensors, network.tensors[layer.output])
    return images


def _execute(layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor) -> Image:
    channels, height, width = out.shape
    element = ELEMENTS[type(layer)]
    return [
        [[element(layer, operands, tensors, out, y, x, c) for c in range(channels)] for x in range(width)]
        for y in range(height)
    ]


def _convolution(
    layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor, y: int, x: int, c: int
) -> int:
    (image,), (tensor,) = operands, tensors
    output_channels, kernel_height, kernel_width, channels = layer.codes.shape
    first = c // (output_channels // layer.groups) * channels
    z_w = int(layer.weight_zero_point[c % len(layer.weight_zero_point)])
    total = int(layer.bias[c])
    for ky in range(kernel_height):
        for kx in range(kernel_width):
            row = y * layer.stride[0] + ky * layer.dilation[0] - layer.padding.top
            column = x * layer.stride[1] + kx * layer.dilation[1] - layer.padding.left
            for i in range(channels):
                q_x = tensor.zero_point  # padding adds the code of real zero
                if _inside(tensor, row, column):
                    q_x = image[row][column][first + i]
                total += (q_x - tensor.zero_point) * (int(layer.codes[c, ky, kx, i]) - z_w)
    factor = c % len(layer.requantization.multiplier)
    return _code(total * _multiplier(layer, factor), _shift(layer, factor), out)


def _add(
    layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor, y: int, x: int, c: int
) -> int:
    total = 0
    for index, (image, tensor) in enumerate(zip(operands, tensors, strict=True)):
        total += (image[y][x][c] - tensor.zero_point) * _multiplier(layer, index)
    return _code(total, _shift(layer, 0), out)


def _concat(
    layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor, y: int, x: int, c: int
) -> int:
    if layer.flattening is None and layer.axis != "channels":
        place = y if layer.axis == "height" else x
        extents = [tensor.shape.height if layer.axis == "height" else tensor.shape.width for tensor in tensors]
        index, place = [(index, place) for index, extent in enumerate(extents) for place in range(extent)][place]
        row, column = (place, x) if layer.axis == "height" else (y, place)
        steps = operands[index][row][column][c] - tensors[index].zero_point
        return _code(steps * _multiplier(layer, index), _shift(layer, index), out)
    owner: list[tuple[int, int, int, int]] = []
    for index, tensor in enumerate(tensors):
        channels, height, width = tensor.shape
        if layer.flattening is None:
            owner += [(index, y, x, i) for i in range(channels)]
        elif layer.flattening == "channels_first":
            places = itertools.product(range(channels), range(height), range(width))
            owner += [(index, row, column, i) for i, row, column in places]
        else:
            places = itertools.product(range(height), range(width), range(channels))
            owner += [(index, row, column, i) for row, column, i in places]
    index, row, column, channel = owner[c]
    steps = operands[index][row][column][channel] - tensors[index].zero_point
    return _code(steps * _multiplier(layer, index), _shift(layer, index), out)


def _pad(
    layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor, y: int, x: int, c: int
) -> int:
    (image,), (tensor,) = operands, tensors
    row, column, channel = y - layer.padding.top, x - layer.padding.left, c - layer.channels_before
    if not _inside(tensor, row, column) or not 0 <= channel < tensor.shape.channels:
        return out.zero_point
    return _code((image[row][column][channel] - tensor.zero_point) * _multiplier(layer, 0), _shift(layer, 0), out)


def _max_pool(
    layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor, y: int, x: int, c: int
) -> int:
    largest = max(_window(layer, operands[0], tensors[0], y, x, c))
    return _code((largest - tensors[0].zero_point) * _multiplier(layer, 0), _shift(layer, 0), out)


def _average_pool(
    layer: Any, operands: list[Image], tensors: list[IntegerTensor], out: IntegerTensor, y: int, x: int, c: int
) -> int:
    window = _window(layer, operands[0], tensors[0], y, x, c)
    elements = layer.kernel[0] * layer.kernel[1] if layer.count_includes_padding else len(window)
    total = sum(code - tensors[0].zero_point for code in window)
    factor = layer.divisors.index(elements)
    return _code(total * _multiplier(layer, factor), _shift(layer, factor), out)


ELEMENTS = {
    IntegerConvolution: _convolution,
    IntegerFullyConnected: _convolution,
    IntegerAdd: _add,
    IntegerConcat: _concat,
    IntegerPad: _pad,
    IntegerMaxPool: _max_pool,
    IntegerAveragePool: _average_pool,
}


def _window(layer: Any, image: Image, tensor: IntegerTensor, y: int, x: int, c: int) -> list[int]:
    first_row = y * layer.stride[0] - layer.padding.top
    first_column = x * layer.stride[1] - layer.padding.left
    return [
        image[row][column][c]
        for row in range(first_row, first_row + layer.kernel[0])
        for column in range(first_column, first_column + layer.kernel[1])
        if _inside(tensor, row, column)
    ]


def _inside(tensor: IntegerTensor, row: int, column: int) -> bool:
    return 0 <= row < tensor.shape.height and 0 <= column < tensor.shape.width


def _multiplier(layer: Any, index: int) -> int:
    return int(layer.requantization.multiplier[index])


def _shift(layer: Any, index: int) -> int:
    return int(layer.requantization.shift[index])


def _code(product: int, shift: int, out: IntegerTensor) -> int:
    """Return clamp(z + floor(p / 2^n + 1/2), 0, 2^b - 1); floor(p / 2^n + 1/2) = floor((2 p + 2^n) / 2^(n + 1))."""
    return int(min(max(out.zero_point + (2 * product + 2**shift) // 2 ** (shift + 1), 0), 2**out.bits - 1))
