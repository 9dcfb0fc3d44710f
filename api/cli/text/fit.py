"""Answers as text for a terminal. Plain string formatting: a table library would cost more time than the fit."""

from __future__ import annotations

from pathlib import Path

from api.cli.text.columns import aligned, bar
from api.schemas.answer import format_bytes
from api.schemas.fit import FitAnswer
from api.schemas.reports import TrainAnswer
from qat.training.label_source import LabelSource


def fit_text(answer: FitAnswer) -> str:
    """The verdict, and above it what leads there: bits and bytes by layer, and both totals."""
    on = "" if answer.device is None else f" on {answer.device}"
    lines = [f"{answer.network.name}{on}: {answer.method}, {answer.accounting} accounting", ""]
    if answer.fits:
        lines += [*_layer_table(answer), ""]
    if answer.memory.shared:
        lines += [*_shared_table(answer), ""]
    lines += [*_totals(answer), *_order(answer), *_latency(answer), *_objective(answer)]
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
            "accuracy on the test set"
            if answer.measured_against is LabelSource.LABELS
            else "agreement with the float network on the test set, which has no labels",
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
        rows.append([*row, bar(step.ram_bytes, answer.budget.ram_bytes) + peak])
    return aligned(rows)


def _shared_table(answer: FitAnswer) -> list[str]:
    """What is taken once; `~` marks what cannot be known before linking."""
    rows = [["shared", "", "bytes"]]
    for each in answer.memory.shared:
        about = "~" if each.is_estimate else ""
        rows.append([each.part, each.region, f"{about}{each.size_bytes:,}"])
    return aligned(rows)


def _objective(answer: FitAnswer) -> list[str]:
    """How good the bits are, by the measure that was asked for."""
    if answer.objective is None:
        return []
    proof = ""
    if answer.gap is not None:
        proof = ", proven the least" if answer.gap == 0 else f", at most {answer.gap:.2%} above the least"
    lines = [f"summed sensitivity ({answer.sensitivity}) {answer.objective:.6g}{proof}"]
    if answer.shadow_prices is not None:
        prices = answer.shadow_prices
        lines.append(f"one more kB of flash would take off {prices.flash:.4g}, one more kB of RAM {prices.ram:.4g}")
    return lines


def _order(answer: FitAnswer) -> list[str]:
    """What another order of the layers saves, if it does."""
    given = answer.given_order_ram_bytes
    if given is None or given <= answer.memory.ram_bytes:
        return []
    taken = format_bytes(given)
    return [f"the layers run in another order than the file's, in which these bits would take {taken} bytes of RAM"]


def _latency(answer: FitAnswer) -> list[str]:
    latency = answer.latency
    if latency is None:
        return []
    time = "" if latency.milliseconds is None else f", {latency.milliseconds:,.1f} ms at the device's clock"
    return [f"latency  ~{latency.cycles:,} cycles of {latency.core}{time}"]


def _totals(answer: FitAnswer) -> list[str]:
    totals = (
        ("flash", answer.memory.flash_bytes, answer.budget.flash_bytes, ""),
        ("RAM", answer.memory.ram_bytes, answer.budget.ram_bytes, f"  peak at {answer.memory.peak_layer}"),
    )
    at = "" if answer.fits else " at 2 bits"
    return aligned(
        [
            [
                f"{what}{at}",
                format_bytes(taken),
                f"of {budget:,} bytes",
                f"({taken / budget:.1%})",
                bar(taken, budget) + where,
            ]
            for what, taken, budget, where in totals
        ]
    )
