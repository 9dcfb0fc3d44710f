"""What may be the name of a layer or tensor in a file from outside."""

from __future__ import annotations

from typing import Final, TypeGuard

MAX_NAME_LENGTH: Final = 1000


def is_name(value: object) -> TypeGuard[str]:
    """A text that can be shown in one line: bytes that are no text, control characters and lone surrogates are none."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_NAME_LENGTH and value.isprintable()
