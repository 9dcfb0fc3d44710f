"""The depthwise kernels on emulated chips, compared with the interpreter; the Cortex-M4 and M7 use DSP instructions."""

from __future__ import annotations

from itertools import cycle, product
from pathlib import Path

import numpy as np
import pytest

from network.allocation import BITS
from network.layers import Padding
from tests.deploy.kernels.depthwise_cases import Case, Geometry, case_of, random_geometry
from tests.deploy.kernels.depthwise_runs import build_for_chip, run_on_chip

M4 = "mps2-an386"

SIXTEEN = Geometry(64, 16, 16, is_fast=True)
"""The shape of the benchmarks of other kernels."""


def random_cases(count: int, seed: int) -> list[Case]:
    """Return as many cases of the 3x3 function as of the general one."""
    generator = np.random.default_rng(seed)
    return [case_of(random_geometry(generator, is_fast=each % 2 == 0), generator) for each in range(count)]


def small_cases(seed: int, *, every_bits: bool) -> list[Case]:
    """Return cases of the 3x3 function with 1 to 9 columns and 1 to 4 rows, also in place.

    Args:
        seed: Seed of the codes.
        every_bits: Whether each geometry has all bits of input, weights and output, or the next ones in turns.
    """
    generator = np.random.default_rng(seed)
    all_bits = list(product(BITS, BITS, BITS))
    turns = cycle(all_bits)
    paddings = {1: (Padding(1, 1, 1, 1), Padding(0, 2, 2, 1)), 2: (Padding(1, 1, 1, 1), Padding(0, 0, 1, 2))}
    cases = []
    for width, height, stride, way, in_place in product(range(1, 10), range(1, 5), (1, 2), (0, 1), (False, True)):
        padding = Padding(way, way, 2 - way, 2 - way) if in_place else paddings[stride][way]
        for input_bits, weight_bits, output_bits in all_bits if every_bits else [next(turns)]:
            geometry = Geometry(
                int(generator.integers(2, 10)), height, width, stride=(stride, stride), padding=padding,
                input_bits=input_bits, weight_bits=weight_bits, output_bits=input_bits if in_place else output_bits,
                is_fast=True, in_place=in_place,
            )  # fmt: skip
            if min(geometry.output) > 0 and not (in_place and stride == 2):
                cases.append(case_of(geometry, generator))
    return cases


def test_small_images(tmp_path: Path) -> None:
    run_on_chip(build_for_chip(tmp_path, M4), tmp_path, M4, small_cases(8, every_bits=False))


@pytest.mark.long
@pytest.mark.parametrize("level", ["-O2", "-Os"])
def test_every_bits_of_small_images(tmp_path: Path, level: str) -> None:
    run_on_chip(build_for_chip(tmp_path, M4, level), tmp_path, M4, small_cases(9, every_bits=True))


def test_dsp_code_equals_the_interpreter(tmp_path: Path) -> None:
    run_on_chip(build_for_chip(tmp_path, M4), tmp_path, M4, random_cases(200, 3))


def test_instructions_of_a_multiply_accumulate_stay_low(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    cases = [case_of(SIXTEEN, generator)]
    (instructions,) = run_on_chip(build_for_chip(tmp_path, M4), tmp_path, M4, cases)
    assert instructions / SIXTEEN.multiply_accumulates < 1.56


@pytest.mark.long
@pytest.mark.parametrize("machine", ["mps2-an385", "mps2-an386", "mps2-an500", "mps3-an547"])
@pytest.mark.parametrize("compiler", ["arm-none-eabi-gcc", "clang"])
@pytest.mark.parametrize("level", ["-O2", "-Os", "-O3"])
def test_every_core_and_compiler(tmp_path: Path, machine: str, compiler: str, level: str) -> None:
    program = build_for_chip(tmp_path, machine, level, compiler=compiler)
    run_on_chip(program, tmp_path, machine, random_cases(1000, 5))


@pytest.mark.long
def test_every_bits_padding_and_stride_of_the_3x3_function(tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    paddings = (Padding(), Padding(1, 1, 1, 1), Padding(0, 0, 1, 1), Padding(2, 2, 0, 0), Padding(0, 1, 2, 2))
    cases = [
        case_of(
            Geometry(
                int(generator.integers(2, 10)), int(generator.integers(3, 8)), int(generator.integers(3, 8)),
                stride=(stride, stride), padding=padding, input_bits=input_bits, weight_bits=weight_bits,
                output_bits=output_bits, is_fast=True,
            ),
            generator,
        )
        for stride in (1, 2)
        for padding in paddings
        for input_bits in BITS
        for weight_bits in BITS
        for output_bits in BITS
        for _ in range(5)
    ]  # fmt: skip
    run_on_chip(build_for_chip(tmp_path, M4), tmp_path, M4, cases)
