"""Benchmark of sensitivity measures by the integer-only accuracy of ResNet8 on CIFAR-10 at five budgets.

    python -m benchmarks.sensitivity [--epochs N] [--train-images N] [--seeds N] [--keep FILE] [--json]
    python -m benchmarks.sensitivity --table FILE # show the output of --json as tables, without training
    python -m benchmarks.sensitivity --spread     # compare the estimates with the divergence on other images
    python -m benchmarks.sensitivity --speed      # time fisher on MobileNetV1 1.0/224, without ../shared

For each budget, the exact program minimises the table of each measure; the rule MixPC is shown for comparison.
`diagonal` is a table in the form that a user can upload: the Fisher information as a diagonal instead of blocks, as in
BRECQ and FIT. Every allocation is converted after calibration alone, and again after the same short training (one pass
over a part of the training set). Both integer-only networks are evaluated on all 10,000 test images. Equal trainings
are run once. `--keep` and `--kept-only` work as in `benchmarks.accuracy`.

Set OMP_WAIT_POLICY=PASSIVE if other processes use the same cores. The data is in `../shared`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import click
import numpy as np

from benchmarks import networks
from benchmarks.kept import Kept
from benchmarks.markdown import markdown
from benchmarks.outcome import Outcome
from benchmarks.run_options import (
    json_option,
    keep_option,
    kept_only_option,
    table_option,
    task_there,
    test_images_option,
)
from benchmarks.sensitivity_measures import SAMPLES, spreads
from benchmarks.sensitivity_measures import tables as measures_of
from benchmarks.shares import Share
from benchmarks.tasks import OURS, Task
from benchmarks.trainings import Training, run_all
from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory.books import accounting_named
from network.sensitivity.table import SensitivityTable
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import ActivationRange, Regime
from qat.sensitivity.measuring import measure_sensitivity
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.question import Question
from solver.solution import Solution

BUDGETS: Final = (Share(0.6), Share(0.45), Share(0.38), Share(0.6, 0.5), Share(0.45, 0.35))
"""The budgets, counted by the `deployed` accounting."""

TRAINING: Final = OURS.replace(
    regime=Regime.COSINE,
    learning_rate=1e-3,
    two_bit_learning_rate=1.0,
    activation_range=ActivationRange.LEARNED,
    threads=2,
)
"""The training options, the same for all measures: learned clipping, because the scheme is the paper's."""

RULE: Final = "(mixpc)"


def solutions_of(task: Task, by_measure: Mapping[str, SensitivityTable]) -> Iterator[tuple[Share, str, Solution]]:
    """Choose bits by the exact program for each budget and sensitivity table, and by the rule MixPC."""
    accounting = accounting_named("deployed")
    ample = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
    question = Question(network=task.network, budget=ample, accounting=accounting, sensitivity=by_measure["weights"])
    rule = SolveOptions(method=Method.MIXPC)
    widest = fit(question).memory
    for share in BUDGETS:
        budget = Budget(int(widest.flash_bytes * share.flash), int(widest.ram_bytes * share.ram))
        for name, table in by_measure.items():
            yield share, name, fit(replace(question, budget=budget, sensitivity=table))
        yield share, RULE, fit(replace(question, budget=budget, sensitivity=None, options=rule))


def trainings_of(share: Share, name: str, solution: Solution, task: Task, seeds: int) -> list[Training]:
    """Return the trainings for one choice of bits: calibration only first, then one training for each seed."""
    allocation = solution.allocation
    assert allocation is not None  # noqa: S101  # every budget is feasible
    runs = [(f"{name} at {share}, untrained", task.options.replace(epochs=0))]
    runs += [(f"{name} at {share}, seed {seed}", task.options.replace(seed=seed)) for seed in range(seeds)]
    return [Training(label, task, solution.network, allocation, options) for label, options in runs]


def row_of(share: Share, name: str, solution: Solution, outcomes: Sequence[Outcome | None]) -> dict[str, Any]:
    """Return the JSON row of one sensitivity measure at one budget; an accuracy that is not known is None."""
    allocation = solution.allocation
    assert allocation is not None  # noqa: S101  # every budget is feasible
    untrained, *trained = outcomes
    return {
        "flash_share": share.flash,
        "ram_share": share.ram,
        "measure": name,
        "objective": solution.objective,
        "weight_bits": dict(allocation.weight_bits),
        "activation_bits": dict(allocation.activation_bits),
        "untrained_percent": None if untrained is None else untrained.percent,
        "trained_percent": [each.percent for each in trained if each is not None],
    }


def tables_of(result: Mapping[str, Any]) -> str:
    """Return Markdown tables of accuracy (with and without training) and time for each sensitivity measure."""
    rows = result["rows"]
    names = list(dict.fromkeys(row["measure"] for row in rows))

    def table(percent: Mapping[tuple[Share, str], float | None]) -> str:
        lines = [[str(share), *(_percent_text(percent[share, name]) for name in names)] for share in BUDGETS]
        means = [[percent[share, name] for share in BUDGETS] for name in names]
        return markdown(("budget", *names), [*lines, ["mean", *(_percent_text(_mean(each)) for each in means)]])

    def percents(of: Callable[[Mapping[str, Any]], float | None]) -> dict[tuple[Share, str], float | None]:
        return {(Share(row["flash_share"], row["ram_share"]), row["measure"]): of(row) for row in rows}

    trained = f"After {result['epochs']} epochs of {result['train_images']:,} images, %, seeds {result['seeds']}:"
    seconds = [f"{result['seconds'][name]:.1f}" if name in result["seconds"] else "" for name in names]
    return "\n\n".join(
        (
            trained,
            table(percents(lambda row: _mean(row["trained_percent"]))),
            "Without training, %:",
            table(percents(lambda row: row["untrained_percent"])),
            f"Seconds to measure {SAMPLES} images:",
            markdown(("", *names), [["seconds", *seconds]]),
        )
    )


def _mean(percents: Sequence[float | None]) -> float | None:
    """Return the mean of percentages; None if the list is empty or contains an unknown percentage (None)."""
    known = [each for each in percents if each is not None]
    return fmean(known) if known and len(known) == len(percents) else None


def _percent_text(percent: float | None) -> str:
    return "" if percent is None else f"{percent:.2f}"


def speed() -> dict[str, float]:
    """Measure the time in seconds of the sensitivity measure `fisher` on MobileNetV1 1.0/224 with random weights."""
    network = networks.mobilenet_v1(1.0, 224, 1000, seed=0)
    images = np.random.default_rng(0).standard_normal((SAMPLES, 3, 224, 224)).astype(np.float32)
    started = time.perf_counter()
    measure_sensitivity(network, images, np.zeros(SAMPLES, dtype=np.int64), SensitivityOptions(samples=SAMPLES))
    return {"images": SAMPLES, "seconds": time.perf_counter() - started}


@click.command()
@click.option(
    "--spread", "only_spread", is_flag=True, help="Only compare the estimates with the divergence on other images."
)
@click.option("--speed", "only_speed", is_flag=True, help="Only measure the time of fisher on MobileNetV1 1.0/224.")
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True, help="Of training.")
@click.option(
    "--train-images", type=click.IntRange(8), default=15_000, show_default=True, help="Number of training images."
)
@test_images_option
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Number of seeds, over which accuracies are averaged.",
)
@keep_option
@kept_only_option
@json_option
@table_option(tables_of)
def main(
    *,
    only_spread: bool,
    only_speed: bool,
    epochs: int,
    train_images: int,
    test_images: int | None,
    seeds: int,
    keep: Path | None,
    kept_only: bool,
    as_json: bool,
) -> None:
    """Compare the sensitivity measures by the accuracy with the bits that they choose."""
    if only_speed:
        taken = speed()
        click.echo(json.dumps(taken) if as_json else f"{taken['images']} images in {taken['seconds']:.1f} s")
        return
    whole = task_there("resnet8")
    if only_spread:
        spread = spreads(whole.network, whole.dataset)
        columns = list(spread)
        lines = [[part, *(f"{spread[name][part]:.2f}" for name in columns)] for part in ("weights", "activations")]
        click.echo(json.dumps(spread) if as_json else markdown(("", *columns), lines))
        return
    task = replace(whole.shortened(train_images, test_images), options=TRAINING.replace(epochs=epochs))
    kept = Kept(keep)
    by_measure, seconds = measures_of(task.network, task.dataset)
    found = list(solutions_of(task, by_measure))
    asked = [trainings_of(*each, task, seeds) for each in found]
    if not kept_only:
        run_all((each for some in asked for each in some), kept)
    result = {
        "seconds": seconds,
        "epochs": epochs,
        "train_images": len(task.dataset.train_x),
        "test_images": len(task.dataset.test_x),
        "seeds": seeds,
        "rows": [
            row_of(*each, [kept.get(training.key) for training in some])
            for each, some in zip(found, asked, strict=True)
        ],
    }
    click.echo(json.dumps(result) if as_json else tables_of(result))


if __name__ == "__main__":
    main()
