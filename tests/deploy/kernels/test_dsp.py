"""The DSP and Helium kernels give the codes of the portable kernels, on emulated chips: random layers, corners first.

Both are in one program: the portable ones get another prefix and BB_LEVEL 0.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.building.compiling import compile_files
from deploy.building.emulation import run_elf
from deploy.building.linking import Placement, link
from deploy.building.toolchains import toolchain_for
from deploy.emission.text import with_prefix
from deploy.kernels import kernel_source, kernels_header
from tests.deploy.building.small_firmware import core_or_skip
from tests.deploy.kernels.kernel_program import WARNINGS

FUNCTIONS = [
    *(f"bb_widen_{bits}" for bits in (8, 4, 2, "2x2")),
    *(f"bb_dot{columns}_{bits}" for columns in (1, 2) for bits in (8, 4, 2, "2x2")),
    "bb_pack_4",
    "bb_pack_2",
]
DRIVERS = ["bb_convolution", "bb_pointwise"]
CHECK = Path(__file__).with_name("dsp_check.c")


def differences(directory: Path, core_name: str, layers: int, seed: int) -> tuple[int, int, str]:
    """Numbers of layers and of differences, and all that the program wrote."""
    core = core_or_skip(core_name, is_run=True)
    header, source = kernels_header(), '#include "kernels.h"\n' + kernel_source(FUNCTIONS)
    references = with_prefix(source, "ref").replace('"kernels.h"', '"ref_kernels.h"')
    files = {
        "kernels.h": header,
        "dsp_kernels.c": source,
        "ref_kernels.h": with_prefix(header, "ref"),
        "ref_kernels.c": references,
        "main.c": CHECK.read_text(encoding="ascii"),
    }
    toolchain = toolchain_for(core)
    objects = compile_files(
        toolchain,
        directory,
        {name: text.encode("ascii") for name, text in files.items()},
        ["dsp_kernels.c", "ref_kernels.c"],
        ["main.c"],
        definitions=[f"LAYERS={layers}", f"SEED={seed}u", "REF_LEVEL=0"],
    )
    elf = link(toolchain, objects, Placement(core.machines[0], None, 128))
    run = run_elf(elf, core)
    return run.number("layers"), run.number("differences"), run.output


@pytest.mark.parametrize("core_name", ["cortex-m4", "cortex-m55"])
def test_kernels_give_the_codes_of_portable_ones(tmp_path: Path, core_name: str) -> None:
    layers, different, output = differences(tmp_path, core_name, 1000, 1)
    assert layers == 1000
    assert different == 0, output


@pytest.mark.parametrize("target", ["thumbv7em-none-eabi -mcpu=cortex-m4", "thumbv8m.main-none-eabi -mcpu=cortex-m33"])
@pytest.mark.parametrize("optimization", ["-O0", "-O2"])
def test_clang_assembles_the_dsp_kernels(tmp_path: Path, target: str, optimization: str) -> None:
    clang, headers = shutil.which("clang"), Path("/usr/include/newlib")
    if clang is None or not headers.is_dir():
        pytest.skip("clang and newlib are not installed")
    (tmp_path / "kernels.h").write_text(kernels_header(), encoding="ascii")
    source = tmp_path / "kernels.c"
    source.write_text('#include "kernels.h"\n' + kernel_source([*FUNCTIONS, *DRIVERS]), encoding="ascii")
    flags = [*WARNINGS, optimization, *f"--target={target}".split(), "-isystem", str(headers)]
    command = [clang, *flags, "-c", str(source), "-o", str(tmp_path / "kernels.o")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
@pytest.mark.parametrize("core_name", ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"])
@pytest.mark.parametrize("seed", [2, 3])
def test_kernels_on_each_core(tmp_path: Path, core_name: str, seed: int) -> None:
    layers, different, output = differences(tmp_path, core_name, 20_000, seed)
    assert layers == 20_000
    assert different == 0, output
