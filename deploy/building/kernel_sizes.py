"""Code and stack in bytes of each C function of the kernels, as a compiler translates it for a core.

The functions are compiled as one translation unit, as in the C files of a network. Each has sections of its own
(-ffunction-sections), so that their sizes can be added up. The functions of the compiler's runtime library that they
call are measured in its archive (`runtime_library.py`).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from deploy.building.call_graph import read_call_graph
from deploy.building.compiling import STACK_FLAGS
from deploy.building.disassembly import disassemble
from deploy.building.elf import ElfFile, read_elf
from deploy.building.frames import frame_bytes
from deploy.building.runtime_library import runtime_functions
from deploy.building.toolchains import Toolchain
from deploy.emission.text import from_template
from deploy.kernels import kernel_source, kernels_header
from network.errors import BuildError
from network.kernel_functions import FUNCTIONS, RUN_FUNCTION
from network.kernel_sizes.tables import FunctionSize, Optimization
from network.memory.packing import whole_words

_NAME: Final = "bb"
"""Name of the network whose C files have the functions: the prefix of the sources is kept."""

_OBJECT: Final = f"{_NAME}_kernels.o"
_SECTION: Final = re.compile(r"\.(?:text|rodata)\.(bb_\w+)(?:\.\S+)?")


def measure_functions(
    toolchain: Toolchain, optimization: Optimization, functions: Collection[str] = FUNCTIONS
) -> Mapping[str, FunctionSize]:
    """Compile functions of the kernels, and return the code and stack of each and of the library functions they call.

    The function that runs the steps is always included.

    Args:
        toolchain: The compiler.
        optimization: Optimization flag.
        functions: Names of the functions, with the prefix `bb_`.

    Raises:
        BuildError: if the functions do not compile, or have data or code that cannot be counted with one of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        for name, content in _sources(set(functions) - {RUN_FUNCTION}).items():
            (directory / name).write_text(content, encoding="utf-8")
        source = f"{_NAME}_kernels.c"
        flags = (*toolchain.flags(optimization), *STACK_FLAGS)
        done = toolchain.call((*flags, "-c", source, "-o", _OBJECT), directory)
        if done.returncode != 0:
            raise BuildError(f"the kernels do not compile for {toolchain.core.name}: {done.stderr[:1000]}")
        unit = read_elf(directory / _OBJECT)
        sizes = _code_bytes(unit, toolchain)
        called = _library_calls(unit)
        graph = read_call_graph(directory, {_OBJECT: unit}, {})
        library = runtime_functions(toolchain, directory, {each for calls in called.values() for each in calls})
        own = {
            name: FunctionSize(
                size_bytes,
                # The compiler does not count what assembler code pushes.
                max(graph[name].frame_bytes, _frame_bytes(toolchain, directory, name)),
                tuple(sorted(called.get(name, ()))),
            )
            for name, size_bytes in sizes.items()
        }
    return dict(sorted({**own, **library}.items()))


def _sources(functions: Collection[str]) -> Mapping[str, str]:
    """Return the C files that hold the given functions: name -> content."""
    tables = f'#include "{_NAME}_kernels.h"\nextern const bb_step bb_steps[];\n'
    return {
        f"{_NAME}.h": "#include <stdint.h>\nvoid bb_run(uint32_t *arena);\n",
        f"{_NAME}_kernels.h": kernels_header(),
        f"{_NAME}_tables.h": tables,
        f"{_NAME}_kernels.c": from_template("kernels.c", _NAME, notice="", kernels=kernel_source(functions)),
    }


def _code_bytes(unit: ElfFile, toolchain: Toolchain) -> Mapping[str, int]:
    """Return the bytes of each function's code and constants, each section in whole words.

    Raises:
        BuildError: if a section that occupies memory does not belong to one function.
    """
    functions = {each.name for each in unit.symbols if each.is_function and each.section}
    sizes: dict[str, int] = {}
    for section, size_bytes in unit.section_bytes.items():
        if not size_bytes:
            continue
        found = _SECTION.fullmatch(section)
        if found is None or found[1] not in functions:
            raise BuildError(
                f"{toolchain.compiler.name} puts {size_bytes} bytes of the kernels for {toolchain.core.name} into the "
                f"section {section}; expected sections of their functions alone, without data"
            )
        sizes[found[1]] = sizes.get(found[1], 0) + whole_words(size_bytes)
    return sizes


def _frame_bytes(toolchain: Toolchain, directory: Path, function: str) -> int:
    """Return the number of bytes by which a function's instructions extend the stack; 0 if they do not say it."""
    return frame_bytes(disassemble(toolchain, directory / _OBJECT, (f".text.{function}",))) or 0


def _library_calls(unit: ElfFile) -> Mapping[str, set[str]]:
    """Return the functions of the runtime library that each function refers to."""
    calls: dict[str, set[str]] = {}
    for relocation in unit.relocations:
        found = _SECTION.fullmatch(relocation.section)
        if found is not None and relocation.target in unit.undefined - {"bb_steps"}:
            calls.setdefault(found[1], set()).add(relocation.target)
    return calls
