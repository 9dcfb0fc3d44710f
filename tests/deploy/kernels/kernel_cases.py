"""Cases for the kernels: one layer, the arena before it, and the words from which kernel_program.c makes a descriptor.

The packing of weights and constants is written here again from the definition of the format, as an independent oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, pack_rows, top_code
from deploy.emission.code_factors import code_factors
from deploy.execution import executor
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
from deploy.narrow_constants import NarrowConstants, is_int32_sum
from deploy.weight_packing import pack_weights
from network.allocation import Bits
from network.layers import Axis, Flattening

DRIVERS: Final = (
    "convolution", "pointwise", "fully_connected", "add", "add_wide", "concat",
    "max_pool", "average_pool", "pad",
)  # fmt: skip
NARROW: Final = 0
WIDE: Final = 1
THRESHOLDS: Final = 2

WORD_ORDER: Final = {
    8: (0, 1, 2, 3),
    4: (0, 1, 4, 5, 2, 3, 6, 7),
    2: (0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15),
}
"""Bits of a weight -> the codes of a word from the least significant field."""

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """A layer with its input, ready to run on a kernel.

    Attributes:
        name: What the layer is, for messages.
        words: The words that kernel_program.c reads, uint32.
        before: The arena before the layer, uint8.
        expected: The arena after the layer, by the interpreter, uint8.
        compared: Whether each byte of the arena has one right value after the layer (scratch has not), bool.
    """

    name: str
    words: npt.NDArray[np.uint32]
    before: Bytes
    expected: Bytes
    compared: npt.NDArray[np.bool_]


def pixels_of(codes: CodeArray, bits: Bits) -> Bytes:
    """Return the packed bytes of an image, uint8 [bytes]."""
    return pack_rows(codes.reshape(-1, codes.shape[-1]), bits).reshape(-1)


def weight_bytes(rows: CodeArray, bits: int) -> Bytes:
    """Return the weights of one group, [output channels, codes of a row], as the kernels read them."""
    per_word = 32 // bits
    padded = np.zeros((len(rows), -(-rows.shape[1] // per_word) * per_word), dtype=np.uint32)
    padded[:, : rows.shape[1]] = rows
    words = np.zeros((len(rows), padded.shape[1] // per_word), dtype=np.uint32)
    for field, code in enumerate(WORD_ORDER[bits]):
        words |= padded[:, code::per_word] << np.uint32(field * bits)
    order = [words[row : row + 2].T.reshape(-1) for row in range(0, len(rows), 2)]
    return np.concatenate(order).astype("<u4").view(np.uint8)


def as_word(value: int) -> int:
    return int(value) & 0xFFFFFFFF


class CaseWords:
    """Collector of the words of one case, with the layout of its arena."""

    def __init__(self, driver: str, generator: np.random.Generator) -> None:
        self.driver, self.generator = driver, generator
        self.words: list[int] = []
        self.size = 0
        self.placed: list[tuple[int, Bytes]] = []
        self.scratch: tuple[int, int] = (0, 0)

    def add(self, *values: int) -> None:
        self.words += [as_word(value) for value in values]

    def array(self, values: Bytes) -> None:
        self.words.append(len(values))
        padded = np.zeros(-(-len(values) // 4) * 4, dtype=np.uint8)
        padded[: len(values)] = values
        self.words += padded.view("<u4").tolist()

    def place(self, size: int) -> int:
        """Return the offset of a new rectangle of the arena, after a gap of 0 to 8 bytes."""
        offset = self.size + 4 * int(self.generator.integers(3))
        self.size = offset + -(-size // 4) * 4
        return offset

    def tensor(self, codes: CodeArray, bits: Bits) -> int:
        values = pixels_of(codes, bits)
        offset = self.place(len(values))
        self.placed.append((offset, values))
        return offset

    def place_scratch(self, size: int) -> int:
        self.scratch = (self.place(size), size)
        return self.scratch[0]

    def case(self, name: str, output: int, expected: Bytes) -> Case:
        before = self.generator.integers(0, 256, self.size, dtype=np.uint8)
        for offset, values in self.placed:
            before[offset : offset + len(values)] = values
        after = before.copy()
        after[output : output + len(expected)] = expected
        compared = np.ones(self.size, dtype=bool)
        compared[self.scratch[0] : self.scratch[0] + self.scratch[1]] = False
        arena = CaseWords(self.driver, self.generator)
        arena.add(DRIVERS.index(self.driver))
        arena.array(before)
        words = np.array(arena.words + self.words, dtype=np.uint32)
        return Case(f"{self.driver}: {name}", words, before, after, compared)


def driver_of(layer: IntegerConvolution) -> str:
    if isinstance(layer, IntegerFullyConnected):
        return "fully_connected"
    plain = layer.kernel == (1, 1) and layer.stride == (1, 1) and not any(layer.padding) and layer.groups == 1
    return "pointwise" if plain else "convolution"


def offsets_of(layer: IntegerConvolution, tensor: IntegerTensor) -> list[int]:
    """Return bias - z_x * sum(q_w - z_w) of each output channel."""
    steps = layer.codes.reshape(len(layer.codes), -1).astype(np.int64) - layer.weight_zero_point[:, None]
    offsets: list[int] = (layer.bias - tensor.zero_point * steps.sum(axis=1)).tolist()
    return offsets


def constants_of(
    layer: IntegerConvolution, tensor: IntegerTensor, narrow: NarrowConstants | None
) -> npt.NDArray[np.uint32]:
    """Return the words of constants of each output channel, uint32 [output channels, words]."""
    channels = len(layer.codes)
    if narrow is not None:
        low, high = (each.view(np.uint16).astype(np.uint32) for each in (narrow.multiplier, narrow.offset))
        return (low | high << np.uint32(16))[:, None]
    offsets = np.array(offsets_of(layer, tensor), dtype=np.int64)
    if layer.thresholds is not None:
        products = offsets - layer.bias
        columns = [layer.thresholds.direction.astype(np.int64)[:, None], products[:, None], layer.thresholds.values]
    else:
        factors = layer.requantization
        both = (np.broadcast_to(values, channels).astype(np.int64) for values in (factors.multiplier, factors.shift))
        columns = [offsets[:, None], *(each[:, None] for each in both)]
    return (np.concatenate(columns, axis=1) & 0xFFFFFFFF).astype(np.uint32)


def convolution_case(
    layer: IntegerConvolution,
    inputs: tuple[IntegerTensor, ...],
    output: IntegerTensor,
    codes: CodeArray,
    narrow: NarrowConstants | None,
    generator: np.random.Generator,
) -> Case:
    """Return the case of a convolution that is not depthwise, or of a fully connected layer; `codes` is one image."""
    (source,) = inputs
    expected = executor(layer, inputs, output)(codes[None])[0]
    driver, e = driver_of(layer), 8 - source.bits
    case = CaseWords(driver, generator)
    form = NARROW if narrow is not None else (THRESHOLDS if layer.thresholds is not None else WIDE)
    channels, rows = len(layer.codes), len(layer.codes) // layer.groups
    row_codes = layer.codes[0].size
    row_words = -(-row_codes // (32 // layer.weight_bits))
    constants = constants_of(layer, source, narrow)
    zero_points = np.broadcast_to(layer.weight_zero_point, channels).astype(np.uint8)
    levels = top_code(output.bits) if form == THRESHOLDS else 0
    case.add(layer.groups, form, layer.weight_bits)
    weights = [weight_bytes(each, layer.weight_bits) for each in layer.codes.reshape(layer.groups, rows, row_codes)]
    assert np.array_equal(np.concatenate(weights), pack_weights(layer))
    for group in range(layer.groups):
        of = slice(group * rows, (group + 1) * rows)
        case.array(weights[group])
        case.array(constants[of].astype("<u4").reshape(-1).view(np.uint8))
        case.array(zero_points[of] if len(layer.weight_zero_point) > 1 else np.zeros(0, dtype=np.uint8))
        addend, offset_shift, shift = output.zero_point, 0, e
        if narrow is not None:
            addend = (output.zero_point << narrow.shift) + (1 << narrow.shift - 1)
            offset_shift, shift = narrow.offset_shift + e, narrow.shift
        case.add(addend, rows, row_words, int(zero_points[0]), offset_shift, shift, levels)
    k16, c4 = -(-row_codes // 16) * 16, -(-rows // 4) * 4
    spread = source.shape.channels % 4 != 0 and source.shape.height * source.shape.width > 1
    scratch = {
        "pointwise": 4 * k16 + 2 * c4,
        "convolution": 4 * k16 + k16 + 2 * c4,
        "fully_connected": 2 * k16 + k16 * spread + c4,
    }[driver]
    at = case.tensor(codes, source.bits)
    target = case.place(pixels_of(expected, output.bits).size)
    case.add(at, target, case.place_scratch(scratch))
    case.add(source.shape.height, source.shape.width, source.shape.channels // layer.groups)
    case.add(output.shape.height, output.shape.width, channels, row_words * 8 // layer.weight_bits)
    kernel = (0, 0) if driver == "fully_connected" else layer.kernel
    case.add(*kernel, *layer.stride, *layer.dilation, layer.padding.top, layer.padding.left)
    case.add(source.bits, source.zero_point, output.bits)
    name = (
        f"form {form}, {source} -> {output}, weights {layer.codes.shape} of {layer.weight_bits} bits, {layer.stride=}, "
        f"{layer.padding=}, {layer.dilation=}, {layer.groups=}"
    )
    return case.case(name, target, pixels_of(expected, output.bits))


def other_case(
    layer: IntegerLayer,
    inputs: Sequence[IntegerTensor],
    output: IntegerTensor,
    codes: Sequence[CodeArray],
    generator: np.random.Generator,
    overwritten: int | None = None,
) -> Case:
    """Return the case of a layer without weights; `overwritten` is the input at whose place the output is written."""
    expected = executor(layer, tuple(inputs), output)(*(each[None] for each in codes))[0]
    packed = pixels_of(expected, output.bits)
    driver = layer.kind
    if isinstance(layer, IntegerAdd) and not is_int32_sum(layer, inputs, output):
        driver = "add_wide"
    case = CaseWords(driver, generator)
    places = [case.tensor(each, tensor.bits) for each, tensor in zip(codes, inputs, strict=True)]
    target = case.place(packed.size) if overwritten is None else places[overwritten]
    if isinstance(layer, IntegerAdd):
        _add(case, layer, inputs, output, places, target)
    elif isinstance(layer, IntegerConcat):
        _concat(case, layer, inputs, output, places, target)
    elif isinstance(layer, IntegerMaxPool | IntegerAveragePool):
        _pool(case, layer, inputs[0], output, places[0], target)
    else:
        assert isinstance(layer, IntegerPad)
        _pad(case, layer, inputs[0], output, places[0], target)
    return case.case(f"{layer}, {inputs} -> {output}", target, packed)


def _add(
    case: CaseWords,
    layer: IntegerAdd,
    inputs: Sequence[IntegerTensor],
    output: IntegerTensor,
    places: list[int],
    target: int,
) -> None:
    shift = int(layer.requantization.shift[0])
    multipliers = layer.requantization.multiplier.tolist()
    case.add(len(inputs))
    addend = (output.zero_point << shift) + (1 << shift >> 1)
    for factor, tensor, place in zip(multipliers, inputs, places, strict=True):
        case.add(factor, place, tensor.bits, tensor.zero_point)
        addend -= factor * tensor.zero_point
    shape = output.shape
    case.add(target, addend, addend >> 32, shape.height * shape.width, shape.channels, shift, output.bits)


def _concat(
    case: CaseWords,
    layer: IntegerConcat,
    inputs: Sequence[IntegerTensor],
    output: IntegerTensor,
    places: list[int],
    target: int,
) -> None:
    factors = code_factors(layer.requantization)
    case.add(len(inputs))
    for index, (tensor, place) in enumerate(zip(inputs, places, strict=True)):
        case.add(factors[index].multiplier, place, tensor.shape.height, tensor.shape.width, tensor.shape.channels)
        case.add(factors[index].shift, tensor.bits, tensor.zero_point)
    axis = {Axis.CHANNELS: 0, Axis.HEIGHT: 1, Axis.WIDTH: 2}[layer.axis]
    if layer.flattening is not None:
        axis = 4 if layer.flattening is Flattening.CHANNELS_FIRST else 3
    case.add(target, output.shape.height, output.shape.width, output.shape.channels, axis, output.bits)
    case.add(output.zero_point)


def _pool(
    case: CaseWords,
    layer: IntegerMaxPool | IntegerAveragePool,
    source: IntegerTensor,
    output: IntegerTensor,
    place: int,
    target: int,
) -> None:
    divisors = layer.divisors if isinstance(layer, IntegerAveragePool) else (1,)
    factors = layer.requantization
    pairs = list(zip(factors.multiplier.tolist(), factors.shift.tolist(), strict=True))
    if isinstance(layer, IntegerMaxPool):
        pairs = list(code_factors(factors))
    case.add(len(divisors))
    for divisor, (multiplier, shift) in zip(divisors, pairs, strict=True):
        case.add(multiplier, divisor, shift)
    shape = source.shape
    case.add(place, target, shape.height, shape.width, shape.channels, output.shape.height, output.shape.width)
    case.add(*layer.kernel, *layer.stride, layer.padding.top, layer.padding.left)
    case.add(source.bits, source.zero_point, output.bits, output.zero_point)


def _pad(
    case: CaseWords, layer: IntegerPad, source: IntegerTensor, output: IntegerTensor, place: int, target: int
) -> None:
    (factor,) = code_factors(layer.requantization)
    case.add(place, target, factor.multiplier)
    case.add(source.shape.height, source.shape.width, source.shape.channels)
    case.add(output.shape.height, output.shape.width, output.shape.channels)
    case.add(layer.padding.top, layer.padding.left, layer.channels_before, factor.shift)
    case.add(source.bits, source.zero_point, output.bits, output.zero_point)
