"""Tables of docs/benchmarks/accuracy.md, made from the JSON result of the accuracy benchmark."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.markdown import markdown
from benchmarks.shares import Share

Row = Mapping[str, Any]


def tables(result: Mapping[str, Any]) -> str:
    """Return all Markdown tables of the accuracy benchmark, with their titles."""
    rows = result["rows"]
    float_percent = result["float_percent"]
    of_float = "" if float_percent is None else f", float {float_percent:.2f} %"
    samples = f"{result['train_images']:,} training and {result['test_images']:,} test samples"
    parts = [
        f"{result['network']}: {samples}{of_float}; budgets by the `{result['accounting']}` accounting",
        f"After {result['epochs']} epochs, % (mean, minimum to maximum of the seeds):\n\n{_by_budget(rows, _trained)}",
        f"Without training, %:\n\n{_by_budget(rows, _untrained)}",
        f"Bytes of flash and summed sensitivity:\n\n{_by_budget(rows, _taken)}",
    ]
    shortages = dict.fromkeys(
        f"- {_share(row)}, {row['name']}: {row['shortage']}" for row in rows if row["shortage"] is not None
    )
    if shortages:
        parts.append("Where nothing fits:\n\n" + "\n".join(shortages))
    if any(not row["is_integer_only"] for row in rows):
        parts.append("\\* accuracy of the fake-quantized network, because there is no integer-only form.")
    return "\n\n".join(parts)


def spread(percents: Sequence[float]) -> str:
    """Return the mean of accuracies as text, followed by minimum and maximum if there are several values."""
    if not percents:
        return ""
    mean = f"{fmean(percents):.2f}"
    return mean if len(percents) == 1 else f"{mean} ({min(percents):.2f}..{max(percents):.2f})"


def _by_budget(rows: Sequence[Row], cell: Callable[[Row], str]) -> str:
    """Return a Markdown table with one line for each memory budget and one column for each method."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    budgets = list(dict.fromkeys((_share(row), row["flash_budget_bytes"], row["ram_budget_bytes"]) for row in rows))
    cells = {(_share(row), row["name"]): "nothing fits" if row["shortage"] else cell(row) for row in rows}
    lines = [
        (share, f"{flash_bytes:,}", f"{ram_bytes:,}", *(cells.get((share, name), "") for name in names))
        for share, flash_bytes, ram_bytes in budgets
    ]
    return markdown(("budget", "flash, bytes", "RAM, bytes", *names), lines)


def _share(row: Row) -> str:
    return str(Share(row["flash_share"], row["ram_share"]))


def _trained(row: Row) -> str:
    return _starred(row, spread(row["trained_percent"]))


def _untrained(row: Row) -> str:
    percent = row["untrained_percent"]
    return _starred(row, "" if percent is None else f"{percent:.2f}")


def _starred(row: Row, text: str) -> str:
    return text if row["is_integer_only"] or not text else f"{text} \\*"


def _taken(row: Row) -> str:
    over = " (over)" if row["flash_bytes"] > row["flash_budget_bytes"] else ""
    return f"{row['flash_bytes']:,.0f}{over}, {row['objective']:.3g}"
