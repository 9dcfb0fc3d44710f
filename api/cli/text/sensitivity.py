"""A sensitivity table as text for a terminal."""

from __future__ import annotations

from pathlib import Path

from api.cli.text.columns import aligned, bar
from api.schemas.reports import SensitivityReport
from network.allocation import BITS


def sensitivity_text(answer: SensitivityReport, out: Path | None) -> str:
    """A row for each tensor; the bar is its figure at 4 bits."""
    lines = [
        f"{answer.network.name}: {answer.sensitivity} on {answer.samples:,} samples in {answer.seconds:.1f} s",
        "the estimated rise of the loss when this tensor alone gets so few bits",
        "",
    ]
    for what, table in (("weights of", answer.weights), ("activations", answer.activations)):
        most = max((row["4"] for row in table.values()), default=0.0) or 1.0
        rows = [[what, *(f"{bits} bits" for bits in BITS), ""]]
        rows += [
            [name, *(f"{row[str(bits)]:.3g}" for bits in BITS), bar(row["4"], most)] for name, row in table.items()
        ]
        lines += [*aligned(rows), ""]
    if out is not None:
        lines.append(f"table written to {out}")
    return "\n".join(lines).rstrip()
