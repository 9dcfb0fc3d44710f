"""What a link of a network holds: bytes by section and symbol, calls and stack, and the findings of the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.building.audit import Finding, audit
from deploy.building.call_graph import CallGraph, read_call_graph, with_frames
from deploy.building.compiling import Objects
from deploy.building.disassembly import disassemble, library_functions
from deploy.building.elf import ElfFile, Symbol, read_elf
from deploy.building.frames import frames_of
from deploy.building.toolchains import Toolchain

WORD_BYTES: Final = 4
CODE: Final = ".network_code"
LIBRARY: Final = ".network_library"
CONSTANTS: Final = ".network_constants"
ARENA: Final = ".network_arena"
DATA: Final = ".network_data"
BSS: Final = ".network_bss"


@dataclass(frozen=True, slots=True)
class LinkedNetwork:
    """A linked network as the ELF file describes it.

    Attributes:
        elf: Contents of the ELF file.
        graph: Functions of the network and of the runtime library, with their calls and frames.
        findings: Breaches of the audit's rules; empty if it keeps all.
        function_bytes: Name of each linked function of the network -> its bytes of flash, with the tables that the
            compiler adds to it, rounded up to 4 as functions start at multiples of 4.
    """

    elf: ElfFile
    graph: CallGraph
    findings: tuple[Finding, ...]
    function_bytes: Mapping[str, int]

    @property
    def functions(self) -> tuple[Symbol, ...]:
        """Functions of the network, by address."""
        return self.elf.in_sections(CODE)

    @property
    def constants(self) -> tuple[Symbol, ...]:
        """Constants of the network, by address."""
        return self.elf.in_sections(CONSTANTS)

    @property
    def code_bytes(self) -> int:
        """Number of bytes of flash of the network's functions."""
        return self._bytes(CODE)

    @property
    def library_bytes(self) -> int:
        """Number of bytes of flash of functions of the compiler's runtime library."""
        return self._bytes(LIBRARY)

    @property
    def constant_bytes(self) -> int:
        """Number of bytes of flash of the network's constants."""
        return self._bytes(CONSTANTS)

    @property
    def arena_bytes(self) -> int:
        """Number of bytes of RAM of the arena."""
        return self._bytes(ARENA)

    @property
    def data_bytes(self) -> int:
        """Number of bytes of RAM of writable data beside the arena; 0 if the audit has no finding."""
        return self._bytes(DATA) + self._bytes(BSS)

    @property
    def flash_bytes(self) -> int:
        """Number of bytes of flash of the network."""
        return self.code_bytes + self.library_bytes + self.constant_bytes + self._bytes(DATA)

    def _bytes(self, section: str) -> int:
        return self.elf.section_bytes.get(section, 0)


def examine(toolchain: Toolchain, objects: Objects, elf: Path) -> LinkedNetwork:
    """Read a linked network, its calls and frames, and audit it.

    Args:
        toolchain: The compiler that linked it.
        objects: The object files.
        elf: The ELF file.

    Raises:
        BuildError: if a file cannot be read.
    """
    contents = read_elf(elf)
    network = {path: read_elf(objects.directory / path) for path in objects.network}
    instructions = disassemble(toolchain, elf, (CODE, LIBRARY))
    library = [symbol for symbol in contents.symbols if symbol.section == LIBRARY]
    inside = [each for each in instructions if any(symbol.address <= each.address for symbol in library)]
    end = max((each.address for each in inside), default=0) + 1
    graph = read_call_graph(objects.directory, network, library_functions(library, inside, end))
    graph = with_frames(graph, frames_of(contents.in_sections(CODE), instructions))
    linked = {symbol.name for symbol in contents.in_sections(CODE)}
    sizes = {name: size for each in network.values() for name, size in _function_bytes(each).items() if name in linked}
    return LinkedNetwork(contents, graph, audit(contents, network, graph, instructions), sizes)


def _function_bytes(file: ElfFile) -> dict[str, int]:
    """Return the bytes of each function of an object file, in which each has a section of its own."""
    found = {}
    for symbol in file.symbols:
        if symbol.is_function and symbol.section:
            constants = f".rodata.{symbol.name}"
            added = (
                size
                for section, size in file.section_bytes.items()
                if section == constants or section.startswith(f"{constants}.")
            )
            sizes = (file.section_bytes[symbol.section], *added)
            found[symbol.name] = sum(-(-size // WORD_BYTES) * WORD_BYTES for size in sizes)
    return found
