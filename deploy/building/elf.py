"""Reading of ELF files and object files: sections, symbols, and which symbol each relocation refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from network.errors import BuildError

_KINDS: Final = ("STT_FUNC", "STT_OBJECT", "STT_NOTYPE")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A function or an object with a name.

    Attributes:
        name: Name of the symbol in C.
        section: Name of the section that holds it; empty for a symbol of another file.
        address: Address; in an object file the offset in its section. The lowest bit of a Thumb function is cleared.
        size_bytes: Number of bytes; 0 if the assembler gave none.
        is_function: Whether it is a function.
    """

    name: str
    section: str
    address: int
    size_bytes: int
    is_function: bool


@dataclass(frozen=True, slots=True)
class Relocation:
    """A place that the linker fills with the address of a symbol.

    Attributes:
        section: Name of the section that holds the place.
        offset: Offset of the place in its section.
        target: Name of the symbol, or of the section if it refers to the start of a section.
    """

    section: str
    offset: int
    target: str


@dataclass(frozen=True, slots=True)
class ElfFile:
    """Contents of an ELF file or object file that this package uses.

    Attributes:
        section_bytes: Name of each section that occupies memory -> its number of bytes.
        symbols: Functions and objects, and names that another file must define.
        relocations: Places that refer to symbols; empty in a linked file.
    """

    section_bytes: Mapping[str, int]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]

    @property
    def undefined(self) -> frozenset[str]:
        """Names of the symbols that another file must define."""
        return frozenset(symbol.name for symbol in self.symbols if not symbol.section)

    def in_sections(self, *sections: str) -> tuple[Symbol, ...]:
        """Return the symbols with a size in the given sections, by address."""
        chosen = (symbol for symbol in self.symbols if symbol.section in sections and symbol.size_bytes)
        return tuple(sorted(chosen, key=lambda symbol: (symbol.address, symbol.name)))


def read_elf(path: Path) -> ElfFile:
    """Read the sections, symbols and relocations of an ELF file or object file.

    Args:
        path: The file.

    Raises:
        BuildError: if the file cannot be read, or is not an ELF file with a table of symbols.
    """
    try:
        with path.open("rb") as file:
            elf: Any = ELFFile(file)
            table = elf.get_section_by_name(".symtab")
            if not isinstance(table, SymbolTableSection):
                raise BuildError(f"{path.name} has no table of symbols; expected a file that is not stripped")
            return ElfFile(
                {section.name: section["sh_size"] for section in elf.iter_sections() if section["sh_flags"] & 2},
                tuple(_symbols(elf, table)),
                tuple(_relocations(elf, table)),
            )
    except (OSError, ELFError) as error:
        raise BuildError(f"{path.name} cannot be read ({error}); expected an ELF file") from error


def _symbols(elf: Any, table: Any) -> Iterator[Symbol]:
    is_arm = elf["e_machine"] == "EM_ARM"
    for symbol in table.iter_symbols():
        kind = symbol["st_info"]["type"]
        if not symbol.name or kind not in _KINDS or symbol.name.startswith("$"):
            continue
        is_function = kind == "STT_FUNC"
        address = symbol["st_value"] & ~1 if is_arm and is_function else symbol["st_value"]
        yield Symbol(symbol.name, _section_name(elf, symbol), address, symbol["st_size"], is_function)


def _relocations(elf: Any, table: Any) -> Iterator[Relocation]:
    for section in elf.iter_sections():
        if not isinstance(section, RelocationSection):
            continue
        target = elf.get_section(section["sh_info"])
        if not target["sh_flags"] & 2:  # debugging information is not loaded
            continue
        for relocation in section.iter_relocations():
            symbol = table.get_symbol(relocation["r_info_sym"])
            name = _section_name(elf, symbol) if symbol["st_info"]["type"] == "STT_SECTION" else symbol.name
            if name:
                yield Relocation(target.name, relocation["r_offset"], name)


def _section_name(elf: Any, symbol: Any) -> str:
    index = symbol["st_shndx"]
    return str(elf.get_section(index).name) if isinstance(index, int) else ""
