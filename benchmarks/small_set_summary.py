"""Summary of the accuracy benchmark on several small sets: what the defaults lose in each cell, and on average.

    python -m benchmarks.small_set_summary resnet8_300.json dscnn_150.json ...

Each file is the output of `python -m benchmarks.accuracy --samples N --json`. A cell is a network, a small set and a
budget. It is left out where the defaults or the grid were not measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import click

from benchmarks.markdown import markdown
from benchmarks.shares import Share
from benchmarks.small_set_tables import MOST_POINTS_BELOW, STANDARD_ERRORS
from benchmarks.small_sets import DEFAULTS, GRID, POST_TRAINING

Row = Mapping[str, Any]
_UNKNOWN: Final = "not measured"


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the defaults are from another training.

    Attributes:
        points: Accuracy of the defaults minus that of the other, in percentage points.
        doubtful: Two standard errors of the difference, in percentage points.
    """

    points: float
    doubtful: float

    @property
    def is_below(self) -> bool:
        """Whether the defaults are below by more than two standard errors."""
        return -self.points > self.doubtful

    def __str__(self) -> str:
        return f"{self.points:+.2f} (two standard errors: {self.doubtful:.2f})"


@dataclass(frozen=True, slots=True)
class Cell:
    """A network, a small set and a budget, in which the defaults and at least one of the grid were measured.

    Attributes:
        name: The network, its number of samples and the budget.
        best: The name of the best of the grid, by the test set.
        grid_measured: Number of the grid's trainings that were measured.
        to_grid: The difference from the best of the grid.
        to_post_training: The difference from post-training alone; None if it was not measured.
        most_seconds: The longest of the default trainings, in seconds.
    """

    name: str
    best: str
    grid_measured: int
    to_grid: Difference
    to_post_training: Difference | None
    most_seconds: float


def cells_of(result: Mapping[str, Any]) -> Iterator[Cell]:
    """Yield the cells of one output of the benchmark."""
    measured = [row for row in result["rows"] if row["percent"]]
    for share in dict.fromkeys((row["flash_share"], row["ram_share"]) for row in measured):
        rows = {row["name"]: row for row in measured if (row["flash_share"], row["ram_share"]) == share}
        by_hand = [row for name, row in rows.items() if name in GRID]
        defaults = rows.get(DEFAULTS)
        if defaults is None or not by_hand:
            continue
        best = max(by_hand, key=_mean)
        unlabelled = rows.get(POST_TRAINING)
        yield Cell(
            f"{result['network']}, {result['train_images']:,}, {Share(*share)}",
            best["name"],
            len(by_hand),
            _difference(defaults, best),
            None if unlabelled is None else _difference(defaults, unlabelled),
            max(defaults["seconds"]),
        )


def summary(cells: Sequence[Cell]) -> str:
    """Return a Markdown table of all cells, and lines that compare them with the goals of the defaults."""
    table = markdown(
        ("network, samples, budget", "best of the grid", "against it", "against post-training", "seconds at most"),
        [
            (
                cell.name,
                f"{cell.best} (of {cell.grid_measured})",
                f"{cell.to_grid}",
                _UNKNOWN if cell.to_post_training is None else f"{cell.to_post_training}",
                f"{cell.most_seconds:.0f}",
            )
            for cell in cells
        ],
    )
    worst = min(cells, key=lambda cell: cell.to_grid.points)
    mean = fmean(cell.to_grid.points for cell in cells)
    below = [cell.name for cell in cells if cell.to_post_training is not None and cell.to_post_training.is_below]
    goal, farthest = -MOST_POINTS_BELOW, -2 * MOST_POINTS_BELOW
    lines = (
        f"mean against the best of the grid: {mean:+.2f} points; the goal is at least {goal:g}",
        f"worst cell: {worst.name}, {worst.to_grid.points:+.2f} points; the goal is at least {farthest:g}",
        f"below post-training alone by more than two standard errors: {'; '.join(below) or 'no cell'}",
    )
    return "\n\n".join((table, "\n".join(f"- {line}" for line in lines)))


def _difference(defaults: Row, other: Row) -> Difference:
    doubtful = STANDARD_ERRORS * hypot(defaults["standard_error"], other["standard_error"])
    return Difference(_mean(defaults) - _mean(other), doubtful)


def _mean(row: Row) -> float:
    return fmean(row["percent"])


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(*, files: tuple[Path, ...]) -> None:
    """Summarize outputs of the accuracy benchmark on small sets."""
    cells = [cell for file in files for cell in cells_of(json.loads(file.read_text()))]
    if not cells:
        raise click.ClickException("no cell has both the defaults and one of the grid; expected outputs of --samples")
    click.echo(summary(cells))


if __name__ == "__main__":
    main()
