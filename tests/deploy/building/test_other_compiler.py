"""Real networks built by another version of GCC than the locked one: right to the bit, and about as large.

The variable BITBUDGET_OTHER_GCC names a directory with an arm-none-eabi-gcc of another version, and its binutils.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from deploy.building.build import build
from deploy.building.checking import run_check
from deploy.building.comparison import TOLERANCE
from deploy.building.predicted import predicted_memory
from deploy.emission.emitter import emit
from deploy.interpreter import quantize_input
from network.kernel_sizes.tables import Optimization, sizes_for
from network.kernels import IN_PLACE_KERNELS
from network.memory.deployed import DeployedAccounting
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.building.test_real_networks import NAMES, OTHERS, SHARED, converted

FOLDER: Final = os.environ.get("BITBUDGET_OTHER_GCC")
LEAST: Final = -0.02
"""Smallest difference of the flash: GCC 13.2 made the digits example 1.4 % smaller."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the real networks lie beside the project"),
    pytest.mark.skipif(FOLDER is None, reason="BITBUDGET_OTHER_GCC names no directory with another version of GCC"),
]


@pytest.mark.parametrize("name", [*NAMES, *OTHERS])
def test_another_compiler_gives_the_same_integers_and_hardly_more_flash(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{FOLDER}{os.pathsep}{os.environ['PATH']}")
    core = core_or_skip("cortex-m4", is_run=True)
    network, samples = converted(name, 1)
    accounting = DeployedAccounting(sizes_for(core.name, Optimization.SPEED), IN_PLACE_KERNELS)
    vectors = {network.input_names[0]: quantize_input(network, samples[:2])}
    report = build(emit(network, accounting=accounting, vectors=vectors), core, directory=tmp_path)
    assert not report.toolchain.is_locked, "the directory has the locked version"
    assert run_check(report, timeout_seconds=600).passed
    assert report.linked.findings == ()
    predicted = predicted_memory(network, accounting).flash_bytes
    assert LEAST <= report.flash_bytes / predicted - 1 <= TOLERANCE
