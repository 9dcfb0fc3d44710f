"""Rows of text as columns, and bars, for a terminal. Plain formatting: a table library would cost more than the fit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

_BAR_CELLS: Final = 20
RIGHT_ALIGNED: Final = frozenset(
    {"weight bits", "output bits", "flash bytes", "RAM bytes", "bytes", "objective", "ms", "used"}
)
"""Columns of figures that can be empty in a row."""


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of equal columns; figures, and columns whose name is that of figures, stand at the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = [name in RIGHT_ALIGNED or _is_figure(rows, column) for column, name in enumerate(rows[0])]
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _is_figure(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() for row in rows)


def bar(taken: float, budget: float) -> str:
    """'█████···············' for a quarter; full where the budget is reached or exceeded."""
    full, empty = _bar_cells()
    cells = min(round(_BAR_CELLS * taken / budget), _BAR_CELLS)
    return full * cells + empty * (_BAR_CELLS - cells)


def _bar_cells() -> tuple[str, str]:
    try:
        "█·".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#", "."
    return "█", "·"
