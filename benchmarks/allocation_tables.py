"""Markdown tables of the answers of the allocation benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from benchmarks.answers import Pair, Row, is_less
from benchmarks.markdown import markdown
from solver.options import Method

QUESTION: Final = ("network", "flash / RAM, kB", "accounting")
COLUMNS: Final = (
    *QUESTION, "method", "fits", "flash", "left", "RAM", "left", "sum", "bound", "gap",
    "weights 8/4/2", "activations 8/4/2", "s",
)  # fmt: skip


def answers(pairs: Iterable[Pair]) -> str:
    """Return a Markdown table with one line for each answer of the allocation benchmark."""
    return markdown(COLUMNS, [_answer(row) for pair in pairs for row in (pair.rule, pair.exact)])


def comparison(pairs: Iterable[Pair]) -> str:
    """Return a Markdown table of the summed sensitivities or minimum bytes by network, budget and accounting."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for pair in pairs:
        cells = lines.setdefault(_question(pair.rule), [])
        cells += [_outcome(pair.rule), _outcome(pair.exact, than=pair.rule)]
    columns = (*QUESTION, "mixpl", "exact per layer", "mixpc", "exact per channel")
    return markdown(columns, [(*question, *cells) for question, cells in lines.items()])


def _question(row: Row) -> tuple[str, ...]:
    return row.network, f"{row.flash_budget_bytes // 1000:,} / {row.ram_budget_bytes // 1000}", row.accounting


def _outcome(row: Row, than: Row | None = None) -> str:
    """Return an answer's summed sensitivity as text, compared with another answer's; minimum bytes if nothing fits."""
    if row.objective is None:
        return _shortage(row)
    parts = [f"{row.objective:.4g}"]
    if than is not None and than.objective is not None:
        if not is_less(row.objective, than.objective):
            parts = ["the same"]
        else:
            parts.append(f"{1 - row.objective / than.objective:.0%} less")
    if row.gap:
        parts.append(f"gap {row.gap:.1%}")
    return ", ".join(parts)


def _shortage(row: Row) -> str:
    return f"no: {row.least_bytes:,.0f} of {'RAM' if row.short == 'ram' else 'flash'}"


def _answer(row: Row) -> tuple[str, ...]:
    per = "channel" if row.scheme.is_per_channel else "layer"
    method = f"{row.method} per {per}" if row.method is Method.EXACT else str(row.method)
    if not row.fits:
        return (*_question(row), method, _shortage(row), *[""] * 9, f"{row.seconds:.3f}")
    counts = ["/".join(map(str, tensors or ())) for tensors in (row.weight_tensors, row.activation_tensors)]
    sizes = (row.flash_bytes, row.flash_left_bytes, row.ram_bytes, row.ram_left_bytes)
    return (
        *_question(row),
        method,
        "yes",
        *(f"{size:,.0f}" for size in sizes),
        f"{row.objective:.6g}",
        "" if row.bound is None else f"{row.bound:.6g}",
        "" if row.gap is None else f"{row.gap:.0e}" if row.gap else "0",
        *counts,
        f"{row.seconds:.3f}",
    )
