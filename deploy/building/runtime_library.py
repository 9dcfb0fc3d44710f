"""Code and stack of functions of the compiler's runtime library (libgcc), read from its archive.

A core without an instruction for, say, a 64-bit product calls a function of the library. The linker takes the whole
section that defines it, and the sections that this one calls.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from deploy.building.disassembly import disassemble, pushed_bytes
from deploy.building.elf import ElfFile, read_elf
from deploy.building.toolchains import COMPILE_SECONDS, Toolchain
from network.errors import BuildError
from network.kernel_sizes.tables import FunctionSize
from network.memory.packing import whole_words

_DEFINITION: Final = re.compile(r":([^:\s]+):[0-9a-f]+ [TW] (\S+)$")


def runtime_functions(toolchain: Toolchain, directory: Path, names: Iterable[str]) -> Mapping[str, FunctionSize]:
    """Return the code and stack of functions of the runtime library, and of the functions that they call.

    Two names of one section, such as `__aeabi_lmul` and `__muldi3`, must not both be asked for.

    Args:
        toolchain: The compiler.
        directory: Existing directory that receives members of the archive.
        names: Names of the functions.

    Raises:
        BuildError: if the library lacks a function, or two functions are in one section.
    """
    archive = Path(_output(toolchain, "gcc", (*toolchain.core.flags, "-print-libgcc-file-name"), directory).strip())
    defined = (_DEFINITION.search(line) for line in _output(toolchain, "nm", ("-A", archive), directory).splitlines())
    member_of = {each[2]: each[1] for each in defined if each is not None}
    found: dict[str, FunctionSize] = {}
    sections: dict[tuple[str, str], str] = {}
    waiting = sorted(set(names))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in member_of:
            raise BuildError(f"the runtime library of {toolchain.compiler.name} lacks the function {name}")
        member = member_of[name]
        _output(toolchain, "ar", ("x", archive, member), directory)
        elf = read_elf(directory / member)
        section = next(each.section for each in elf.symbols if each.name == name and each.section)
        other = sections.setdefault((member, section), name)
        if other != name:
            raise BuildError(f"{name} and {other} are in one section of the runtime library; expected one of them")
        calls = _called(elf, section)
        frame_bytes = sum(map(pushed_bytes, disassemble(toolchain, directory / member, (section,))))
        found[name] = FunctionSize(whole_words(elf.section_bytes[section]), frame_bytes, calls)
        waiting += calls
    return found


def _called(elf: ElfFile, section: str) -> tuple[str, ...]:
    """Return the names of the functions of other files that a section refers to, sorted."""
    return tuple(sorted({each.target for each in elf.relocations if each.section == section} & elf.undefined))


def _output(toolchain: Toolchain, tool: str, arguments: Iterable[str | Path], directory: Path) -> str:
    """Run the compiler or a tool of its binutils, and return what it prints."""
    command = toolchain.compiler.with_name(toolchain.compiler.name.replace("gcc", tool))
    try:
        done = subprocess.run(  # noqa: S603  # the compiler that was found on PATH, and the binutils beside it
            [command, *arguments], cwd=directory, capture_output=True, text=True, timeout=COMPILE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{command.name} does not run ({error}); install the binutils of the compiler") from error
    if done.returncode != 0:
        raise BuildError(f"{command.name} refuses the runtime library: {done.stderr[:200].strip()}")
    return done.stdout
