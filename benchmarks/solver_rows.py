"""Result rows of the solver benchmark, their JSON form, and the conclusions from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

FORMS: Final = ("chain", "residual")
NATIVE: Final = "native"
GROWTH_FROM_LAYERS: Final = 1000
"""Smallest number of layers for the growth: below it, a part of the time does not depend on the size."""
PROVEN_GAP: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Row:
    """Result of one solver on one instance of the solver benchmark.

    Attributes:
        form: The form of the graph, "chain" or "residual".
        layers: Number of layers.
        solver: The name of the solver.
        seconds: Time to the answer in seconds.
        objective: The summed cost of the answer; infinite if no solution was found.
        gap: The largest possible difference of the objective from the optimum, relative to the optimum; infinite if
            nothing is proven.
    """

    form: str
    layers: int
    solver: str
    seconds: float
    objective: float
    gap: float


def growth(rows: list[Row], form: str) -> float | None:
    """Fit the exponent p in seconds ~ layers^p of the solver `native` from 1,000 layers on; None for one size or none.

    The exponent is the slope of the line through the logarithms.
    """
    points = [
        (math.log(row.layers), math.log(row.seconds))
        for row in rows
        if (row.form, row.solver) == (form, NATIVE) and row.layers >= GROWTH_FROM_LAYERS
    ]
    return statistics.linear_regression(*zip(*points, strict=True)).slope if len(points) > 1 else None


def conclusions(rows: list[Row]) -> Iterator[str]:
    """Yield lines of text with the targets of the solver `native` and the measured values."""
    seconds = {(row.form, row.solver, row.layers): row.seconds for row in rows}
    for form in FORMS:
        cbc = seconds.get((form, "CBC", 3000))
        if cbc is not None:
            times = cbc / seconds[form, NATIVE, 3000]
            yield f"{form}, 3,000 layers: {times:,.0f} times as fast as CBC; the target is at least 50"
        if (form, NATIVE, 10_000) in seconds:
            taken = seconds[form, NATIVE, 10_000]
            yield f"{form}, 10,000 layers: {taken:.3f} s; the target is less than 1 s"
        exponent = growth(rows, form)
        if exponent is not None:
            yield f"{form}: time grows with layers^{exponent:.2f} from {GROWTH_FROM_LAYERS:,} layers on"
    gap = max(row.gap for row in rows if row.solver == NATIVE)
    yield f"largest gap of native: {gap:.1e}; the target is at most 1e-4"


def table(rows: list[Row]) -> str:
    """Return a Markdown table of the solvers' times in seconds, by size and form of the graph."""
    columns = list(dict.fromkeys((row.form, row.solver) for row in rows))
    found = {(row.form, row.solver, row.layers): row for row in rows}
    lines = [["layers", *(f"{form}: {solver}" for form, solver in columns)], ["---"] * (1 + len(columns))]
    for layers in dict.fromkeys(row.layers for row in rows):
        cells = (found.get((*column, layers)) for column in columns)
        lines.append([f"{layers:,}", *("" if row is None else _cell(row) for row in cells)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(row: Row) -> str:
    seconds = f"{row.seconds:.2g}" if row.seconds < 10 else f"{row.seconds:.0f}"
    if row.gap <= PROVEN_GAP:
        return seconds
    status = "nothing found" if row.objective == math.inf else "not proven"
    return f"{seconds}, {status if row.gap == math.inf else f'gap {row.gap:.0%}'}"


def document(rows: list[Row], peer_limit_seconds: float) -> dict[str, Any]:
    """Return the solver benchmark's results as JSON, with null for infinite numbers."""
    return {
        "rows": [{what: None if value == math.inf else value for what, value in asdict(row).items()} for row in rows],
        "growth_exponents": {form: growth(rows, form) for form in FORMS},
        "peer_limit_seconds": peer_limit_seconds,
    }


def rows_of(given: dict[str, Any]) -> list[Row]:
    """Parse the result rows of the solver benchmark from the JSON object that `document` returns."""
    infinite = {"objective": math.inf, "gap": math.inf}
    return [
        Row(**infinite | {what: value for what, value in row.items() if value is not None}) for row in given["rows"]
    ]
