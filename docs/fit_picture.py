"""Draw the picture of README.md: the memory of MobileNetV1 before and after a fit. `python docs/fit_picture.py`.

The figures are those of `fit` for `examples/mobilenet_v1.json` with 2 MB of flash and 512 kB of RAM. The same figures
give the same SVG, which has no date and fixed identifiers. Labels are stored as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from matplotlib.typing import RcKeyType

from network.allocation import DEFAULT_WEIGHT_SCHEME, Bits
from network.budget import MAX_BUDGET_BYTES, Budget
from network.reading import read_network
from network.sensitivity.from_weights import weight_sensitivity
from solver.fit import fit
from solver.options import ALL_OTHERS, SolveOptions
from solver.question import Question
from solver.solution import Solution

PICTURE: Final = Path(__file__).parent / "fit.svg"
NETWORK_FILE: Final = Path(__file__).parents[1] / "examples" / "mobilenet_v1.json"
BUDGET: Final = Budget(flash_bytes=2_000_000, ram_bytes=512_000)

COLOURS: Final[dict[Bits, str]] = {8: "#08519c", 4: "#4292c6", 2: "#a6cee3"}
"""Colour of a bar by the bits of its tensor."""

GREY: Final = "#d9d9d9"
RED: Final = "#c0392b"
SETTINGS: Final[dict[RcKeyType, Any]] = {
    "svg.hashsalt": "bitbudget",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 11,
}


def solutions() -> tuple[Solution, Solution]:
    """Return two solutions for MobileNetV1: 8 bits everywhere without a budget, and the optimal bits under `BUDGET`."""
    network = read_network(NETWORK_FILE.read_bytes(), NETWORK_FILE.stem)
    table = weight_sensitivity(network, DEFAULT_WEIGHT_SCHEME)
    no_budget = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
    only_8 = SolveOptions(allowed_weight_bits={ALL_OTHERS: [8]}, allowed_activation_bits={ALL_OTHERS: [8]})
    return (
        fit(Question(network=network, budget=no_budget, sensitivity=table, options=only_8)),
        fit(Question(network=network, budget=BUDGET, sensitivity=table)),
    )


def draw(before: Solution, after: Solution, path: Path) -> None:
    """Draw the RAM and flash of two solutions of one network as bar charts, and write an SVG file.

    Args:
        before: The solution with 8 bits everywhere; grey bars.
        after: The solution under `BUDGET`; bars in the colours of their bits.
        path: The SVG file to write or replace.
    """
    allocation = after.allocation
    assert allocation is not None  # noqa: S101  # the network fits the budget
    outputs = {layer.name: layer.output for layer in after.network.layers}
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(11, 4.2), layout="constrained")
        ram, flash = figure.subplots(1, 2)
        _bars(
            ram,
            f"RAM by step: peak {before.memory.ram_bytes:,.0f} → {after.memory.ram_bytes:,.0f} bytes",
            [step.ram_bytes for step in before.memory.steps],
            [step.ram_bytes for step in after.memory.steps],
            [allocation.activation_bits[outputs[step.layer]] for step in after.memory.steps],
        )
        ram.axhline(BUDGET.ram_bytes, color=RED, linewidth=1.2, linestyle="--")
        ram.annotate(
            f"budget: {BUDGET.ram_bytes:,} bytes", (1, BUDGET.ram_bytes), xycoords=("axes fraction", "data"),
            xytext=(-2, 4), textcoords="offset points", color=RED, ha="right", fontsize=10,
        )  # fmt: skip
        _bars(
            flash,
            f"Flash by layer: sum {before.memory.flash_bytes:,.0f} → {after.memory.flash_bytes:,.0f} bytes",
            [layer.flash_bytes for layer in before.memory.layers],
            [layer.flash_bytes for layer in after.memory.layers],
            [allocation.weight_bits.get(layer.layer, 8) for layer in after.memory.layers],
        )
        flash.annotate(
            f"budget of the sum: {BUDGET.flash_bytes:,} bytes", (0.02, 0.92), xycoords="axes fraction", color=RED,
            fontsize=10,
        )  # fmt: skip
        handles = [Patch(color=GREY, label="8 bits everywhere")]
        handles += [Patch(color=colour, label=f"chosen: {bits} bits") for bits, colour in COLOURS.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None)


def _bars(axes: Axes, title: str, before: Sequence[float], after: Sequence[float], bits: Sequence[Bits]) -> None:
    """Draw one bar of bytes for each layer, in front of a grey bar with the bytes at 8 bits."""
    places = range(len(before))
    axes.bar(places, before, width=0.9, color=GREY)
    axes.bar(places, after, width=0.6, color=[COLOURS[each] for each in bits])
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("layers, in the order in which they run")
    axes.set_xticks([])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:,.0f} kB"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)


def main() -> None:
    """Write the picture of README.md."""
    draw(*solutions(), PICTURE)


if __name__ == "__main__":
    main()
