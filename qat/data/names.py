"""Millions of names in two arrays: a list of Python strings would take several times the memory, in every worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qat.data.dataset import Indices


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """Texts by their index.

    Attributes:
        text: uint8, one after another, in UTF-8.
        ends: int64 [n], where each ends.
    """

    text: npt.NDArray[np.uint8]
    ends: Indices

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.text[start : int(self.ends[index])].tobytes().decode("utf-8", "surrogateescape")


def names_of(names: Iterable[str]) -> Names:
    """Collect names; those of files keep bytes that are no UTF-8."""
    encoded = [name.encode("utf-8", "surrogateescape") for name in names]
    lengths = np.array([len(each) for each in encoded], dtype=np.int64)
    return Names(np.frombuffer(b"".join(encoded), dtype=np.uint8), np.cumsum(lengths))


def reason_of(error: BaseException) -> str:
    """What a library says is wrong, in one line that is fit to be shown."""
    lines = str(error).splitlines()
    return shown(lines[0][:200]) if lines and lines[0] else type(error).__name__


def shown(name: str) -> str:
    """A name from outside, fit to stand in a message."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[-200:]
