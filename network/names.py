"""Check of the names of layers and tensors in a file."""

from __future__ import annotations

from typing import Final, TypeGuard

MAX_NAME_LENGTH: Final = 1000
"""Largest number of characters of a name."""


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value can be a name: text of 1 to 1000 printable characters.

    Control characters, line breaks and lone surrogates are not printable.
    """
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME_LENGTH and value.isprintable()
