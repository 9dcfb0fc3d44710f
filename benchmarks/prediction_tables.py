"""Markdown tables of the benchmark `prediction`: rank correlation and seconds of each sensitivity measure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any, Final

from benchmarks.allocation_losses import Stage
from benchmarks.markdown import markdown
from benchmarks.rank_correlation import FEWEST, Correlation, Resampled
from benchmarks.shares import Share
from qat.options.sensitivity import SensitivityOptions

DEFAULT_MEASURE: Final = str(SensitivityOptions().measure)
"""The measure with which the others are compared."""


def prediction_tables(result: Mapping[str, Any]) -> str:
    """Return Markdown tables of the measured losses, of each measure's rank correlation, and of its gain."""
    rows = result["rows"]
    names = list(rows[0]["sums"])
    known = {stage: [row for row in rows if row["losses"][stage] is not None] for stage in Stage}
    stages = [stage for stage in Stage if len(known[stage]) >= FEWEST]
    columns: dict[str, dict[str, Correlation]] = {}
    gains: dict[str, dict[str, Correlation]] = {}
    for stage in stages:
        resampled = Resampled([_budget_of(row) for row in known[stage]], [row["losses"][stage] for row in known[stage]])
        sums = {name: [row["sums"][name] for row in known[stage]] for name in names}
        columns[f"{stage}, all"] = {name: resampled.overall(sums[name]) for name in names}
        columns[f"{stage}, within budgets"] = {name: resampled.within(sums[name]) for name in names}
        gains[stage] = {name: resampled.gain_within(sums[name], sums[DEFAULT_MEASURE]) for name in names}
    head = (
        f"{result['network']}: {len(rows)} allocations ({result['accounting']}), {result['train_samples']:,} training "
        f"and {result['test_samples']:,} test samples, {result['rounding_steps']} rounding steps a block, float "
        f"{result['float_loss']:.3f} nats, {result['float_percent']:.2f} %"
    )
    seconds = {name: _seconds_text(result["seconds"].get(name)) for name in names}
    others = [name for name in names if name != DEFAULT_MEASURE]
    return "\n\n".join(
        (
            head,
            "Losses, nats, least, median and most:",
            _losses_table(known, stages),
            "Rank correlation of sums with losses:",
            markdown(
                ("measure", "seconds", *columns),
                [[name, seconds[name], *(_text(columns[each][name]) for each in columns)] for name in names],
            ),
            "Loss of the bits with the least sum, minus the least loss, nats, mean over the budgets:",
            markdown(
                ("measure", *stages),
                [[name, *(f"{_excess(known[stage], name, stage):.3f}" for stage in stages)] for name in names],
            ),
            f"Rank correlation within budgets, minus that of {DEFAULT_MEASURE}:",
            markdown(
                ("measure", *gains),
                [[name, *(_text(gains[each][name], sign="+") for each in gains)] for name in others],
            ),
        )
    )


def _excess(rows: Sequence[Mapping[str, Any]], name: str, stage: Stage) -> float:
    """Return how much is lost by choosing the bits with a measure's least sum, in the mean over the budgets."""
    excesses = []
    for budget in dict.fromkeys(map(_budget_of, rows)):
        own = [row for row in rows if _budget_of(row) == budget]
        chosen = min(own, key=lambda row: float(row["sums"][name]))
        excesses.append(chosen["losses"][stage] - min(row["losses"][stage] for row in own))
    return fmean(excesses)


def _budget_of(row: Mapping[str, Any]) -> Share:
    return Share(row["flash_share"], row["ram_share"])


def _losses_table(known: Mapping[Stage, Sequence[Mapping[str, Any]]], stages: Sequence[Stage]) -> str:
    budgets = dict.fromkeys(map(_budget_of, known[Stage.CALIBRATED]))
    lines = []
    for share in budgets:
        cells = []
        for stage in stages:
            losses = [row["losses"][stage] for row in known[stage] if _budget_of(row) == share]
            cells.append(
                f"{min(losses):.3f}, {median(losses):.3f}, {max(losses):.3f} ({len(losses)})" if losses else ""
            )
        lines.append([str(share), *cells])
    return markdown(("budget", *(f"{stage} (number)" for stage in stages)), lines)


def _text(given: Correlation, sign: str = "") -> str:
    if math.isnan(given.value):
        return ""
    return f"{given.value:{sign}.2f} ({given.low:{sign}.2f}..{given.high:{sign}.2f})"


def _seconds_text(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3g}"
