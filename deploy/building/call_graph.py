"""Calls between the functions of a network, and the stack of each, as the compiler wrote them beside the object files.

GCC's option -fcallgraph-info=su writes each function's frame and direct calls (.ci). Calls through pointers are found
in the constants, where the only pointers to functions are:

    table of steps    pairs of a driver and its layer's descriptor; the function that reads the table calls the drivers
    descriptor        the functions that the driver of this layer calls

so that the targets of a call through a pointer are known exactly. Functions of the compiler's runtime library have no
.ci file; `disassembly.py` reads theirs from the instructions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deploy.building.elf import ElfFile, Relocation

POINTER_BYTES: Final = 4
"""Number of bytes of a pointer on a 32-bit core."""

INDIRECT: Final = "__indirect_call"
"""GCC's name of the target of a call through a pointer."""

_NODE: Final = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"')
_EDGE: Final = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_FRAME: Final = re.compile(r"\\n(\d+) bytes \(([a-z,]+)\)$")


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a network and what it calls.

    Attributes:
        name: Name in C.
        frame_bytes: Number of bytes of its stack frame, saved registers included.
        frame: The compiler's word for the frame: "static", "dynamic" or "dynamic,bounded".
        calls: Names of the functions that it calls by name.
        pointer_calls: Names of the functions that it may call through a pointer.
        has_pointer_call: Whether it calls through a pointer.
    """

    name: str
    frame_bytes: int
    frame: str
    calls: frozenset[str]
    pointer_calls: frozenset[str]
    has_pointer_call: bool

    @property
    def callees(self) -> frozenset[str]:
        """Names of all functions that the function may call."""
        return self.calls | self.pointer_calls


CallGraph = Mapping[str, Function]
"""Name of each function -> the function."""


def read_call_graph(directory: Path, objects: Mapping[str, ElfFile], library: CallGraph) -> CallGraph:
    """Return the functions of object files and of the runtime library with their frames and all their calls.

    Args:
        directory: Directory of the build.
        objects: Path of each object file, relative to the directory -> its contents. The compiler's .ci file is beside
            it.
        library: Functions of the runtime library.
    """
    frames: dict[str, tuple[int, str]] = {}
    edges: dict[str, set[str]] = {}
    for path in objects:
        for line in (directory / path).with_suffix(".ci").read_text(encoding="utf-8").splitlines():
            if (node := _NODE.match(line)) and (frame := _FRAME.search(node[2])):
                frames[_plain(node[1])] = int(frame[1]), frame[2]
            elif edge := _EDGE.match(line):
                edges.setdefault(_plain(edge[1]), set()).add(_plain(edge[2]))
    for each in objects.values():  # some calls of the library are missing in .ci files, such as switches of Thumb-1
        owners = _Owners(each)
        for relocation in each.relocations:
            if relocation.target in library:
                edges.setdefault(owners.of(relocation.section), set()).add(relocation.target)
    pointers = _pointer_calls(objects.values(), frames)
    return dict(library) | {
        name: Function(
            name,
            frame_bytes,
            frame,
            frozenset(edges.get(name, set()) - {INDIRECT}),
            pointers.get(name, frozenset()) if INDIRECT in edges.get(name, set()) else frozenset(),
            INDIRECT in edges.get(name, set()),
        )
        for name, (frame_bytes, frame) in frames.items()
    }


def with_frames(graph: CallGraph, frames: Mapping[str, int]) -> CallGraph:
    """Return a call graph in which each frame is at least the given one: what inline assembler pushes is added so.

    Args:
        graph: The functions.
        frames: Name of a function -> number of bytes of its frame by its instructions.
    """
    return {name: replace(each, frame_bytes=max(each.frame_bytes, frames.get(name, 0))) for name, each in graph.items()}


def _plain(title: str) -> str:
    """Return the name of a function in C from its title, which has the file's name before a static function."""
    return title.rpartition(":")[2]


def _pointer_calls(objects: Iterable[ElfFile], functions: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return, for each function, the functions whose addresses the constants hold for it; see the module's text."""
    known = frozenset(functions)
    data: dict[str, list[Relocation]] = {}  # name of an object -> the pointers in it
    reads: dict[str, set[str]] = {}  # function -> objects whose address its code has
    for each in objects:
        owners = _Owners(each)
        for relocation in each.relocations:
            owner = owners.of(relocation.section)
            target = owners.of(relocation.target) if relocation.target.startswith(".") else relocation.target
            if owner in known:
                reads.setdefault(owner, set()).add(target)
            else:
                data.setdefault(owner, []).append(Relocation(owner, relocation.offset, target))
    found: dict[str, set[str]] = {}
    for function, tables in reads.items():
        for table in tables & data.keys():
            found.setdefault(function, set()).update(pointer.target for pointer in data[table])
    for pointers in data.values():
        for driver, descriptor in _pairs(pointers, known):
            found.setdefault(driver, set()).update(pointer.target for pointer in data.get(descriptor, ()))
    # A function's table of jumps points into the function itself.
    return {function: frozenset(targets & known) - {function} for function, targets in found.items()}


def _pairs(pointers: list[Relocation], functions: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Return the steps in a table: each function with the descriptor that follows it."""
    at = {pointer.offset: pointer.target for pointer in pointers}
    for offset, target in at.items():
        following = at.get(offset + POINTER_BYTES)
        if target in functions and following is not None and following not in functions:
            yield target, following


class _Owners:
    """Names of the functions and objects that own the sections of an object file: one section each."""

    def __init__(self, file: ElfFile) -> None:
        self._names = {symbol.section: symbol.name for symbol in file.symbols if symbol.section and symbol.size_bytes}

    def of(self, section: str) -> str:
        """Return the name of the function or object in a section; the section's name if it has none."""
        return self._names.get(section, section)
