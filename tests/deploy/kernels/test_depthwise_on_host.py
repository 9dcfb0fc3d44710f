"""The depthwise kernels in portable C, compared with the interpreter: gcc and clang, with sanitizers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.deploy.kernels.depthwise_cases import case_of, random_geometry
from tests.deploy.kernels.depthwise_runs import build_for_host, run_on_host


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_every_code_is_the_interpreters(tmp_path: Path, compiler: str) -> None:
    generator = np.random.default_rng(7)
    cases = [case_of(random_geometry(generator, is_fast=each % 2 == 0), generator) for each in range(400)]
    run_on_host(build_for_host(tmp_path, compiler), tmp_path, cases)
