"""A table of quantization sensitivities as text, for the command line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from api.cli.text.columns import Rows, bar, bars, figures, words
from api.schemas.reports import SensitivityReport
from network.allocation import BITS


def sensitivity_text(answer: SensitivityReport, out: Path | None) -> RenderableType:
    """Return the sensitivities of weights and of activations as two text tables, with one row for each tensor.

    Args:
        answer: The sensitivities.
        out: File to which they were written; None without one.
    """
    parts: list[RenderableType] = [
        Text(f"{answer.network.name}: {answer.sensitivity} on {answer.samples:,} samples in {answer.seconds:.1f} s"),
        Text("estimated increase of the loss if this tensor alone gets these bits\n"),
    ]
    for index, (what, tensors) in enumerate((("weights of", answer.weights), ("activations", answer.activations))):
        most = max((row["4"] for row in tensors.values()), default=0.0) or 1.0
        rows = Rows(words(what), *(figures(f"{bits} bits") for bits in BITS), bars())
        for name, row in tensors.items():
            rows.add(name, *(f"{row[str(bits)]:.3g}" for bits in BITS), bar(row["4"], most))
        parts += [Text(), rows] if index else [rows]
    if not any(figure for row in (*answer.weights.values(), *answer.activations.values()) for figure in row.values()):
        parts.append(Text("\nevery sensitivity is 0: the measure does not distinguish any bits, and proves nothing"))
    if out is not None:
        parts.append(Text(f"\ntable written to {out}"))
    return Group(*parts)
