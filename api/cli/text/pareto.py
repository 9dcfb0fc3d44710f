"""A Pareto front as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from api.cli.text.columns import aligned, bar
from api.schemas.answer import format_bytes
from api.schemas.pareto import ParetoAnswer
from network.allocation import BITS


def pareto_text(answer: ParetoAnswer) -> str:
    """A row for each point of the front, with the objective as a bar."""
    lines = [f"{answer.network.name}: {answer.accounting} accounting, {answer.sensitivity}", ""]
    if not answer.points:
        return "\n".join([*lines, "NOTHING FITS: the budget that is not varied is too small; fit says what is missing"])
    most = max(point.objective for point in answer.points) or 1.0
    rows = [["flash bytes", "RAM bytes", "objective", "", "proven", "weights", "activations"]]
    for point in answer.points:
        proof = "yes" if point.gap == 0 else f"within {point.gap:.2%}"
        rows.append(
            [
                format_bytes(point.flash_bytes),
                format_bytes(point.ram_bytes),
                f"{point.objective:.4g}",
                bar(point.objective, most),
                proof,
                _histogram(point.weight_bits.values()),
                _histogram(point.activation_bits.values()),
            ]
        )
    lines += aligned(rows)
    if not answer.is_complete:
        lines += ["", "the time ended before all budgets were solved: more points, or smaller ones, may be missing"]
    return "\n".join(lines)


def _histogram(bits: Iterable[int]) -> str:
    """How many tensors have 8, 4 and 2 bits: '12x8 3x4 1x2'."""
    given = list(bits)
    return " ".join(f"{given.count(each)}x{each}" for each in BITS if each in given)
