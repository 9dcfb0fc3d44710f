"""A comparison of two results as Markdown, for the comment of a pull request or merge request.

The Markdown is made of fixed words, numbers, and code spans with names from the documents. Its size is bounded, since
GitHub refuses comments of more than 65,536 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from api.cli.text.comparison_figures import (
    LAYER_COLUMNS,
    NOTHING,
    REGIONS,
    difference_words,
    figure_rows,
    layer_cells,
    origin_words,
    verdict_words,
)
from api.cli.text.markdown import code_span, table
from api.schemas.comparison import ComparisonAnswer, LayerChange, SharedChange
from network.errors import RequestError

MAX_ROWS: Final = 100
"""Number of layers, and of shared parts, that the comment shows; the largest changes are first."""

MAX_PROBLEM_CHARACTERS: Final = 600
"""Number of characters that are shown of the reason why a network does not fit."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def marker_of(name: str) -> str:
    """Return the first line of a comment, which is not shown and by which a later run finds the comment again.

    Args:
        name: Name that tells several comments of one pull request apart: up to 64 letters, digits, dots, dashes.

    Raises:
        RequestError: If the name has other characters, so that it could end the hidden line.
    """
    if not _NAME.fullmatch(name):
        raise RequestError(
            f"the name of a comment is {name[:80]!r}; expected 1 to 64 of the characters A-Z, a-z, 0-9, '.', '_' and "
            "'-', the first a letter or a digit"
        )
    return f"<!-- bitbudget: {name} -->"


def comment(answer: ComparisonAnswer, name: str) -> str:
    """Return a comparison as the Markdown of a comment.

    Args:
        answer: The comparison, whose names may be any text.
        name: Name of the comment, see `marker_of`.

    Raises:
        RequestError: If the name of the comment is invalid.
    """
    return "\n".join([marker_of(name), *_lines(answer)]) + "\n"


def _lines(answer: ComparisonAnswer) -> Iterator[str]:
    head = answer.head
    on_device = "" if head.device is None else f" on {code_span(head.device)}"
    sign = "✅" if answer.passes else "❌"
    yield f"### {sign} bitbudget: {code_span(head.network)}{on_device} {verdict_words(answer)}"
    yield ""
    if head.problem is not None:
        yield f"{code_span(head.problem, MAX_PROBLEM_CHARACTERS)}"
        yield ""
    rows = [
        (
            row.name,
            *(_cell(each, is_stranger=row.is_stranger) for each in (row.base, row.head)),
            row.difference,
            row.limit,
        )
        for row in figure_rows(answer)
    ]
    yield from table((origin_words(head), "base", "head", "difference", "budget"), "lrrrl", rows)
    yield ""
    if answer.layers:
        yield from _folded(f"{_counted(len(answer.layers), 'layer')} changed", _layer_table(answer.layers))
    if answer.shared:
        yield from _folded(f"{_counted(len(answer.shared), 'shared part')} changed", _shared_table(answer.shared))
    if answer.base is not None and not answer.layers and not answer.shared:
        yield "No layer changed."
        yield ""
    for note in answer.notes:
        yield note
        yield ""


def _cell(text: str | None, *, is_stranger: bool) -> str:
    if text is None:
        return NOTHING
    return code_span(text) if is_stranger else text


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _folded(title: str, lines: list[str]) -> Iterator[str]:
    """Yield a section that a click opens. The empty line makes its content Markdown again."""
    yield f"<details><summary>{title}</summary>"
    yield ""
    yield from lines
    yield ""
    yield "</details>"
    yield ""


def _layer_table(changes: list[LayerChange]) -> list[str]:
    rows = [(f"{code_span(each.layer)}{_what(each)}", *layer_cells(each)) for each in changes[:MAX_ROWS]]
    return [*table(("layer", *LAYER_COLUMNS), "lrrrrrrrr", rows), *_rest(len(changes))]


def _what(change: LayerChange) -> str:
    return " (new)" if change.base is None else " (removed)" if change.head is None else ""


def _shared_table(changes: list[SharedChange]) -> list[str]:
    rows = [
        (
            code_span(each.part),
            REGIONS[each.region],
            *(NOTHING if size is None else f"{size:,}" for size in (each.base_bytes, each.head_bytes)),
            difference_words(each.difference_bytes),
        )
        for each in changes[:MAX_ROWS]
    ]
    return [*table(("part", "memory", "before", "after", "difference"), "llrrr", rows), *_rest(len(changes))]


def _rest(number: int) -> list[str]:
    return ["", f"{number - MAX_ROWS:,} smaller changes are not shown."] if number > MAX_ROWS else []
