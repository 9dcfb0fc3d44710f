"""A microcontroller as data: its core, its memory, and the part of the memory that one program can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from network.budget import MAX_BUDGET_BYTES, Budget
from network.errors import RequestError
from network.kernels import IN_PLACE_KERNELS
from network.names import described, is_name, shown

FIGURES: Final = ("core", "clock_hz", "chip_flash_bytes", "chip_ram_bytes", "flash_bytes", "ram_bytes")
"""Attributes of a device whose values can be looked up in a document, and which a `Source` can therefore support."""

MAX_DEVICE_NAME_LENGTH: Final = 100
"""Largest number of characters of a device's name, title or core."""


@dataclass(frozen=True, slots=True)
class Source:
    """Document from which properties of a microcontroller were taken.

    Attributes:
        figures: Names of the attributes of the device whose values were taken from the document, of `FIGURES`.
        where: Place of the values: title and section of a document, or a repository and a path.

    Raises:
        RequestError: if `figures` is empty or contains an unknown name, or if `where` is not printable text.
    """

    figures: tuple[str, ...]
    where: str

    def __post_init__(self) -> None:
        unknown = next((figure for figure in self.figures if figure not in FIGURES), None)
        if unknown is not None or not self.figures:
            given = "no figures" if unknown is None else f"the unknown figure '{shown(unknown)}'"
            raise RequestError(f"a source of a device has {given}; expected one or more of {', '.join(FIGURES)}")
        if not is_name(self.where):
            raise RequestError(
                f"a source of a device has {described(self.where)} as its 'where'; expected printable text"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A microcontroller, or a board if its flash is a separate chip.

    Attributes:
        name: Name by which the device is chosen, in lower case.
        title: Name that the manufacturer uses.
        core: Name of the core that runs the network, e.g. "cortex-m7".
        clock_hz: Highest clock frequency of the core in hertz; None if it is not known.
        chip_flash_bytes: Number of bytes of flash of the chip.
        chip_ram_bytes: Number of bytes of RAM of the chip, all regions together.
        flash_bytes: Number of bytes of flash that one program can use.
        ram_bytes: Number of bytes of the largest contiguous region of RAM, which holds all data of a program.
        flash_is_external: Whether flash is a separate chip.
        in_place: Names of the kernels that overwrite an input, of `network.kernels.IN_PLACE_KERNELS`; by
            default all of them.
        reuses_input: Whether other tensors may use the memory of the network's input after the last layer that reads
            it. If False, the input stays intact to the end.
        note: Reason why a program can use less memory than the chip has.
        sources: Documents from which the figures were taken; may be empty for a user's device.

    Raises:
        RequestError: if a name, a size or a kernel is invalid, or if a program could use more memory than the chip has.
    """

    name: str
    title: str
    core: str
    clock_hz: int | None
    chip_flash_bytes: int
    chip_ram_bytes: int
    flash_bytes: int
    ram_bytes: int
    flash_is_external: bool = False
    in_place: frozenset[str] = frozenset(IN_PLACE_KERNELS)
    reuses_input: bool = True
    note: str = ""
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        self._check_texts()
        self._check_sizes()
        for what, flag in (("flash_is_external", self.flash_is_external), ("reuses_input", self.reuses_input)):
            if not isinstance(flag, bool):
                raise self._refused(what, flag, "true or false")
        unknown = next((kind for kind in sorted(self.in_place, key=str) if kind not in IN_PLACE_KERNELS), None)
        if unknown is not None:
            raise self._refused("in_place", unknown, f"some of {', '.join(IN_PLACE_KERNELS)}, or none")

    @property
    def budget(self) -> Budget:
        """Flash and RAM of a microcontroller that a program can use; memory that a user reserves is not subtracted."""
        return Budget(self.flash_bytes, self.ram_bytes)

    def _check_texts(self) -> None:
        limit = MAX_DEVICE_NAME_LENGTH
        for what, text in (("name", self.name), ("title", self.title), ("core", self.core)):
            if not is_name(text) or len(text) > limit or text != text.strip():
                expected = f"text of 1 to {limit} printable characters, with no space around it"
                raise RequestError(f"a device has {described(text)} as its {what}; expected {expected}")
        for what, text in (("name", self.name), ("core", self.core)):
            if text != text.lower():
                raise RequestError(
                    f"a device has {described(text)} as its {what}; expected lower case: '{shown(text.lower())}'"
                )
        if self.note != "" and not is_name(self.note):
            raise self._refused("note", self.note, "one line of printable characters")

    def _check_sizes(self) -> None:
        if self.clock_hz is not None and not _is_whole(self.clock_hz, MAX_BUDGET_BYTES):
            raise self._refused("clock_hz", self.clock_hz, "a whole number of hertz, 1 or more, or nothing")
        for what in ("chip_flash_bytes", "chip_ram_bytes", "flash_bytes", "ram_bytes"):
            if not _is_whole(getattr(self, what), MAX_BUDGET_BYTES):
                raise self._refused(what, getattr(self, what), f"a whole number from 1 to {MAX_BUDGET_BYTES}")
        for memory, usable, there in (
            ("flash", self.flash_bytes, self.chip_flash_bytes),
            ("RAM", self.ram_bytes, self.chip_ram_bytes),
        ):
            if usable > there:
                raise RequestError(
                    f"device '{shown(self.name)}' has {usable} usable bytes of {memory}, but its chip has {there}; "
                    f"expected at most {there}"
                )

    def _refused(self, what: str, value: object, expected: str) -> RequestError:
        return RequestError(f"device '{shown(self.name)}' has {described(value)} as its {what}; expected {expected}")


def _is_whole(value: object, most: int) -> bool:
    """Return whether a value is a whole number from 1 to an upper limit."""
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
