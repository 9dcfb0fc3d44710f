"""Counts of instructions and cycles: hand-counted programs, and agreement with the emulator's own counter."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.building.cores import core_named
from deploy.building.cycles import Count, count_cycles
from deploy.building.emulation import instructions_of, run_elf
from deploy.building.linking import link
from deploy.building.toolchains import toolchain_for
from network.errors import BuildError
from tests.deploy.building.small_firmware import compiled, core_or_skip, placed

# name -> the code between two marks, its instructions and its cycles; the marks themselves add the same to each
PIECES = {
    "nothing": ("", 0, 0),
    "data processing": ("add r0, r0, r1\n mul r0, r0, r1\n smlad r0, r0, r1, r2", 3, 3),
    "one load": ("ldr r0, [sp]\n add r0, r0, r1", 2, 3),
    "pipelined loads": ("ldr r0, [sp]\n ldr r1, [sp]\n ldrb r2, [sp]\n add r0, r0, r1", 4, 5),
    "loads apart": ("ldr r0, [sp]\n add r0, r0, r1\n ldr r1, [sp]", 3, 5),
    "multiple": ("push {r0-r3}\n pop {r0-r3}", 2, 10),
    "doubleword": ("sub sp, #8\n ldrd r0, r1, [sp]\n strd r0, r1, [sp]\n add sp, #8", 4, 8),
    "store": ("push {r0}\n str r0, [sp]\n strb r0, [sp]\n pop {r0}", 4, 6),
    "loop": ("movs r0, #10\n 1: subs r0, #1\n bne 1b", 21, 21 + 9 * 2),
    "branch not taken": ("movs r0, #1\n cbz r0, 2f\n nop\n 2:", 3, 3),
    "branch taken": (".balign 4\n movs r0, #0\n cbz r0, 2f\n nop\n nop\n .balign 4\n 2: nop", 3, 5),
    "split target": (".balign 4\n movs r0, #0\n cbz r0, 2f\n nop\n 2: mul.w r0, r0, r0", 3, 6),
}


def program(code: str) -> bytes:
    lines = code.replace("\n", "\\n")
    return f"""
    #include "chip.h"
    void tiny_run(uint32_t *arena);
    static uint32_t arena[25];
    int main(void) {{
        tiny_run(arena);
        __asm volatile(".syntax unified\\n .balign 4\\n bl chip_mark\\n {lines}\\n bl chip_mark"
                       : : : "r0", "r1", "r2", "r3", "ip", "lr", "cc", "memory");
        return 0;
    }}
    """.encode()


def counted(directory: Path, code: str) -> Count:
    core = core_or_skip("cortex-m4", is_run=True)
    elf = link(toolchain_for(core), compiled(directory, core, main=program(code)), placed(core))
    (interval,) = count_cycles(elf, core).intervals
    return interval


@pytest.mark.parametrize("name", [name for name in PIECES if name != "nothing"])
def test_counts_are_those_of_the_manual(tmp_path: Path, name: str) -> None:
    code, instructions, cycles = PIECES[name]
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    found = counted(tmp_path / "with", code) - counted(tmp_path / "without", "")
    assert found == Count(instructions, cycles)


def test_instructions_agree_with_the_chips_own_counter_and_functions_add_up(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4", is_run=True)
    main = b"""
    #include "chip.h"
    void tiny_run(uint32_t *arena);
    static uint32_t arena[25];
    int main(void) {
        tiny_run(arena);
        chip_count_start();
        chip_mark();
        for (volatile uint32_t round = 0; round < 5000u; round++) { tiny_run(arena); }
        chip_mark();
        const uint64_t ticks = chip_count();
        chip_count_stop();
        chip_write("ticks "); chip_write_number(ticks); chip_write("\\n");
        return 0;
    }
    """
    elf = link(toolchain_for(core), compiled(tmp_path, core, main=main), placed(core))
    ticks = run_elf(elf, core).number("ticks")
    counts = count_cycles(elf, core)
    assert counts.intervals[0].instructions == pytest.approx(instructions_of(ticks, core.machines[0]), abs=20)
    assert sum(each.instructions for each in counts.functions.values()) == counts.total.instructions
    assert sum(each.cycles for each in counts.functions.values()) == counts.total.cycles
    assert counts.functions["tiny_run"].instructions > counts.functions["chip_mark"].instructions


def test_a_program_that_fails_is_an_error(tmp_path: Path) -> None:
    core = core_or_skip("cortex-m4", is_run=True)
    main = b"""
    #include "chip.h"
    void tiny_run(uint32_t *arena);
    static uint32_t arena[25];
    int main(void) { tiny_run(arena); return 3; }
    """
    elf = link(toolchain_for(core), compiled(tmp_path, core, main=main), placed(core))
    with pytest.raises(BuildError, match="exit code 3"):
        count_cycles(elf, core_named("cortex-m4"))
