"""Text output of the example pipeline: the progress of a job, and its result as tables."""

from __future__ import annotations

import sys
from typing import Any

REGIONS = ("flash", "ram")


class ProgressLine:
    """Progress output of a job: one line that is overwritten on a terminal; in a log, one line per epoch and phase."""

    def __init__(self) -> None:
        self._on_terminal = sys.stdout.isatty()
        self._stage: object = None

    def show(self, progress: dict[str, Any] | None) -> None:
        if progress is None:
            return
        stage = progress["epoch"] or progress["phase"]
        if self._on_terminal:
            print(f"\r\x1b[Krunning     {describe(progress)}", end="", flush=True)
        elif stage != self._stage:
            print(f"running     {describe(progress)}", flush=True)
        self._stage = stage

    def end(self) -> None:
        if self._on_terminal and self._stage:
            print()


def describe(progress: dict[str, Any]) -> str:
    """Return progress as text, such as 'training, epoch 3 of 10, loss 0.112, validated 98.6 %, 4 s left'."""
    parts = [progress["phase"]]
    if progress["epoch"]:
        parts.append(f"epoch {progress['epoch']} of {progress['epochs']}")
    if progress["loss"] is not None:
        parts.append(f"loss {progress['loss']:.3f}")
    if progress["validation_quality"] is not None:
        metric = progress["validation_metric"].replace("_", " ")
        parts.append(f"validated {metric} {progress['validation_quality']:.2f}")
    if progress["seconds_left"] is not None:
        parts.append(f"{progress['seconds_left']:.0f} s left")
    return ", ".join(parts)


def layer_table(network: dict[str, Any], result: dict[str, Any]) -> str:
    """Return a text table of bits, flash and RAM of each layer that needs flash, and of shared memory."""
    outputs = {layer["name"]: layer["output"] for layer in network["layers"]}
    steps = {step["layer"]: step for step in result["memory"]["steps"]}
    activation_bits = result["activation_bits"]
    rows = [("layer", "weight bits", "output bits", "flash bytes", "RAM bytes")]
    rows.append(("(input)", "", str(activation_bits[network["input"]]), "", ""))
    for layer in result["memory"]["layers"]:
        name = layer["layer"]
        bits = ("" if layer["weight_bits"] is None else str(layer["weight_bits"]), str(activation_bits[outputs[name]]))
        rows.append((name, *bits, f"{layer['flash_bytes']:,}", f"{steps[name]['ram_bytes']:,}"))
    memory = result["memory"]
    shared = {
        region: sum(each["size_bytes"] for each in memory["shared"] if each["region"] == region) for region in REGIONS
    }
    rows.append(("code, stack, ...", "", "", f"{shared['flash']:,}", f"{shared['ram']:,}"))
    rows.append(("sum, and peak", "", "", f"{memory['flash_bytes']:,}", f"{memory['ram_bytes']:,}"))
    return "\n".join((f"{name:<20}" + "".join(f"{cell:>13}" for cell in cells)).rstrip() for name, *cells in rows)


def quality_table(result: dict[str, Any]) -> str:
    """Return a text table of the quality of the float, the fake-quantized and the integer-only network.

    A dataset without a test set has none.
    """
    quality = result["quality"]
    if quality is None:
        return "quality was not measured: the dataset has no test set"
    names = ("float", "fake-quantized", "integer-only")
    figures = [quality[name.replace("-", "_")] for name in names]
    unit = {"percent": " %", "dB": " dB"}.get(quality["unit"], "")
    heads = "".join(f"{name:>16}" for name in names)
    cells = "".join(f"{'-' if figure is None else f'{figure:.2f}{unit}':>16}" for figure in figures)
    title = f"{quality['metric'].replace('_', ' ')}, test set"
    return f"{'':<20}{heads}\n{title:<20}{cells}"
