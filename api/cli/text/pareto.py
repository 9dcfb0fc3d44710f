"""The Pareto front of sensitivity against memory as a text table, for the command line."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, bar, bars, code, figures, verdict, words
from api.schemas.answer import format_bytes
from api.schemas.pareto import ParetoAnswer
from network.allocation import BITS


def pareto_text(answer: ParetoAnswer) -> RenderableType:
    """Return a Pareto front as a text table with one row for each point; a bar shows the summed sensitivity."""
    heading = Text(f"{answer.network.name}: {answer.accounting} accounting, {answer.sensitivity}\n")
    if not answer.points:
        nothing = "NOTHING FITS: the budget that is not varied is too small; bitbudget fit shows the missing bytes"
        return Group(heading, verdict(nothing, is_good=False))
    most = max(point.objective for point in answer.points) or 1.0
    rows = Rows(
        figures("flash bytes"), figures("RAM bytes"), words("code"), figures("objective"), bars(), words("proven"),
        words("weights"), words("activations"),
    )  # fmt: skip
    for point in answer.points:
        rows.add(
            format_bytes(point.flash_bytes),
            format_bytes(point.ram_bytes),
            code(point.optimization),
            f"{point.objective:.4g}",
            bar(point.objective, most),
            "yes" if point.gap == 0 else f"within {point.gap:.2%}",
            _histogram(point.weight_bits.values()),
            _histogram(point.activation_bits.values()),
        )
    if answer.is_complete:
        return Group(heading, rows)
    incomplete = "\nthe time limit ended the search: points may be missing, and their sensitivities may not be minimal"
    return Group(heading, rows, verdict(incomplete, is_good=False))


def _histogram(bits: Iterable[int]) -> str:
    """Return how many tensors have 8, 4 and 2 bits as text, such as '12x8 3x4 1x2' for 12 tensors with 8 bits."""
    given = list(bits)
    return " ".join(f"{given.count(each)}x{each}" for each in BITS if each in given)
