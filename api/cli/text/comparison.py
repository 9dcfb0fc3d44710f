"""A comparison of two results as text, for the command line and the log of a pipeline."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, figures, verdict, words
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
from api.cli.text.markdown import printable
from api.schemas.comparison import ComparisonAnswer


def comparison_text(answer: ComparisonAnswer) -> RenderableType:
    """Return a comparison as text: the figures of the whole network, what changed in which layer, and the verdict."""
    return Group(*_parts(answer))


def _parts(answer: ComparisonAnswer) -> Iterator[RenderableType]:
    head = answer.head
    on_device = "" if head.device is None else f" on {printable(head.device)}"
    yield Text(f"network {printable(head.network)}{on_device}, {origin_words(head)}\n")
    rows = Rows(words(), figures("base"), figures("head"), figures("difference"), words())
    for row in figure_rows(answer):
        before, after = (NOTHING if each is None else printable(each) for each in (row.base, row.head))
        rows.add(row.name, before, after, row.difference, row.limit)
    yield rows
    if answer.layers:
        yield Text()
        yield _layers(answer)
    if answer.shared:
        yield Text()
        yield _shared(answer)
    if answer.base is not None and not answer.layers and not answer.shared:
        yield Text("no layer changed")
    yield from (Text(note) for note in answer.notes)
    if head.problem is not None:
        yield Text(printable(head.problem))
    yield verdict(verdict_words(answer).upper(), is_good=answer.passes)


def _layers(answer: ComparisonAnswer) -> Rows:
    rows = Rows(words("layer"), words(), *(figures(name) for name in LAYER_COLUMNS))
    for each in answer.layers:
        what = "new" if each.base is None else "removed" if each.head is None else ""
        rows.add(printable(each.layer), what, *layer_cells(each))
    return rows


def _shared(answer: ComparisonAnswer) -> Rows:
    rows = Rows(words("shared"), words(), figures("before"), figures("after"), figures("difference"))
    for each in answer.shared:
        sizes = ("-" if size is None else f"{size:,}" for size in (each.base_bytes, each.head_bytes))
        rows.add(printable(each.part), REGIONS[each.region], *sizes, difference_words(each.difference_bytes))
    return rows
