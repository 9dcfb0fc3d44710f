"""The depthwise kernels on emulated chips, compared with the interpreter; the Cortex-M4 and M7 use DSP instructions."""

from __future__ import annotations

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


def test_dsp_code_equals_the_interpreter(tmp_path: Path) -> None:
    run_on_chip(build_for_chip(tmp_path, M4), tmp_path, M4, random_cases(200, 3))


def test_instructions_of_a_multiply_accumulate_stay_low(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    cases = [case_of(SIXTEEN, generator)]
    (instructions,) = run_on_chip(build_for_chip(tmp_path, M4), tmp_path, M4, cases)
    assert instructions / SIXTEEN.multiply_accumulates < 1.65


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
