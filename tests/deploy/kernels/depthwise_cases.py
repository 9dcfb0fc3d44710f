"""Random depthwise layers in the forms of the generated C, with the arenas that the interpreter says they leave."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, Requantization, pack_rows, top_code
from deploy.convolution import ConvolutionExecutor
from deploy.integer_network import IntegerConvolution, IntegerTensor
from deploy.thresholds import thresholds_of
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.layers import Convolution, Padding, Shape
from network.memory.depthwise_scratch import depthwise_scratch_bytes
from network.windows import window_positions

FORMS: Final = ("narrow", "wide", "thresholds")
"""Forms of constants, in the order of BB_NARROW, BB_WIDE and BB_THRESHOLDS."""

LARGEST_SHIFT: Final = 22
"""Largest shift s of a narrow layer."""

FILL: Final = 0xA5
"""Byte of the arena wherever no tensor is."""


@dataclass(frozen=True)
class Geometry:
    """What a depthwise layer computes, without its numbers."""

    channels: int
    height: int
    width: int
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding(1, 1, 1, 1)
    multiplier: int = 1
    input_bits: Bits = 8
    weight_bits: Bits = 8
    output_bits: Bits = 8
    form: str = "narrow"
    is_fast: bool = False
    in_place: bool = False

    @property
    def output(self) -> Shape:
        top, left, bottom, right = self.padding
        return Shape(
            self.channels * self.multiplier,
            window_positions(self.height, self.kernel[0], self.stride[0], top, bottom, self.dilation[0]),
            window_positions(self.width, self.kernel[1], self.stride[1], left, right, self.dilation[1]),
        )

    @property
    def multiply_accumulates(self) -> int:
        return self.output.elements * self.kernel[0] * self.kernel[1]

    @property
    def scratch_bytes(self) -> int:
        layer = Convolution(
            name="layer", inputs=("x",), output="y", output_channels=self.output.channels, kernel=self.kernel,
            stride=self.stride, padding=self.padding, dilation=self.dilation, groups=self.channels,
        )  # fmt: skip
        return depthwise_scratch_bytes(layer, Shape(self.channels, self.height, self.width))


@dataclass(frozen=True)
class Case:
    """One run of a depthwise function: what the harness reads, and what it must write."""

    geometry: Geometry
    content: bytes
    arena_bytes: int
    output: slice
    expected: bytes
    kept: tuple[slice, ...]
    before: bytes


@dataclass(frozen=True)
class Constants:
    """Constants of a layer as the C reads them, and the integer layer that they stand for."""

    layer: IntegerConvolution
    words: npt.NDArray[np.int64]
    addend: int
    offset_shift: int = 0
    shift: int = 0


def case_of(geometry: Geometry, generator: np.random.Generator) -> Case:
    """Return a run of random codes through a random layer of the given geometry, with extreme values now and then."""
    tensor = _tensor(Shape(geometry.channels, geometry.height, geometry.width), geometry.input_bits, generator)
    output = _tensor(geometry.output, geometry.output_bits, generator)
    layer = _layer(geometry, generator)
    constants = {"narrow": _narrow, "wide": _wide, "thresholds": _thresholds}[geometry.form](
        layer, tensor, output, generator
    )
    codes = _codes((1, geometry.height, geometry.width, geometry.channels), geometry.input_bits, generator)
    expected = _packed(ConvolutionExecutor(constants.layer, tensor, output)(codes), geometry.output_bits)
    image = _packed(codes, geometry.input_bits)
    offsets, arena = _arena(geometry, image, len(expected), generator)
    weights = _rounded(pack_rows(layer.codes.transpose(1, 2, 0, 3).reshape(-1, len(layer.codes)), layer.weight_bits))
    zero_points = layer.weight_zero_point
    per_channel = _rounded(zero_points.astype(np.uint8)) if len(zero_points) > 1 else b""
    words = (constants.words & 0xFFFFFFFF).astype("<u4").tobytes()
    fields = (
        int(geometry.is_fast), len(weights), len(words), len(per_channel), len(arena), constants.addend & 0xFFFFFFFF,
        *offsets, geometry.height, geometry.width, geometry.channels, output.shape.height, output.shape.width,
        geometry.multiplier, *geometry.kernel, *geometry.stride, *geometry.dilation, geometry.padding.top,
        geometry.padding.left, geometry.input_bits, geometry.weight_bits, geometry.output_bits, tensor.zero_point,
        int(zero_points[0]) & 0xFF, constants.offset_shift, constants.shift, FORMS.index(geometry.form), 0, 0, 0,
    )  # fmt: skip
    at, scratch = offsets[1], offsets[2]
    free = np.ones(len(arena), dtype=bool)
    free[at : at + len(expected)] = False
    free[scratch : scratch + geometry.scratch_bytes] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([0], free.astype(np.int8), [0]))))
    kept = tuple(slice(int(a), int(b)) for a, b in edges.reshape(-1, 2))
    content = struct.pack("<34I", *fields) + weights + words + per_channel + arena
    return Case(geometry, content, len(arena), slice(at, at + len(expected)), expected, kept, arena)


def stream(cases: Sequence[Case]) -> bytes:
    """Return what the harness reads for these cases."""
    return struct.pack("<I", len(cases)) + b"".join(each.content for each in cases)


def check(cases: Sequence[Case], results: bytes) -> list[int]:
    """Compare the arenas that the harness wrote with the expected ones, and return the ticks of each case."""
    ticks, at = [], 0
    for case in cases:
        (elapsed,) = struct.unpack_from("<I", results, at)
        arena = results[at + 4 : at + 4 + case.arena_bytes]
        at += 4 + case.arena_bytes
        assert arena[case.output] == case.expected, case.geometry
        for kept in case.kept:
            assert arena[kept] == case.before[kept], case.geometry
        ticks.append(elapsed)
    assert at == len(results)
    return ticks


def random_geometry(generator: np.random.Generator, *, is_fast: bool) -> Geometry:
    """Return a random small geometry, of the fast 3x3 function or of the general one."""
    pick = generator.integers
    bits = [BITS[each] for each in pick(3, size=3)]
    padding = Padding(*(int(each) for each in pick(3, size=4)))
    geometry = Geometry(
        channels=int(pick(2, 14)), height=int(pick(1, 9)), width=int(pick(1, 9)), padding=padding, input_bits=bits[0],
        weight_bits=bits[1], output_bits=bits[2], is_fast=is_fast,
    )  # fmt: skip
    if is_fast:
        stride = int(pick(1, 3))
        geometry = replace(geometry, stride=(stride, stride))
    else:
        kernel, stride_yx, dilation = ((int(a), int(b)) for a, b in (pick(1, 6, 2), pick(1, 4, 2), pick(1, 3, 2)))
        geometry = replace(
            geometry, kernel=kernel, stride=stride_yx, dilation=dilation, multiplier=int(pick(1, 4)),
            form=FORMS[pick(3)],
        )  # fmt: skip
    if pick(3) == 0:  # output over input
        rows, columns = (d * (k - 1) for d, k in zip(geometry.dilation, geometry.kernel, strict=True))
        top, left = int(pick(rows + 1)), int(pick(columns + 1))
        geometry = replace(
            geometry, stride=(1, 1), multiplier=1, output_bits=geometry.input_bits, in_place=True,
            padding=Padding(top, left, rows - top, columns - left),
        )  # fmt: skip
    if min(geometry.output) < 1:
        return random_geometry(generator, is_fast=is_fast)
    return geometry


def _tensor(shape: Shape, bits: Bits, generator: np.random.Generator) -> IntegerTensor:
    top = top_code(bits)
    zero_point = (0, top, int(generator.integers(top + 1)))[generator.integers(3)]
    return IntegerTensor("tensor", shape, bits, 1.0, zero_point)


def _codes(shape: tuple[int, ...], bits: Bits, generator: np.random.Generator) -> CodeArray:
    """Return random codes, now and then only the two extreme ones."""
    top = top_code(bits)
    if generator.integers(4) == 0:
        return generator.choice(np.array([0, top], dtype=np.uint8), shape)
    return generator.integers(0, top + 1, shape).astype(np.uint8)


def _layer(geometry: Geometry, generator: np.random.Generator) -> IntegerConvolution:
    """Return a layer with random weights whose bias and factors are not chosen yet."""
    channels, top = geometry.output.channels, top_code(geometry.weight_bits)
    zero_points = generator.integers(0, top + 1, int(generator.choice([1, channels])))
    zero_points = np.where(generator.random(zero_points.shape) < 0.3, generator.choice([0, top, 255]), zero_points)
    return IntegerConvolution(
        name="layer", inputs=("x",), output="y", codes=_codes((channels, *geometry.kernel, 1), geometry.weight_bits,
        generator), weight_bits=geometry.weight_bits, weight_zero_point=zero_points.astype(np.int32),
        bias=np.zeros(channels, dtype=np.int32),
        requantization=Requantization(np.ones(1, dtype=np.int32), np.zeros(1, dtype=np.int8)),
        scheme=Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN), weight_scale=np.ones(1),
        stride=geometry.stride, padding=geometry.padding, dilation=geometry.dilation, groups=geometry.channels,
    )  # fmt: skip


def _weight_sums(layer: IntegerConvolution) -> npt.NDArray[np.int64]:
    steps = layer.codes.astype(np.int64) - layer.weight_zero_point[:, None, None, None]
    return np.asarray(steps.sum(axis=(1, 2, 3)), dtype=np.int64)


def _spread(layer: IntegerConvolution, tensor: IntegerTensor) -> float:
    return max(1.0, float(layer.codes[0].size ** 0.5) * top_code(layer.weight_bits) * top_code(tensor.bits) / 4)


def _narrow(
    layer: IntegerConvolution, tensor: IntegerTensor, output: IntegerTensor, generator: np.random.Generator
) -> Constants:
    channels, e = len(layer.codes), 8 - tensor.bits
    # Sums of the usual size cover the range of the output codes; a few layers have an extreme shift.
    usual = 14 - 16 - np.log2(top_code(output.bits) / (_spread(layer, tensor) * 2**e))
    shift = int(np.clip(round(float(usual)) + generator.integers(1, 6), 1, LARGEST_SHIFT))
    if generator.integers(6) == 0:
        shift = int(generator.integers(1, LARGEST_SHIFT + 1))
    multiplier = generator.integers(-(2**15), 2**15, channels)
    # Offsets o * 2^k of the size of the sums, with as many bits of o as they have, or with all of them.
    size = _spread(layer, tensor) * 2.0 ** generator.integers(-3, 2)
    offset_shift = max(0, int(np.log2(size / 2**15)))
    limit = 2**15 if generator.integers(4) == 0 else min(2**15, int(size) + 1)
    offset = generator.integers(-limit, limit, channels)
    bias = (offset << offset_shift) + tensor.zero_point * _weight_sums(layer)
    narrow = replace(
        layer,
        bias=bias.astype(np.int32),
        requantization=Requantization(multiplier.astype(np.int32), np.full(channels, shift + 16 - e, dtype=np.int8)),
    )
    words = (multiplier & 0xFFFF) | ((offset & 0xFFFF) << 16)
    addend = (output.zero_point << shift) + (1 << (shift - 1))
    return Constants(narrow, words, addend, offset_shift + e, shift)


def _wide(
    layer: IntegerConvolution, tensor: IntegerTensor, output: IntegerTensor, generator: np.random.Generator
) -> Constants:
    channels, spread = len(layer.codes), _spread(layer, tensor)
    bias = generator.integers(-int(spread), int(spread) + 1, channels)
    shift = generator.integers(0, 63, channels)
    usual = np.clip(np.round(np.log2(spread / top_code(output.bits)) + 30 + generator.integers(0, 5, channels)), 0, 62)
    shift = np.where(generator.random(channels) < 0.8, usual.astype(np.int64), shift)
    multiplier = generator.integers(-(2**31) + 1, 2**31, channels)
    wide = replace(
        layer,
        bias=bias.astype(np.int32),
        requantization=Requantization(multiplier.astype(np.int32), shift.astype(np.int8)),
    )
    offset = bias - tensor.zero_point * _weight_sums(layer)
    return Constants(wide, np.stack([offset, multiplier, shift], axis=1), output.zero_point)


def _thresholds(
    layer: IntegerConvolution, tensor: IntegerTensor, output: IntegerTensor, generator: np.random.Generator
) -> Constants:
    wide = _wide(layer, tensor, output, generator).layer
    thresholds = thresholds_of(wide.requantization, wide.bias, output.zero_point, output.bits)
    offset = -tensor.zero_point * _weight_sums(layer)
    words = np.concatenate(
        [thresholds.direction.astype(np.int64)[:, None], offset[:, None], thresholds.values.astype(np.int64)], axis=1
    )
    return Constants(replace(wide, thresholds=thresholds), words, output.zero_point)


def _packed(codes: CodeArray, bits: Bits) -> bytes:
    return pack_rows(codes.reshape(-1, codes.shape[-1]), bits).tobytes()


def _rounded(content: npt.NDArray[np.uint8]) -> bytes:
    return content.tobytes() + bytes(-content.size % 4)


def _arena(
    geometry: Geometry, image: bytes, output_bytes: int, generator: np.random.Generator
) -> tuple[tuple[int, int, int], bytes]:
    """Return the offsets of input, output and scratch in a random order without gaps, and the arena before the run."""
    sizes = {"input": len(image), "output": output_bytes, "scratch": geometry.scratch_bytes}
    if geometry.in_place:
        del sizes["output"]
    at, end = {}, 0
    for name in generator.permutation(list(sizes)).tolist():
        at[name] = end
        end += -(-sizes[name] // 4) * 4
    arena = np.full(end, FILL, dtype=np.uint8)
    arena[at["input"] : at["input"] + len(image)] = np.frombuffer(image, dtype=np.uint8)
    return (at["input"], at.get("output", at["input"]), at["scratch"]), arena.tobytes()
