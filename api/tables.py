"""Answers as text for a terminal. Plain string formatting: a table library would cost more time than the fit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api.answers import FitAnswer, format_bytes
from api.reports import TrainAnswer

_BAR_CELLS: Final = 20
_RIGHT_ALIGNED: Final = frozenset({"weight bits", "output bits", "flash bytes", "RAM bytes", "bytes"})


def fit_text(answer: FitAnswer) -> str:
    """The verdict, and above it what leads there: bits and bytes by layer, and both totals."""
    lines = [f"{answer.network.name}: {answer.method}, {answer.accounting} accounting", ""]
    if answer.fits:
        lines += [*_layer_table(answer), ""]
    if answer.memory.shared:
        lines += [*_shared_table(answer), ""]
    lines += [*_totals(answer), *_objective(answer)]
    if answer.certificate is None:
        lines.append("FITS")
    else:
        lines.append(f"DOES NOT FIT: {answer.certificate.sentence}")
    return "\n".join(lines)


def training_text(answer: TrainAnswer, directory: Path) -> str:
    """The same, with the three accuracies side by side and the files."""
    accuracy = answer.accuracy
    return "\n".join(
        (
            fit_text(answer),
            "",
            "accuracy on the test set",
            f"  float           {accuracy.float_:.2f} %",
            f"  fake-quantized  {accuracy.fake_quantized:.2f} %",
            f"  integer-only    {accuracy.integer_only:.2f} %",
            "",
            f"files in {directory}",
            *(f"  {each.name}  {each.size_bytes:,} bytes" for each in answer.artifacts),
        )
    )


def _layer_table(answer: FitAnswer) -> list[str]:
    """A row for each step; layers without weights take no flash."""
    flash = {layer.layer: layer for layer in answer.memory.layers}
    header = ["layer", "kind", "weight bits", "output bits", "scheme", "flash bytes", "RAM bytes", ""]
    rows = [header]
    for step in answer.memory.steps:
        layer = flash.get(step.layer)
        row = [step.layer, "", "", str(answer.activation_bits[step.output]), "", "", format_bytes(step.ram_bytes)]
        if layer is not None:
            row[1] = layer.kind
            row[5] = format_bytes(layer.flash_bytes)
            if layer.weight_bits is not None:
                row[2] = str(layer.weight_bits)
                row[4] = f"{answer.schemes[step.layer]} {answer.foldings[step.layer]}"
        peak = " peak" if step.layer == answer.memory.peak_layer else ""
        rows.append([*row, _bar(step.ram_bytes, answer.budget.ram_bytes) + peak])
    return _aligned(rows)


def _shared_table(answer: FitAnswer) -> list[str]:
    """What is taken once; `~` marks what cannot be known before linking."""
    rows = [["shared", "", "bytes"]]
    for each in answer.memory.shared:
        about = "~" if each.is_estimate else ""
        rows.append([each.part, each.region, f"{about}{each.size_bytes:,}"])
    return _aligned(rows)


def _objective(answer: FitAnswer) -> list[str]:
    """How good the bits are, by the measure that was asked for."""
    if answer.objective is None:
        return []
    proof = ""
    if answer.gap is not None:
        proof = ", proven the least" if answer.gap == 0 else f", at most {answer.gap:.2%} above the least"
    return [f"summed sensitivity ({answer.sensitivity}) {answer.objective:.6g}{proof}"]


def _totals(answer: FitAnswer) -> list[str]:
    totals = (
        ("flash", answer.memory.flash_bytes, answer.budget.flash_bytes, ""),
        ("RAM", answer.memory.ram_bytes, answer.budget.ram_bytes, f"  peak at {answer.memory.peak_layer}"),
    )
    at = "" if answer.fits else " at 2 bits"
    return _aligned(
        [
            [
                f"{what}{at}",
                format_bytes(taken),
                f"of {budget:,} bytes",
                f"({taken / budget:.1%})",
                _bar(taken, budget) + where,
            ]
            for what, taken, budget, where in totals
        ]
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = [name in _RIGHT_ALIGNED or _is_figure(rows, column) for column, name in enumerate(rows[0])]
    return [
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _is_figure(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(row[column][:1].isdigit() for row in rows)


def _bar(taken: float, budget: int) -> str:
    """'█████···············' for a quarter; full where the budget is reached or exceeded."""
    full, empty = _bar_cells()
    cells = min(round(_BAR_CELLS * taken / budget), _BAR_CELLS)
    return full * cells + empty * (_BAR_CELLS - cells)


def _bar_cells() -> tuple[str, str]:
    try:
        "█·".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return "#", "."
    return "█", "·"
