"""Flash and RAM that a network may use, and the parsing of sizes such as '512 KiB'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from network.errors import RequestError

_UNIT_BYTES: Final = {
    "": 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3,
    "kiB": 1024, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3,
}  # fmt: skip

_UNIT_OF_BITS = re.compile(r"(?P<prefix>[kKmMgG]?i?)(b|[bB]its?)")
"""Units in which a lower-case b means bits: b, kb, Mb, Mib, Mbit and others, as in data sheets of flash chips."""

MAX_BUDGET_BYTES: Final = 2**40
"""Largest size in bytes, 1 TiB: no microcontroller has as much, so a larger number is a typing error."""

_SIZE = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)\s*", re.ASCII)


def parse_size_bytes(text: str | int, what: str) -> int:
    """Return the number of bytes of a size such as '60kB', '512 KiB', '2MB', '1.5 MiB' or '512000'.

    Args:
        text: Size with or without a unit: B, kB or KB (1000 bytes), KiB or kiB (1024 bytes), MB, MiB, GB or GiB. Units
            with a lower-case b, such as Mb, are rejected: they mean bits, and a network would get 8 times its flash.
        what: Name of the size in error messages, e.g. "flash".

    Raises:
        RequestError: if the text is not a size, not a whole number of bytes, or not from 1 byte to 1 TiB.
    """
    expected = "expected bytes or a number with kB, KiB, MB, MiB, GB or GiB, e.g. 512000, 60kB, 1.5MiB"
    match = _SIZE.fullmatch(str(text)) if not isinstance(text, bool) else None
    if match is None:
        raise RequestError(f"{what} is {str(text)[:60]!r}, which is not a size in bytes; {expected}")
    unit_bytes = _UNIT_BYTES.get(match["unit"])
    if unit_bytes is None:
        bits = _UNIT_OF_BITS.fullmatch(match["unit"])
        if bits is not None:
            unit = bits["prefix"].replace("m", "M").replace("g", "G") + "B"
            raise RequestError(
                f"{what} is {str(text)[:60]!r}, and {match['unit']!r} means bits (8 bits are 1 byte); expected bytes: "
                f"write {unit} if bytes are meant, else divide the number by 8"
            )
        raise RequestError(f"{what} is {str(text)[:60]!r}, with the unknown unit {match['unit']!r}; {expected}")
    whole, _, fraction = match["number"].partition(".")
    if len(whole) > 20 or len(fraction) > 20:
        raise RequestError(f"{what} has more digits than the 20 that are allowed; {expected}")
    numerator = int(whole + fraction) * unit_bytes
    if numerator % 10 ** len(fraction):
        raise RequestError(f"{what} is {str(text)[:60]!r}, which is not a whole number of bytes; {expected}")
    size_bytes = int(numerator // 10 ** len(fraction))
    if not 1 <= size_bytes <= MAX_BUDGET_BYTES:
        raise RequestError(
            f"{what} is {size_bytes} bytes; expected between 1 byte and {MAX_BUDGET_BYTES} bytes (1 TiB)"
        )
    return size_bytes


@dataclass(frozen=True, slots=True)
class Budget:
    """Number of bytes of flash and of RAM that a network may use.

    Attributes:
        flash_bytes: Number of bytes of flash, from 1 to 2^40.
        ram_bytes: Number of bytes of RAM, from 1 to 2^40.

    Raises:
        RequestError: if a size is not a whole number in that range.
    """

    flash_bytes: int
    ram_bytes: int

    def __post_init__(self) -> None:
        for what, size_bytes in (("flash_bytes", self.flash_bytes), ("ram_bytes", self.ram_bytes)):
            if isinstance(size_bytes, bool) or not isinstance(size_bytes, int):
                raise RequestError(f"{what} is {size_bytes!r}; expected a whole number of bytes")
            if not 1 <= size_bytes <= MAX_BUDGET_BYTES:
                raise RequestError(f"{what} is {size_bytes}; expected between 1 and {MAX_BUDGET_BYTES} bytes")
