"""Checks of names that come from users' files, and short printable texts of such names for error messages."""

from __future__ import annotations

import json
from typing import Final, TypeGuard

MAX_NAME_LENGTH: Final = 1000
"""Largest number of characters of a name."""

_MAX_SHOWN_LENGTH: Final = 80


def is_name(value: object) -> TypeGuard[str]:
    """Return whether a value is a valid name of a layer, tensor or device.

    A name is a text of 1 to `MAX_NAME_LENGTH` printable characters, so that it fits on one line of a report. Control
    characters and lone surrogates are not printable.
    """
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME_LENGTH and value.isprintable()


def shown(text: str) -> str:
    """Return the first 80 characters of a text, with every character outside printable ASCII escaped."""
    return text[:_MAX_SHOWN_LENGTH].encode("unicode_escape").decode()


def described(value: object) -> str:
    """Return a short, printable description of a decoded JSON value of any size, e.g. "a list of 3"."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"the text '{shown(value)}'"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return "an object"
    return f"the number {str(value)[:40]}"
