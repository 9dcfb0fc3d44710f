"""A microcontroller as data: its core, what memory it has, and what of that one program can use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from network.budget import MAX_BUDGET_BYTES, Budget
from network.errors import RequestError
from network.names import described, is_name, shown

IN_PLACE_KINDS: Final = ("activation", "add", "depthwise_convolution")
"""The kinds of layers that can write their output over an input of theirs."""

FIGURES: Final = ("core", "clock_hz", "chip_flash_bytes", "chip_ram_bytes", "flash_bytes", "ram_bytes")
"""The attributes of a device that somebody can look up, and that a source can stand behind."""

MAX_DEVICE_NAME_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Source:
    """Where figures of a device were read.

    Attributes:
        figures: which ones, of `FIGURES`.
        where: a document's title and section, or a repository and path.

    Raises:
        RequestError: no figure, an unknown one, or a place that is no printable text.
    """

    figures: tuple[str, ...]
    where: str

    def __post_init__(self) -> None:
        unknown = next((figure for figure in self.figures if figure not in FIGURES), None)
        if unknown is not None or not self.figures:
            given = "none" if unknown is None else f"'{shown(unknown)}'"
            raise RequestError(
                f"a source stands behind the figure {given}; expected one or more of {', '.join(FIGURES)}"
            )
        if not is_name(self.where):
            raise RequestError(f"a source has {described(self.where)} as its place; expected a printable text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A microcontroller, or a named board where flash is a chip of its own.

    Attributes:
        name: the key by which it is asked for, in lower case.
        title: its maker's name for it.
        core: the core that runs the network, e.g. "cortex-m7".
        clock_hz: the core's highest clock; None where it is not known.
        chip_flash_bytes: the flash that there is.
        chip_ram_bytes: the RAM that there is, all regions together.
        flash_bytes: the flash that one program can use.
        ram_bytes: the largest contiguous region of RAM: the arena and all other data of a program can lie in it.
        flash_is_external: flash is a chip beside the microcontroller's.
        in_place: the kinds of layers that may overwrite their input, of `IN_PLACE_KINDS`.
        reuses_input: the arena may reuse the caller's input buffer once it is read; False: it stays intact to the end.
        note: why less can be used than there is.
        sources: where the figures were read; a user's own device may have none.

    Raises:
        RequestError: a name, size or kind that makes no sense, or more that can be used than there is.
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
    in_place: frozenset[str] = frozenset()
    reuses_input: bool = True
    note: str = ""
    sources: tuple[Source, ...] = ()

    def __post_init__(self) -> None:
        self._check_texts()
        self._check_sizes()
        for what, flag in (("flash_is_external", self.flash_is_external), ("reuses_input", self.reuses_input)):
            if not isinstance(flag, bool):
                raise self._refused(what, flag, "true or false")
        unknown = next((kind for kind in sorted(self.in_place, key=str) if kind not in IN_PLACE_KINDS), None)
        if unknown is not None:
            raise self._refused("in_place", unknown, f"some of {', '.join(IN_PLACE_KINDS)}, or none")

    @property
    def budget(self) -> Budget:
        """All that a program can use: what the user reserves is still to be taken off."""
        return Budget(self.flash_bytes, self.ram_bytes)

    def _check_texts(self) -> None:
        limit = MAX_DEVICE_NAME_LENGTH
        for what, text in (("name", self.name), ("title", self.title), ("core", self.core)):
            if not is_name(text) or len(text) > limit or text != text.strip():
                expected = f"a text of 1 to {limit} printable characters, with no space around it"
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
            raise self._refused("clock_hz", self.clock_hz, "a whole number of hertz from 1, or nothing")
        for what in ("chip_flash_bytes", "chip_ram_bytes", "flash_bytes", "ram_bytes"):
            if not _is_whole(getattr(self, what), MAX_BUDGET_BYTES):
                raise self._refused(what, getattr(self, what), f"a whole number from 1 to {MAX_BUDGET_BYTES}")
        for memory, usable, there in (
            ("flash", self.flash_bytes, self.chip_flash_bytes),
            ("RAM", self.ram_bytes, self.chip_ram_bytes),
        ):
            if usable > there:
                raise RequestError(
                    f"device '{shown(self.name)}' lets a program use {usable} bytes of {memory} where there are "
                    f"{there}; expected at most what there is"
                )

    def _refused(self, what: str, value: object, expected: str) -> RequestError:
        return RequestError(f"device '{shown(self.name)}' has {described(value)} as its {what}; expected {expected}")


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
