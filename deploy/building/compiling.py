"""Compilation of C files to object files, in two folders that the linker script tells apart.

network/     what a product links: constants, descriptors, kernels
firmware/    what stands around it here: start code, main, self-test
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from deploy.building.cores import Architecture, Core
from deploy.building.toolchains import Toolchain
from deploy.emission.text import with_prefix
from network.errors import BuildError
from network.kernel_sizes.tables import Optimization

NETWORK_FOLDER: Final = "network"
FIRMWARE_FOLDER: Final = "firmware"

_FIRMWARE_PACKAGE: Final = "deploy.building.firmware"
_FIRMWARE_FILES: Final = ("chip.h", "chip_core.h", "chip.c")
_CHECK_FILE: Final = "check.c"
_START_FILE: Final = {Architecture.ARM: "chip_arm.c", Architecture.RISCV: "chip_riscv.c"}
_ERROR_LINES: Final = 6

FIRMWARE_OPTIMIZATION: Final = Optimization.SPEED
"""Optimization of the firmware. At O2 it calls no function of the runtime library, which counts for the network."""

STACK_FLAGS: Final = ("-fstack-usage", "-fcallgraph-info=su")
"""Flags that write the stack of each function (.su) and the calls between functions (.ci) beside the object file."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Object files of a build.

    Attributes:
        directory: Directory of the build.
        network: Object files of the network, paths relative to the directory.
        firmware: Object files of the firmware around it, likewise.
    """

    directory: Path
    network: tuple[str, ...]
    firmware: tuple[str, ...]


def firmware_files(core: Core) -> Mapping[str, bytes]:
    """Return the C files of the start code for a core's emulated machine: name -> content."""
    package = resources.files(_FIRMWARE_PACKAGE)
    names = (*_FIRMWARE_FILES, _START_FILE[core.architecture])
    return {name: package.joinpath(name).read_bytes() for name in names}


def check_program(name: str) -> bytes:
    """Return the C file that checks a network on an emulated chip, with the network's prefix.

    Args:
        name: Name of the network's C files.
    """
    text = resources.files(_FIRMWARE_PACKAGE).joinpath(_CHECK_FILE).read_text(encoding="ascii")
    return with_prefix(text, name).encode("ascii")


def linker_script() -> bytes:
    """Return the linker script of the emulated machines."""
    return resources.files(_FIRMWARE_PACKAGE).joinpath("chip.ld").read_bytes()


def compile_files(
    toolchain: Toolchain,
    directory: Path,
    files: Mapping[str, bytes],
    network: Iterable[str],
    firmware: Iterable[str],
    *,
    optimization: Optimization = Optimization.SPEED,
    definitions: Iterable[str] = (),
) -> Objects:
    """Write C files to a directory and compile them, with the start code of the core.

    Args:
        toolchain: The compiler.
        directory: Existing directory that receives sources and object files.
        files: Name of each C file and header -> its content; the names have no directories.
        network: Names of the C files of the network.
        firmware: Names of the C files around it, with `main`.
        optimization: Optimization of the files of the network.
        definitions: Macros, as NAME or NAME=VALUE.

    Raises:
        BuildError: if a file does not compile; the message has the compiler's first lines.
    """
    start = firmware_files(toolchain.core)
    for name, content in {**files, **start}.items():
        (directory / name).write_bytes(content)
    folders = {
        NETWORK_FOLDER: (tuple(network), optimization),
        FIRMWARE_FOLDER: ((*firmware, *(name for name in start if name.endswith(".c"))), FIRMWARE_OPTIMIZATION),
    }
    objects = {}
    for folder, (names, level) in folders.items():
        (directory / folder).mkdir(exist_ok=True)
        flags = [*toolchain.flags(level), *STACK_FLAGS, *(f"-D{each}" for each in definitions)]
        objects[folder] = tuple(_compile(toolchain, directory, name, folder, flags) for name in names)
    return Objects(directory, objects[NETWORK_FOLDER], objects[FIRMWARE_FOLDER])


def _compile(toolchain: Toolchain, directory: Path, name: str, folder: str, flags: list[str]) -> str:
    """Compile one C file to an object file, and return its path relative to the directory."""
    target = f"{folder}/{Path(name).stem}.o"
    done = toolchain.call([*flags, "-c", name, "-o", target], directory)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise BuildError(
            f"{toolchain.compiler.name} {toolchain.version} cannot compile {name} for {toolchain.core.name}: "
            + "; ".join(lines[:_ERROR_LINES])
        )
    return target
