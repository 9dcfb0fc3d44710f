"""Audit of a linked network: what its C promises a firmware engineer, shown in the ELF file.

heap                 no call of an allocator, in the network or in the firmware around it
floating point       no support function of the compiler, and no instruction
64-bit division      no support function
writable data        none: the arena and the stack are the caller's
recursion            no function calls itself, directly or through others
variable frames      no array of variable length
foreign functions    no call of a function outside the network, but of the compiler's support functions
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from deploy.building.call_graph import CallGraph
from deploy.building.disassembly import Instruction
from deploy.building.elf import ElfFile
from deploy.building.stack import cycles

WRITABLE_SECTIONS: Final = (".network_data", ".network_bss")


class Rule(StrEnum):
    """Rules of the audit."""

    HEAP = "heap"
    FLOAT = "floating point"
    DIVISION = "64-bit division"
    DATA = "writable data"
    RECURSION = "recursion"
    FRAME = "variable frame"
    FOREIGN = "foreign function"


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach of a rule of the audit.

    Attributes:
        rule: The rule.
        where: Function, object or section that breaks it.
        what: Sentence that says what was found.
    """

    rule: Rule
    where: str
    what: str


_HEAP: Final = re.compile(r"_?(malloc|calloc|realloc|free|memalign|aligned_alloc|sbrk)(_r)?|__(malloc|free)_\w+|alloca")
_ARM_FLOAT: Final = re.compile(r"__aeabi_(c?[fd]\w+|u?[il]2[fd]|h2f\w*)")
_FLOAT: Final = re.compile(r"__\w+[sdt]f([sdt][fi])?[23]?")
_DIVISION: Final = re.compile(r"__aeabi_u?ldivmod|__u?(div|mod|divmod)(d|t)i[34]|__udivmoddi4")
_FLOAT_INSTRUCTION: Final = re.compile(r"v\w+(\.\w+)?\.f(16|32|64)(\.\w+)?")


def audit(
    elf: ElfFile, objects: Mapping[str, ElfFile], graph: CallGraph, instructions: Iterable[Instruction]
) -> tuple[Finding, ...]:
    """Return every breach of a rule in a linked network; empty if it keeps all.

    Args:
        elf: The linked file.
        objects: Path of each object file of the network -> its contents.
        graph: Functions of the network and of the runtime library.
        instructions: Instructions of the network and of the runtime library.
    """
    linked = {symbol.name for symbol in elf.symbols if symbol.section}
    return (
        *_symbols(elf, objects, linked),
        *_data(elf),
        *_frames({name: function for name, function in graph.items() if name in linked}),
        *_float_instructions(instructions),
    )


def _symbols(elf: ElfFile, objects: Mapping[str, ElfFile], linked: set[str]) -> Iterator[Finding]:
    """Return the functions that the network, or for the heap the whole program, must not call."""
    for name in sorted(linked):
        if _HEAP.fullmatch(name):
            yield Finding(Rule.HEAP, name, f"the program has the allocator's function {name}")
    network = {symbol.name for symbol in elf.symbols if symbol.section.startswith(".network_")}
    wanted = {name: path for path, each in sorted(objects.items()) for name in each.undefined if name in linked}
    for name, path in sorted(wanted.items()):
        rule = next((rule for rule, pattern in _PATTERNS if pattern.fullmatch(name)), None)
        if rule is not None:
            yield Finding(rule, name, f"{path} calls {name}")
        elif name not in network and not _HEAP.fullmatch(name):
            yield Finding(Rule.FOREIGN, name, f"{path} calls {name}, which is not a part of the network")


def _data(elf: ElfFile) -> Iterator[Finding]:
    for section in WRITABLE_SECTIONS:
        names = ", ".join(symbol.name for symbol in elf.in_sections(section))
        size_bytes = elf.section_bytes.get(section, 0)
        if size_bytes:
            yield Finding(Rule.DATA, names or section, f"{size_bytes} bytes of the network are writable: {names}")


def _frames(graph: CallGraph) -> Iterator[Finding]:
    for cycle in cycles(graph):
        yield Finding(Rule.RECURSION, cycle[0], f"{' calls '.join((*cycle, cycle[0]))}")
    for name, function in sorted(graph.items()):
        if function.frame == "dynamic":
            yield Finding(Rule.FRAME, name, f"{name} has an array of variable length")


def _float_instructions(instructions: Iterable[Instruction]) -> Iterator[Finding]:
    found = sorted({each.mnemonic for each in instructions if _FLOAT_INSTRUCTION.fullmatch(each.mnemonic)})
    if found:
        yield Finding(Rule.FLOAT, found[0], f"the network has instructions for floating point: {', '.join(found)}")


_PATTERNS: Final = ((Rule.FLOAT, _ARM_FLOAT), (Rule.FLOAT, _FLOAT), (Rule.DIVISION, _DIVISION))
