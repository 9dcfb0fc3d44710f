"""The kernels in portable C against the interpreter, byte by byte, under sanitizers."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Final

import pytest

from network.allocation import BITS
from network.layers import Axis, Flattening, Padding, Shape
from tests.deploy.kernels.kernel_cases import Case
from tests.deploy.kernels.kernel_program import build, check
from tests.deploy.kernels.random_layers import RandomLayers

PAIRS_OF_BITS: Final = list(itertools.product(BITS, BITS))
ALL_BITS: Final = list(itertools.product(BITS, BITS, BITS))
FORMS: Final = ("narrow", "wide", "thresholds")
PADDINGS: Final = (Padding(0, 0, 0, 0), Padding(1, 1, 1, 1), Padding(0, 2, 1, 0), Padding(2, 0, 3, 1))


@pytest.fixture(scope="module", params=[("gcc", 0), ("clang", 0), ("gcc", 1)], ids=["gcc", "clang", "few_registers"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program of one compiler; in the form for cores with few registers (Cortex-M0), if the number is 1."""
    compiler, few_registers = request.param
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    return build(tmp_path_factory.mktemp(compiler), compiler, f"-DBB_FEW_REGISTERS={few_registers}")


def test_pointwise(program: Path) -> None:
    """Channels that fill words, groups and bytes and that do not; an odd number of rows; one pixel, odd and even."""
    layers, cases = RandomLayers(1), []
    for bits, form in itertools.product(ALL_BITS, FORMS):
        for channels, output_channels, height, width in (
            (16, 8, 2, 2),
            (3, 5, 1, 1),
            (21, 1, 3, 1),
            (1, 2, 1, 2),
            (6, 7, 3, 3),
        ):
            cases.append(layers.convolution(Shape(channels, height, width), output_channels, bits, form))
    check(program, cases)


def test_fully_connected(program: Path) -> None:
    """One pixel and images, whose pixels fill whole bytes and do not."""
    layers, cases = RandomLayers(2), []
    for bits, form in itertools.product(ALL_BITS, FORMS):
        for channels, output_channels, height, width in (
            (64, 10, 1, 1),
            (5, 3, 1, 1),
            (3, 4, 3, 2),
            (4, 1, 2, 2),
            (1, 6, 2, 5),
        ):
            shape = Shape(channels, height, width)
            cases.append(layers.convolution(shape, output_channels, bits, form, is_fully_connected=True))
    check(program, cases)


def test_convolution(program: Path) -> None:
    """Strides, dilation, padding and groups, with channels of a group that are a multiple of 4 and that are not."""
    layers, cases = RandomLayers(3), []
    generator = layers.generator
    for bits, form, padding in itertools.product(ALL_BITS, FORMS, PADDINGS):
        for group_channels in (1, 3, 4, 8):
            groups = int(generator.integers(1, 4)) if group_channels > 1 else 1
            kernel = (int(generator.integers(1, 4)), int(generator.integers(1, 4)))
            dilation = (int(generator.integers(1, 3)), int(generator.integers(1, 3)))
            height, width = (
                max(dilation[axis] * (kernel[axis] - 1) + 1, int(generator.integers(1, 7))) for axis in (0, 1)
            )
            cases.append(
                layers.convolution(
                    Shape(group_channels * groups, height, width),
                    groups * int(generator.integers(1, 6)),
                    bits,
                    form,
                    kernel=kernel,
                    stride=(int(generator.integers(1, 4)), int(generator.integers(1, 4))),
                    padding=padding,
                    dilation=dilation,
                    groups=groups,
                )
            )
    check(program, cases)


def test_long_columns(program: Path) -> None:
    """Sums near the largest: 4,608 codes, all of the largest code of 8, 4 and 2 bits."""
    layers = RandomLayers(4)
    shape = Shape(512, 3, 3)
    cases = [
        layers.convolution(shape, 3, bits, form, kernel=(3, 3), padding=Padding(1, 1, 1, 1))
        for bits in ((8, 8, 8), (8, 4, 8), (8, 2, 4), (4, 4, 4), (2, 2, 2))
        for form in FORMS
    ]
    check(program, cases)


def test_add_and_activation(program: Path) -> None:
    """One to three inputs of any bits, sums of 32 and 64 bits, at a place of its own and at that of an input."""
    layers, cases = RandomLayers(5), []
    for bits, is_wide, channels in itertools.product(
        [*PAIRS_OF_BITS, *ALL_BITS, (8, 4, 2, 4), (4, 4, 4, 4)], (False, True), (1, 2, 5, 8)
    ):
        shape = Shape(channels, 1 + channels % 3, 2)
        cases.append(layers.add(shape, bits, is_wide=is_wide))
        for index, of_input in enumerate(bits[:-1]):
            if (channels * of_input + 7) // 8 == (channels * bits[-1] + 7) // 8 or of_input >= bits[-1]:
                cases.append(layers.add(shape, bits, is_wide=is_wide, overwritten=index))
    assert {case.name.split(":")[0] for case in cases} == {"add", "add_wide"}
    check(program, cases)


def test_concat(program: Path) -> None:
    layers, cases = RandomLayers(6), []
    for _ in range(60):
        for axis, flattening in (
            (Axis.CHANNELS, None), (Axis.HEIGHT, None), (Axis.WIDTH, None),
            (Axis.CHANNELS, Flattening.CHANNELS_LAST), (Axis.CHANNELS, Flattening.CHANNELS_FIRST),
        ):  # fmt: skip
            channels, height, width = (int(each) for each in layers.generator.integers(1, 5, 3))
            shapes = []
            for _ in range(layers.generator.integers(1, 4)):
                other = [int(each) for each in layers.generator.integers(1, 6, 3)]
                shape = {
                    Axis.CHANNELS: Shape(other[0], height, width),
                    Axis.HEIGHT: Shape(channels, other[1], width),
                    Axis.WIDTH: Shape(channels, height, other[2]),
                }[axis]
                shapes.append(Shape(*other) if flattening is not None else shape)
            cases.append(layers.concat(tuple(shapes), axis, flattening))
    check(program, cases)


def test_pools(program: Path) -> None:
    layers, cases = RandomLayers(7), []
    generator = layers.generator
    for bits in PAIRS_OF_BITS:
        for _ in range(20):
            kernel = (int(generator.integers(1, 4)), int(generator.integers(1, 4)))
            stride = (int(generator.integers(1, 4)), int(generator.integers(1, 4)))
            padding = Padding(*(int(generator.integers(0, kernel[axis])) for axis in (0, 1, 0, 1)))
            shape = Shape(int(generator.integers(1, 10)), *(int(generator.integers(size, 8)) for size in kernel))
            cases.append(layers.max_pool(shape, kernel, stride, padding, bits))
            cases.append(layers.average_pool(shape, kernel, stride, padding, bits))
        cases.append(layers.average_pool(Shape(5, 20, 30), (20, 30), (1, 1), Padding(), bits))
    check(program, cases)


def test_pad(program: Path) -> None:
    layers, cases = RandomLayers(8), []
    for bits, padding in itertools.product(PAIRS_OF_BITS, PADDINGS):
        for channels, before, after in ((1, 0, 0), (3, 1, 0), (4, 4, 3), (5, 0, 2)):
            cases.append(layers.pad(Shape(channels, 2, 3), padding, (before, after), bits))
    check(program, cases)


def test_a_wrong_byte_is_seen(program: Path) -> None:
    """The comparison sees one changed bit of a weight."""
    case = RandomLayers(9).convolution(Shape(16, 1, 1), 2, (8, 8, 8), "narrow")
    changed = case.expected.copy()
    changed[case.before != case.expected] ^= 1
    with pytest.raises(AssertionError, match="pointwise"):
        check(program, [Case(case.name, case.words, case.before, changed, case.compared)])
