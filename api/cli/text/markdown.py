"""Markdown with texts of strangers in it: names of layers and networks, which may come from anybody's pull request.

Such a text stands in a code span only. In one, GitHub and GitLab interpret neither HTML nor links nor mentions. What
could end the span, or the cell of a table around it, is replaced before.
"""

from __future__ import annotations

from typing import Final

MAX_CHARACTERS: Final = 80
"""Number of characters of a name in Markdown; longer ones are shortened."""

_REPLACED: Final = str.maketrans({"`": "'", "|": "¦", "\\": "/"})
"""Characters with a meaning inside a code span or a table's cell: the span ends, the cell ends, the next is escaped."""


def printable(text: str) -> str:
    """Return a text with � for each character that cannot be seen: line ends, control codes, changes of direction."""
    return "".join(character if character.isprintable() else "�" for character in text)


def code_span(text: str, max_characters: int = MAX_CHARACTERS) -> str:
    """Return a stranger's text as a code span of Markdown, which is safe in a cell of a table.

    Args:
        text: Any text.
        max_characters: Largest number of characters that are shown, 1 or more.
    """
    if len(text) > max_characters:
        text = f"{text[: max_characters - 1]}…"
    safe = printable(text).translate(_REPLACED).strip()
    return f"`{safe}`" if safe else "`(no name)`"


def table(header: tuple[str, ...], alignment: str, rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table of Markdown.

    Args:
        header: Names of the columns.
        alignment: One letter for each column: l for left, r for right.
        rows: Cells of the rows, which are Markdown themselves.
    """
    rules = ["--:" if letter == "r" else "---" for letter in alignment]
    return [f"| {' | '.join(cells)} |" for cells in (header, rules, *rows)]
