"""The least bytes at which a network keeps a limit of quality as text, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, bar, bars, figures, verdict, words
from api.operations.shrink.words import amount_text, limit_text
from api.schemas.answer import format_bytes
from api.schemas.shrink import ShrinkAnswer, ShrinkPointAnswer, ShrinkReport
from network.allocation import BITS
from qat.options.task import TERMS


def shrink_text(answer: ShrinkAnswer, directory: Path) -> RenderableType:
    """Return the result of a search for the least bytes as text: a row for each judged point, and the sentences.

    Args:
        answer: The report of the search, with the files.
        directory: Directory of the files.
    """
    terms = TERMS[answer.metric]
    of_float = "" if answer.float_quality is None else f", float network {terms.text(answer.float_quality)}"
    heading = f"{answer.network.name}: {terms.words} on {answer.held_out_samples:,} held-out samples{of_float}"
    folders = [f"  {point.folder}/" for point in answer.points if (directory / point.folder).is_dir()]
    files = [f"  {each.name}  {each.size_bytes:,} bytes" for each in answer.artifacts]
    return Group(
        Text(f"{heading}\n"),
        curve_table(answer),
        Text(),
        *(
            verdict(sentence, is_good=answer.best is not None) if place == 0 else Text(sentence)
            for place, sentence in enumerate(answer.sentences)
        ),
        Text(f"\nfiles in {directory}"),
        *map(Text, [*files, *folders]),
    )


def curve_table(report: ShrinkReport) -> RenderableType:
    """Return the judged points of a search as a text table; a bar shows the loss, or the quality."""
    terms = TERMS[report.metric]
    is_loss = report.max_loss is not None
    most = max((abs(_figure(point)) for point in report.points), default=0.0) or 1.0
    rows = Rows(
        figures("flash bytes"), figures("RAM bytes"), figures("loss" if is_loss else terms.words), bars(),
        words("limit"), figures("test set"), words("weights"), words("activations"),
    )  # fmt: skip
    for index, point in enumerate(report.points):
        figure = _figure(point)
        rows.add(
            format_bytes(point.flash_bytes),
            format_bytes(point.ram_bytes),
            amount_text(report.metric, figure) if is_loss else terms.text(figure),
            bar(max(figure, 0.0), most),
            "chosen" if index == report.chosen else "kept" if point.keeps_limit else "exceeded",
            "-" if point.test is None else TERMS[point.test.metric].text(point.test.integer_only),
            _histogram(point.weight_bits),
            _histogram(point.activation_bits),
        )
    return Group(rows, Text(f"limit: {limit_text(report)}"))


def _figure(point: ShrinkPointAnswer) -> float:
    return point.quality if point.loss is None else point.loss


def _histogram(bits: Mapping[str, int]) -> str:
    given = list(bits.values())
    return " ".join(f"{given.count(each)}x{each}" for each in BITS if each in given)
