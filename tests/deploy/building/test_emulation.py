"""Start code, linker script and emulator: every core runs a small program, and counts instructions exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.building.cores import CORES, core_named
from deploy.building.emulation import FAULT, instructions_of, run_elf
from deploy.building.linking import link
from deploy.building.toolchains import toolchain_for
from network.devices.catalogue import catalogue
from network.errors import BuildError, RequestError
from tests.deploy.building.small_firmware import compiled, core_or_skip, placed, quick_cores


@pytest.mark.parametrize("name", CORES)
def test_start_code_runs_main_on_each_core(tmp_path: Path, name: str) -> None:
    core = core_or_skip(name, is_run=True)
    elf = link(toolchain_for(core), compiled(tmp_path, core), placed(core))
    run = run_elf(elf, core)
    assert run.exit_code == 42, run.output
    assert run.number("sum") == 136
    assert run.number("reserved") == 128
    assert 32 <= run.number("painted") <= 96
    assert run.number("large") == 12345678901234567890


@pytest.mark.parametrize("machine", [0, 1])
def test_an_m0_runs_on_both_of_its_machines(tmp_path: Path, machine: int) -> None:
    core = core_or_skip("cortex-m0", is_run=True)
    elf = link(toolchain_for(core), compiled(tmp_path, core), placed(core))
    assert run_elf(elf, core, machine=core.machines[machine]).exit_code == 42


ROUND = 4  # instructions of a round of the loop below
COUNTING = rb"""
#include "chip.h"
void tiny_run(uint32_t *arena);
static uint32_t arena[25];
__attribute__((noinline)) static void spin(uint32_t rounds) {
#ifdef __riscv
    __asm volatile("1: nop\n nop\n addi %0, %0, -1\n bnez %0, 1b" : "+r"(rounds));
#else
    __asm volatile(".syntax unified\n 1: nop\n nop\n subs %0, #1\n bne 1b" : "+l"(rounds) : : "cc");
#endif
}
static uint64_t ticks(uint32_t rounds) {
    chip_count_start();
    spin(rounds);
    const uint64_t count = chip_count();
    chip_count_stop();
    return count;
}
int main(void) {
    tiny_run(arena);
    chip_write("short "); chip_write_number(ticks(1000u)); chip_write("\n");
    chip_write("long "); chip_write_number(ticks(11000u)); chip_write("\n");
    chip_write("wrapped "); chip_write_number(ticks(8001000u)); chip_write("\n");
    return 0;
}
"""


@pytest.mark.parametrize("name", quick_cores("cortex-m4", "rv32imac", others=("cortex-m0", "cortex-m55")))
def test_counts_are_proportional_to_executed_instructions(tmp_path: Path, name: str) -> None:
    core = core_or_skip(name, is_run=True)
    elf = link(toolchain_for(core), compiled(tmp_path, core, main=COUNTING), placed(core))
    run = run_elf(elf, core)
    counts = {each: instructions_of(run.number(each), core.machines[0]) for each in ("short", "long", "wrapped")}
    assert abs(counts["long"] - counts["short"] - 10_000 * ROUND) <= 2
    # The counter has 24 bits: what is more than 10 million instructions has wrapped.
    assert abs(counts["wrapped"] - counts["short"] - 8_000_000 * ROUND) <= 200


def test_counts_of_two_runs_are_equal(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4", is_run=True)
    elf = link(toolchain_for(core), compiled(tmp_path, core, main=COUNTING), placed(core))
    assert run_elf(elf, core) == run_elf(elf, core)


def test_a_program_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m3", is_run=True)
    elf = link(toolchain_for(core), compiled(tmp_path, core, main=b"int main(void) { for (;;) {} }"), placed(core))
    with pytest.raises(BuildError, match="did not end within 1 seconds on the emulated cortex-m3"):
        run_elf(elf, core, timeout_seconds=1)


@pytest.mark.parametrize(
    ("name", "bad"),
    [("cortex-m3", b'__asm volatile("udf #0");'), ("rv32imac", b'__asm volatile(".word 0");')],
)
def test_a_fault_is_told(tmp_path: Path, name: str, bad: bytes) -> None:
    core = core_or_skip(name, is_run=True)
    main = b"int main(void) { " + bad + b" return 0; }"
    run = run_elf(link(toolchain_for(core), compiled(tmp_path, core, main=main), placed(core)), core)
    assert (run.exit_code, run.output[:6]) == (FAULT, "fault:")


def test_every_device_of_the_catalogue_with_an_arm_core_has_a_core() -> None:
    unknown = {device.core for device in catalogue().values() if device.core.startswith("cortex")} - CORES.keys()
    assert unknown == {"cortex-m85"}
    assert core_named("cortex-m85") is CORES["cortex-m55"]
    with pytest.raises(RequestError, match="C cannot be built for core 'xtensa-lx7' here"):
        core_named("xtensa-lx7")
