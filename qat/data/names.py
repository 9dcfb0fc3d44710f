"""Compact storage of file names, and text from outside made safe for messages.

Two arrays hold millions of names. A list of Python strings would need several times the memory, in every worker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from qat.data.dataset import Indices

_SHOWN: Final = 3
"""Number of items that a message names."""


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """A sequence of n names, stored in two arrays.

    Attributes:
        text: All names one after another in UTF-8, uint8 [bytes].
        ends: Position behind the last byte of each name, int64 [n].
    """

    text: npt.NDArray[np.uint8]
    ends: Indices

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.text[start : int(self.ends[index])].tobytes().decode("utf-8", "surrogateescape")


def names_of(names: Iterable[str]) -> Names:
    """Store names in arrays; bytes of file names that are not valid UTF-8 are preserved.

    Args:
        names: The names, in order.
    """
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    lengths = np.array([len(each) for each in encoded], dtype=np.int64)
    return Names(np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum(lengths))


_OBJECT_WITH_ADDRESS = re.compile(r"\s*['\"]?<[^<>]*\bat 0x[0-9a-fA-F]+>['\"]?")
"""Python's text of an object without a name, such as `<_io.BytesIO object at 0x7f...>`, which tells users nothing."""


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message in printable characters, or its class name if there is no message.

    Texts of objects with an address in memory are removed.

    Args:
        error: The error that a library raised.
    """
    lines = _OBJECT_WITH_ADDRESS.sub("", str(error)).strip().splitlines()
    return printable(lines[0][:200]) if lines and lines[0] else type(error).__name__


def printable(name: str) -> str:
    """Return the last 200 characters of a name, with '?' for each character that is not printable.

    Args:
        name: Name from outside, such as a file name.
    """
    return "".join(letter if letter.isprintable() else "?" for letter in name)[-200:]


def some_of(texts: Sequence[str]) -> str:
    """Return the first texts of a list in one line, and how many more there are: 'a', 'b', 'c' and 7 more.

    Args:
        texts: One text for each item, already printable.
    """
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
