"""Markdown tables for the pages of docs/benchmarks."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns; every line must have one cell for each column."""
    table = [tuple(columns), tuple("---" for _ in columns), *(tuple(line) for line in lines)]
    widths = [max(len(line[column]) for line in table) for column in range(len(columns))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in table
    )
