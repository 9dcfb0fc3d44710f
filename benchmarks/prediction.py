"""Benchmark of how well sensitivities predict: rank correlation of their sums with measured integer-only losses.

    python -m benchmarks.prediction [--network NAME] [--allocations N] [--samples N] [--trained N] [--pairs N] [--json]
    python -m benchmarks.prediction --table FILE # show the output of --json as tables, without measuring

Varied bits (`drawn_bits.py`) are drawn under three budgets of flash and RAM. For each, every measure has a sum, and the
integer-only network has a loss: the cross-entropy on test samples in the interpreter, after calibration alone, after
post-training with few rounding steps, and for some bits after the default training. A measure predicts well if its sums
order the bits as their losses do. `--keep` and `--kept-only` work as in `benchmarks.accuracy`; the data is in
`../shared`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click
import numpy as np
import torch

from benchmarks.allocation_losses import Measured, Measurement, Stage, float_loss_and_percent
from benchmarks.drawn_bits import Drawn, drawn_bits
from benchmarks.kept import KeptMeasurements
from benchmarks.narration import Narration
from benchmarks.pair_terms import pair_predictions
from benchmarks.prediction_tables import prediction_tables
from benchmarks.run_options import json_option, keep_option, kept_only_option, table_option, task_there
from benchmarks.sensitivity_measures import tables as measures_of
from benchmarks.shares import Share
from benchmarks.tasks import NAMES, Task
from network.allocation import DEFAULT_WEIGHT_SCHEME
from network.memory.books import accounting_named
from network.sensitivity.table import SensitivityTable
from qat.options.sensitivity import SensitivityOptions
from qat.sensitivity.measuring import measure_sensitivity

ACCOUNTING: Final = "paper"

SHARES: Final[Mapping[str, tuple[Share, ...]]] = MappingProxyType({
    "resnet8": (Share(0.5, 0.5), Share(0.4, 0.75), Share(0.3)),
    "dscnn": (Share(0.55, 0.5), Share(0.5, 0.75), Share(0.45)),
    "mobilenetv2": (Share(0.5, 0.5), Share(0.45, 0.75), Share(0.4)),
    "plain": (Share(0.5, 0.5), Share(0.4, 0.75), Share(0.3)),
})  # fmt: skip
"""Budgets of each task (`paper`), near 50, 40 and 30 %: 2 bits everywhere need 41 % of DS-CNN's flash and 38 % of
MobileNetV2's."""

_COSTS: Final = MappingProxyType({Stage.CALIBRATED: 1.0, Stage.POST_TRAINED: 5.0, Stage.TRAINED: 30.0})
"""Costs of the stages, on which only the estimated time depends."""


def measurements_of(
    task: Task, drawn: Sequence[Drawn], rounding_steps: int, trained: int
) -> list[tuple[int, Measurement]]:
    """Return what is measured, stage by stage, each with the index of its bits.

    Args:
        task: The task, with the samples that are used.
        drawn: The bits.
        rounding_steps: Number of steps that learn the rounding of each block of layers.
        trained: Number of bits that are trained, evenly spaced in their order.
    """
    spaced = np.unique(np.linspace(0, len(drawn) - 1, min(trained, len(drawn))).round().astype(int)).tolist()
    chosen = {Stage.CALIBRATED: range(len(drawn)), Stage.POST_TRAINED: range(len(drawn)), Stage.TRAINED: spaced}
    return [
        (index, Measurement(task, drawn[index].allocation, stage, rounding_steps))
        for stage in Stage
        for index in chosen[stage]
    ]


def measure_all(
    asked: Sequence[tuple[int, Measurement]], drawn: Sequence[Drawn], kept: KeptMeasurements[Measured]
) -> None:
    """Measure each loss that is not recorded, and record it as soon as it is known."""
    missing = [(index, each, key) for index, each in asked if (key := each.key) not in kept]
    narration = Narration([_COSTS[each.stage] for _, each, _ in missing])
    for index, each, key in missing:
        bits = drawn[index]
        narration.begin(f"{each.stage}, {bits.origin} at {bits.share}")
        measured = each.measured(narration)
        what = {"task": each.task.name, "stage": str(each.stage), "origin": bits.origin, "share": str(bits.share)}
        kept.remember(key, measured, what)
        narration.end(f"{measured.loss:.3f} nats, {measured.percent:.2f} %")


def row_of(
    drawn: Drawn, tables: Mapping[str, SensitivityTable], measured: Mapping[Stage, Measured | None]
) -> dict[str, Any]:
    """Return the JSON row of one allocation: its bits, the sum of each measure, and the loss at each stage."""
    allocation = drawn.allocation
    return {
        "flash_share": drawn.share.flash,
        "ram_share": drawn.share.ram,
        "origin": drawn.origin,
        "share_of_budget": drawn.flash_share,
        "weight_bits": dict(allocation.weight_bits),
        "activation_bits": dict(allocation.activation_bits),
        "sums": {name: table.objective(allocation) for name, table in tables.items()},
        "losses": {str(stage): None if each is None else each.loss for stage, each in measured.items()},
        "percents": {str(stage): None if each is None else each.percent for stage, each in measured.items()},
    }


def fisher_of_all(task: Task) -> tuple[SensitivityTable, float]:
    """Return the table of `fisher` on all training samples of a task, and the time in seconds to measure it."""
    data = task.dataset
    options = SensitivityOptions(scheme=DEFAULT_WEIGHT_SCHEME, samples=len(data.train_x))
    started = time.perf_counter()
    table = measure_sensitivity(task.network, data.train_x, data.train_y, options)
    return replace(table, method=f"fisher, {len(data.train_x):,} samples"), time.perf_counter() - started


@click.command()
@click.option("--network", "name", type=click.Choice(NAMES), default=NAMES[0], show_default=True)
@click.option(
    "--allocations", type=click.IntRange(6), default=30, show_default=True, help="Number of allocations in all."
)
@click.option(
    "--samples", type=click.IntRange(8), default=1000, show_default=True, help="Number of training samples, balanced."
)
@click.option(
    "--test-images", type=click.IntRange(1), default=1000, show_default=True, help="Number of test samples, the first."
)
@click.option(
    "--rounding-steps", type=click.IntRange(1), default=60, show_default=True, help="Of post-training, for each block."
)
@click.option(
    "--trained", type=click.IntRange(0), default=0, show_default=True, help="Number of allocations that are trained."
)
@click.option(
    "--pairs", type=click.IntRange(0), default=0, show_default=True, help="Number of samples to measure pairs; 0: none."
)
@keep_option
@kept_only_option
@json_option
@table_option(prediction_tables)
def main(
    *,
    name: str,
    allocations: int,
    samples: int,
    test_images: int,
    rounding_steps: int,
    trained: int,
    pairs: int,
    keep: Path | None,
    kept_only: bool,
    as_json: bool,
) -> None:
    """Compare how well the sums of each sensitivity measure predict the loss of the integer-only network."""
    torch.set_num_threads(1)
    whole = task_there(name)
    try:
        small = whole.with_samples(samples)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    task = replace(small.shortened(None, test_images), options=whole.options.replace(threads=1))
    tables, seconds = measures_of(task.network, task.dataset, DEFAULT_WEIGHT_SCHEME)
    drawn = drawn_bits(task.network, tables, SHARES[name], allocations, accounting_named(ACCOUNTING))
    asked = measurements_of(task, drawn, rounding_steps, trained)
    kept = KeptMeasurements(keep, Measured)
    if not kept_only:
        measure_all(asked, drawn, kept)
    known: list[dict[Stage, Measured | None]] = [dict.fromkeys(Stage) for _ in drawn]
    for index, each in asked:
        known[index][each.stage] = kept.get(each.key)
    more, seconds[more.method] = fisher_of_all(task)
    rows = [row_of(bits, {**tables, more.method: more}, measured) for bits, measured in zip(drawn, known, strict=True)]
    if pairs:
        predictions = pair_predictions(task, tables, [bits.allocation for bits in drawn], pairs)
        seconds |= predictions.seconds
        for row, sums in zip(rows, predictions.sums, strict=True):
            row["sums"] |= sums
    float_loss, float_percent = float_loss_and_percent(task)
    result = {
        "network": name,
        "accounting": ACCOUNTING,
        "train_samples": len(task.dataset.train_x),
        "test_samples": len(task.dataset.test_x),
        "rounding_steps": rounding_steps,
        "float_loss": float_loss,
        "float_percent": float_percent,
        "seconds": seconds,
        "rows": rows,
    }
    click.echo(json.dumps(result) if as_json else prediction_tables(result))


if __name__ == "__main__":
    main()
