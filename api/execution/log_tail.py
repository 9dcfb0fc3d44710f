"""The last lines of a log, for an error message."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MAX_LINES: Final = 20
"""Largest number of lines that an error message shows."""
MAX_CHARACTERS: Final = 2000
"""Largest number of characters that an error message shows."""


def last_lines(log: Path) -> str:
    """Return the last lines of a log as text without control characters; empty if there is no log.

    Args:
        log: Path of the log.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 4 * MAX_CHARACTERS))
            content = file.read()
    except FileNotFoundError:
        return ""
    return last_lines_of(content.decode(errors="replace"))


def last_lines_of(output: str) -> str:
    """Return the last lines of an output without control characters.

    Args:
        output: The output.
    """
    lines = output.splitlines()[-MAX_LINES:]
    printable = ("".join(each if each.isprintable() else " " for each in line) for line in lines)
    return "\n".join(printable)[-MAX_CHARACTERS:].strip()
