"""A run of a network's check program on the emulated chip: self-test, painted stack, instructions of each step."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from deploy.building.build import BuildReport
from deploy.building.emulation import DEFAULT_SECONDS, FAULT, instructions_of, run_elf
from network.errors import BuildError

_WRONG: Final = re.compile(r"^wrong-(constants|output) (\d+)$", re.MULTILINE)
_TICKS: Final = re.compile(r"^ticks (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CheckedRun:
    """Result of a network's check on the emulated chip.

    Attributes:
        wrong: What the self-test found wrong, e.g. "the output of step 3"; empty if all integers are right.
        painted_stack_bytes: Number of bytes of stack that a run wrote; 0 if the self-test failed.
        instructions: Number of executed instructions of each step, in order; empty if the self-test failed.
    """

    wrong: str
    painted_stack_bytes: int
    instructions: tuple[int, ...]

    @property
    def passed(self) -> bool:
        """Whether the self-test found every integer right."""
        return not self.wrong


def run_check(report: BuildReport, *, timeout_seconds: float = DEFAULT_SECONDS) -> CheckedRun:
    """Run the check program of a build on the emulated chip.

    Args:
        report: The build.
        timeout_seconds: Seconds after which the emulator is stopped.

    Raises:
        BuildError: if the emulator is missing or too small, or the program does not end or stops with a fault.
    """
    if not report.fits_machine:
        raise BuildError(
            f"the network and its self-test are too large for the emulated {report.toolchain.core.name} "
            f"({report.machine.name}), which has {report.machine.code_bytes} bytes of flash and "
            f"{report.machine.ram_bytes} bytes of RAM; build without running it"
        )
    run = run_elf(report.elf, report.toolchain.core, machine=report.machine, timeout_seconds=timeout_seconds)
    if run.exit_code == FAULT:
        raise BuildError(f"the network stopped the emulated {report.toolchain.core.name}: {run.output.strip()}")
    wrong = _WRONG.search(run.output)
    if wrong is not None:
        return CheckedRun(f"the {wrong[1]} of step {wrong[2]}", 0, ())
    ticks = [int(each[1]) for each in _TICKS.finditer(run.output)]
    return CheckedRun("", run.number("painted"), tuple(instructions_of(each, report.machine) for each in ticks))
