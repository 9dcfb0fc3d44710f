"""Tiny C programs that tests of the toolchains build: a network of one function, and a main around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.building.compiling import Objects, compile_files
from deploy.building.cores import CORES, Core
from deploy.building.linking import Placement
from deploy.building.toolchains import has_compiler, has_emulator, toolchain_for
from network.budget import Budget
from network.kernel_sizes.tables import Optimization

NETWORK = b"""
#include <stdint.h>
const uint32_t tiny_weights[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
__attribute__((noinline)) uint32_t tiny_sum(const uint32_t *words, uint32_t count) {
    volatile uint32_t kept[8];
    uint32_t sum = 0;
    for (uint32_t at = 0; at < count; ++at) {
        kept[at % 8u] = words[at];
        sum += kept[at % 8u];
    }
    return sum;
}
void tiny_run(uint32_t *arena) { arena[0] = tiny_sum(tiny_weights, 16); }
"""

MAIN = b"""
#include "chip.h"
static uint32_t arena[25];
static uint32_t initialized = 7, cleared;
void tiny_run(uint32_t *arena);
int main(void) {
    if (initialized != 7u || cleared != 0u) { return 3; }
    const uint32_t painted = chip_measure_stack(tiny_run, arena);
    chip_write("sum "); chip_write_number(arena[0]); chip_write("\\n");
    chip_write("painted "); chip_write_number(painted); chip_write("\\n");
    chip_write("reserved "); chip_write_number(chip_reserved_stack()); chip_write("\\n");
    chip_write("large "); chip_write_number(12345678901234567890u); chip_write("\\n");
    initialized = 8; cleared = 1;
    return 42;
}
"""

ARENA_BYTES = 100


def quick_cores(*names: str, others: tuple[str, ...]) -> list[Any]:
    """Parameters of a test: some cores in every run, others only in the long one."""
    return [*names, *(pytest.param(name, marks=pytest.mark.long) for name in others)]


def core_or_skip(name: str, *, is_run: bool = False) -> Core:
    """The core, or a skipped test where its compiler or emulator is missing."""
    core = CORES[name]
    if not has_compiler(core):
        pytest.skip(f"{core.compiler} is not installed")
    if is_run and not has_emulator(core):
        pytest.skip(f"the emulator of {name} is not installed")
    return core


def compiled(
    directory: Path, core: Core, network: bytes = NETWORK, main: bytes = MAIN, optimization: str = "O2"
) -> Objects:
    return compile_files(
        toolchain_for(core), directory, {"tiny.c": network, "main.c": main}, ["tiny.c"], ["main.c"],
        optimization=Optimization(optimization),
    )  # fmt: skip


def placed(
    core: Core, flash_bytes: int | None = None, ram_bytes: int | None = None, stack_bytes: int = 128
) -> Placement:
    budget = None if flash_bytes is None or ram_bytes is None else Budget(flash_bytes, ram_bytes)
    return Placement(core.machines[0], budget, stack_bytes)
