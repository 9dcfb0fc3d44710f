"""Compilers and emulators of this machine: their paths, their versions, and the flags that every build uses.

Figures in bytes are exact for GCC 12.2, the locked toolchain. Another version of GCC gives other code, for which a
build allows 0.5 % more flash.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.cores import ARM_COMPILER, RISCV_COMPILER, Architecture, Core
from network.errors import BuildError
from network.kernel_sizes.tables import Optimization

LOCKED_VERSION: Final = "12.2"
"""Version of GCC for which figures in bytes are exact: major and minor number."""

COMMON_FLAGS: Final = (
    "-std=c99",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-tree-loop-distribute-patterns",  # no loop becomes a call of memcpy or memset
    "-fno-section-anchors",  # with them, the vectorizer for Helium aligns constants to 8 bytes
    "-fno-common",
)
"""Flags of every translation unit, beside those of the core and the optimization."""

ARM_EMULATOR: Final = "qemu-system-arm"
RISCV_EMULATOR: Final = "qemu-system-riscv32"

COMPILE_SECONDS: Final = 300
"""Seconds after which a compiler or linker is stopped."""

_PACKAGES: Final = {
    ARM_COMPILER: "gcc-arm-none-eabi and libnewlib-arm-none-eabi",
    RISCV_COMPILER: "gcc-riscv64-unknown-elf and picolibc-riscv64-unknown-elf",
    ARM_EMULATOR: "qemu-system-arm",
    RISCV_EMULATOR: "qemu-system-misc",
}
"""Command -> the packages of Debian and Ubuntu that hold it."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A C compiler of this machine for one core.

    Attributes:
        core: The core.
        compiler: Path of the compiler, which also links.
        version: Version of GCC, e.g. "12.2.1".
    """

    core: Core
    compiler: Path
    version: str

    @property
    def is_locked(self) -> bool:
        """Whether figures in bytes are exact for this compiler."""
        return self.version == LOCKED_VERSION or self.version.startswith(f"{LOCKED_VERSION}.")

    def flags(self, optimization: Optimization) -> tuple[str, ...]:
        """Return the flags with which every translation unit is compiled."""
        return (*self.core.flags, f"-{optimization}", *COMMON_FLAGS)

    def call(self, arguments: Sequence[str], directory: Path) -> subprocess.CompletedProcess[str]:
        """Run the compiler driver in a directory, and return its exit code and messages.

        Args:
            arguments: Arguments of the compiler.
            directory: Working directory.

        Raises:
            BuildError: if the compiler does not end within `COMPILE_SECONDS`.
        """
        command = [str(self.compiler), *arguments]
        try:
            return subprocess.run(  # noqa: S603  # the compiler that was found on PATH, with our own arguments
                command, cwd=directory, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BuildError(
                f"{self.compiler.name} did not end within {COMPILE_SECONDS} seconds; try the optimization O2"
            ) from error


def toolchain_for(core: Core) -> Toolchain:
    """Find the compiler of a core on PATH.

    Args:
        core: The core.

    Raises:
        BuildError: if the compiler is missing, or does not say its version.
    """
    compiler = command_path(core.compiler)
    text = subprocess.run(  # noqa: S603  # as above
        [compiler, "-dumpfullversion"], capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
    ).stdout.strip()
    if not re.fullmatch(r"\d+(\.\d+)*", text):
        raise BuildError(f"{core.compiler} gave {text[:60]!r} as its version; expected numbers such as 12.2.1")
    return Toolchain(core, compiler, text)


def has_compiler(core: Core) -> bool:
    """Return whether the compiler of a core is on PATH."""
    return shutil.which(core.compiler) is not None


def emulator_command(core: Core) -> str:
    """Return the name of the command that emulates a core."""
    return ARM_EMULATOR if core.architecture is Architecture.ARM else RISCV_EMULATOR


def has_emulator(core: Core) -> bool:
    """Return whether the emulator of a core is on PATH."""
    return shutil.which(emulator_command(core)) is not None


def command_path(command: str) -> Path:
    """Return the path of a compiler or emulator.

    Args:
        command: Name of the command, one of those that `_PACKAGES` lists.

    Raises:
        BuildError: if it is not on PATH; the message says what to install.
    """
    found = shutil.which(command)
    if found is None:
        raise BuildError(
            f"{command} was not found on PATH; install it (on Debian and Ubuntu: the packages {_PACKAGES[command]})"
        )
    return Path(found)
