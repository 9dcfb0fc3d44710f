"""The self-test of generated C passes on emulated chips of every level, with all kinds of layers in each form."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.building.build import build
from deploy.building.checking import run_check
from deploy.emission import emit
from network.kernel_functions import Form
from network.kernels import IN_PLACE_KERNELS
from network.memory.deployed import DeployedAccounting
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.emission.test_programs import network_of_all_kinds

pytestmark = pytest.mark.long


@pytest.mark.parametrize("form", [Form.NARROW, Form.WIDE, Form.THRESHOLDS])
@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m4", "cortex-m7", "cortex-m55", "rv32imac"])
def test_the_self_test_passes(core: str, form: Form, tmp_path: Path) -> None:
    accounting = DeployedAccounting(in_place=IN_PLACE_KERNELS)
    files = emit(network_of_all_kinds(3, form), name="net", accounting=accounting)
    report = build(files, core_or_skip(core, is_run=True), stack_bytes=4096, directory=tmp_path)
    assert run_check(report).wrong == ""
    assert report.linked.findings == ()
