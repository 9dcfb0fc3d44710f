"""Plot of the solver benchmark: seconds over number of layers, with one line for each solver.

    python -m benchmarks.solver --json > rows.json
    python -m benchmarks.plot_solver rows.json solver.svg        # draw recorded results

The same rows give the same SVG, byte for byte: it has no date and fixed identifiers. Labels are stored as text.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.typing import RcKeyType

from benchmarks.solver_rows import FORMS, GROWTH_FROM_LAYERS, NATIVE, PROVEN_GAP, Row, growth, rows_of

STYLES: Final = {
    NATIVE: ("#0072b2", "o", "native"),
    "HiGHS": ("#d55e00", "s", "HiGHS (scipy)"),
    "CBC": ("#009e73", "^", "CBC (PuLP)"),
}
"""Colour, marker and label of each solver: colours for colour-blind readers, and different shapes for print."""

TITLES: Final = {"chain": "Chains", "residual": "Residual graphs"}
GREY: Final = "#666666"
UNPROVEN: Final = "hollow marker: not proven within the time limit"
SETTINGS: Final[dict[RcKeyType, Any]] = {
    "svg.hashsalt": "bitbudget",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
}


def draw(rows: list[Row], peer_limit_seconds: float, path: Path) -> None:
    """Draw the plot of the solver benchmark into a file, in the format that the file name's suffix names.

    Args:
        rows: The measured rows.
        peer_limit_seconds: The time limit of the peers in seconds.
        path: The file to write or replace.

    Raises:
        ValueError: if matplotlib does not know the suffix.
    """
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(11, 5), layout="constrained")
        panels = figure.subplots(1, len(FORMS), sharex=True, sharey=True, squeeze=False)[0]
        for axes, form in zip(panels, FORMS, strict=True):
            _panel(axes, form, [row for row in rows if row.form == form], peer_limit_seconds)
        panels[0].set_ylabel("time to solve (seconds)")
        figure.legend(
            handles=_legend({row.solver for row in rows}),
            loc="outside upper center",
            ncols=5,
            frameon=False,
            fontsize=10,
        )
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _panel(axes: Axes, form: str, rows: list[Row], peer_limit_seconds: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_title(TITLES[form], loc="left", fontweight="bold")
    axes.set_xlabel("layers")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12, y=0.12)
    axes.axhline(peer_limit_seconds, color=GREY, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.annotate(
        f"time limit of HiGHS and CBC: {peer_limit_seconds:g} s", (0.0, peer_limit_seconds),
        xycoords=("axes fraction", "data"), xytext=(4, 4), textcoords="offset points", color=GREY, fontsize=9,
    )  # fmt: skip
    for solver, (colour, marker, _) in STYLES.items():
        _line(axes, [row for row in rows if row.solver == solver], colour, marker)
    _reference(axes, rows, growth(rows, form))


def _line(axes: Axes, rows: list[Row], colour: str, marker: str) -> None:
    if not rows:
        return
    layers, seconds = [row.layers for row in rows], [row.seconds for row in rows]
    faces = [colour if row.gap <= PROVEN_GAP else "white" for row in rows]
    axes.plot(layers, seconds, color=colour, linewidth=1.8, zorder=2)
    axes.scatter(layers, seconds, marker=marker, s=42, facecolors=faces, edgecolors=colour, linewidths=1.5, zorder=3)


def _legend(solvers: set[str]) -> list[Line2D]:
    marks = [
        Line2D([], [], color=colour, marker=marker, markersize=7, linewidth=1.8, label=label)
        for solver, (colour, marker, label) in STYLES.items()
        if solver in solvers
    ]
    return [
        *marks,
        Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linewidth=0, label=UNPROVEN),
        Line2D([], [], color=GREY, linestyle="--", linewidth=1.2, label="proportional to layers"),
    ]


def _reference(axes: Axes, rows: list[Row], exponent: float | None) -> None:
    """Draw a line of linear growth below the line of the solver `native`, and label the latter with its exponent."""
    native = [row for row in rows if row.solver == NATIVE and row.layers >= GROWTH_FROM_LAYERS]
    if exponent is None:
        return
    first, last = native[0], native[-1]
    below = min(row.seconds / row.layers for row in native) / 2.5
    ends = [first.layers, last.layers]
    axes.plot(ends, [below * layers for layers in ends], color=GREY, linewidth=1.2, linestyle="--")
    middle = native[len(native) // 2]
    axes.annotate(
        f"layers$^{{{exponent:.2f}}}$", (middle.layers, middle.seconds), xytext=(-8, 8), textcoords="offset points",
        color=STYLES[NATIVE][0], ha="right",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path, help="file with the output of `python -m benchmarks.solver --json`")
    parser.add_argument("plot", type=Path, help="the file to write: SVG (or PNG, PDF)")
    options = parser.parse_args()
    given = json.loads(options.rows.read_text())
    draw(rows_of(given), given["peer_limit_seconds"], options.plot)


if __name__ == "__main__":
    main()
