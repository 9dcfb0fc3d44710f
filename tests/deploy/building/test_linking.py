"""The linker as judge: a region of exactly the needed size links, one byte less is refused and told."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.building.cores import CORES
from deploy.building.emulation import run_elf
from deploy.building.linking import RegionOverflow, link
from deploy.building.toolchains import Toolchain, toolchain_for
from network.errors import BuildError
from network.memory.report import Region
from tests.deploy.building.small_firmware import ARENA_BYTES, MAIN, NETWORK, compiled, core_or_skip, placed, quick_cores

STACK_BYTES = 128


def excess_bytes(error: pytest.ExceptionInfo[RegionOverflow], region: Region) -> int:
    assert error.value.excess.keys() == {region}
    return error.value.excess[region]


@pytest.mark.parametrize("name", quick_cores("cortex-m4", "rv32imac", others=("cortex-m0", "cortex-m55")))
def test_regions_are_exact_to_the_byte(tmp_path: Path, name: str) -> None:
    core = core_or_skip(name, is_run=True)
    toolchain = toolchain_for(core)
    objects = compiled(tmp_path, core)
    with pytest.raises(RegionOverflow) as too_small:
        link(toolchain, objects, placed(core, 16, 4096))
    flash_bytes = 16 + excess_bytes(too_small, Region.FLASH)
    assert 64 < flash_bytes < 200  # 16 weights of 4 bytes, two small functions
    ram_bytes = STACK_BYTES + ARENA_BYTES
    elf = link(toolchain, objects, placed(core, flash_bytes, ram_bytes))
    assert run_elf(elf, core).exit_code == 42
    with pytest.raises(RegionOverflow, match=f"needs {flash_bytes} bytes of flash, 1 more than") as less:
        link(toolchain, objects, placed(core, flash_bytes - 1, ram_bytes))
    assert excess_bytes(less, Region.FLASH) == 1
    with pytest.raises(RegionOverflow, match=f"needs {ram_bytes} bytes of RAM, 1 more than") as less:
        link(toolchain, objects, placed(core, flash_bytes, ram_bytes - 1))
    assert excess_bytes(less, Region.RAM) == 1


def test_both_regions_can_be_too_small(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    with pytest.raises(RegionOverflow, match=r"bytes of flash, \d+ more than .* and 228 bytes of RAM, 128 more than"):
        link(toolchain_for(core), compiled(tmp_path, core), placed(core, 16, 100))


def test_data_of_the_network_counts_in_flash_and_ram(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    data = b"uint32_t tiny_data[3] = {1, 2, 3};\nvoid tiny_more(void) { tiny_data[0] = 2u; }\n"
    main = MAIN.replace(b"return 42;", b"void tiny_more(void); tiny_more(); return 42;")
    objects = compiled(tmp_path, core, NETWORK + data, main)
    with pytest.raises(RegionOverflow) as less:
        link(toolchain_for(core), objects, placed(core, 4096, STACK_BYTES + ARENA_BYTES))
    assert excess_bytes(less, Region.RAM) == 12


def test_a_missing_function_is_told(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    main = b"void absent(void);\nint main(void) { absent(); return 0; }"
    with pytest.raises(BuildError, match=r"cannot link for cortex-m4: .*undefined reference to `absent'"):
        link(toolchain_for(core), compiled(tmp_path, core, main=main), placed(core))


def test_a_file_that_does_not_compile_is_told(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    with pytest.raises(BuildError, match=r"cannot compile main\.c for cortex-m4: main\.c:1:.*error: unknown type"):
        compiled(tmp_path, core, main=b"nonsense main;")


def test_a_stack_that_is_not_aligned_is_refused(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4")
    with pytest.raises(BuildError, match="a stack of 102 bytes was given; expected a multiple of 4"):
        link(toolchain_for(core), compiled(tmp_path, core), placed(core, stack_bytes=102))


def test_a_missing_compiler_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"arm-none-eabi-gcc was not found on PATH; install it .*gcc-arm-none-eabi"):
        toolchain_for(CORES["cortex-m4"])


@pytest.mark.parametrize(
    ("version", "is_locked"), [("12.2.1", True), ("12.2", True), ("12.20.0", False), ("13.2.1", False)]
)
def test_gcc_12_2_is_the_locked_toolchain(version: str, is_locked: bool) -> None:
    assert Toolchain(CORES["cortex-m4"], Path("gcc"), version).is_locked is is_locked


def test_a_network_that_no_machine_holds_is_linked_for_its_sizes(tmp_path: Path) -> None:
    """The firmware around it, with the vectors of the self-test, may be larger than that of a machine."""
    core = core_or_skip("cortex-m55")
    toolchain = toolchain_for(core)
    vectors = b"const unsigned char vectors[1500000] = {1};\n"
    main = vectors + MAIN.replace(b"return 42;", b"return vectors[arena[0]];")
    objects = compiled(tmp_path, core, NETWORK, main)
    flash_bytes = max(machine.code_bytes for machine in core.machines) + 1
    assert link(toolchain, objects, placed(core, flash_bytes, 4096)).is_file()
    with pytest.raises(BuildError, match=r"need 15\d{5} bytes of flash beside the network; expected at most \d+"):
        link(toolchain, objects, placed(core, 4096, 4096))
