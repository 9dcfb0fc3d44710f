"""Names of a source file as text of C comments."""

from __future__ import annotations

import re
from typing import Final

_SHOWN_LENGTH: Final = 60

_HIDDEN: Final = re.compile(r"[^A-Za-z0-9 _.:;,+()\[\]/-]|/(?=/)")
"""Characters that could end a comment, continue a line, or are not ASCII; and slashes that follow each other."""


def comment(text: str) -> str:
    """Return text that a file may contain as text for a C comment: printable ASCII on one line, without `*/`."""
    return _HIDDEN.sub(".", text[:_SHOWN_LENGTH])
