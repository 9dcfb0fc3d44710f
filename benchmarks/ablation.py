"""Ablation of the training: the effect on accuracy of each training option alone, at two memory budgets.

    python -m benchmarks.ablation [--network NAME] [--epochs N] [--seeds N] [--keep FILE] [--json]
    python -m benchmarks.ablation --table FILE        # show the output of --json as a table, without training

Defaults are chosen by the integer-only accuracy on samples held out of the training set (5,000 of CIFAR-10's 50,000).
The table also shows the accuracy on the test set, which decides nothing. `--keep` and `--kept-only` work as in
`benchmarks.accuracy`. The data is in `../shared`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from benchmarks.accuracy_tables import spread
from benchmarks.contenders import Contender, Name, contenders, sensitivity_of
from benchmarks.markdown import markdown
from benchmarks.run_options import RunOptions, json_option, run_options, table_option
from benchmarks.shares import Share, with_scheme
from benchmarks.tasks import Task
from benchmarks.trainings import Training, run_all
from network.allocation import Allocation, Folding, WeightScheme
from network.memory.books import accounting_named
from qat.options.chosen import ChosenOptions
from qat.options.training import ActivationRange, PostTrainingOptions, RangeSetting, Regime

SHARES: Final = {
    "resnet8": (Share(0.4), Share(0.3)),
    "dscnn": (Share(0.5), Share(0.45)),
    "mobilenetv2": (Share(0.5), Share(0.4)),
    "plain": (Share(0.5), Share(0.3)),
}
"""Budgets of each task. DS-CNN and MobileNetV2 have more parameters besides weights: 2 bits everywhere need 41 and 38 %
of their flash."""

HELD_OUT: Final = 5000
DEFAULTS: Final = "defaults"


@dataclass(frozen=True, eq=False)
class Variant:
    """Variant of the training that differs from the default options in one ingredient."""

    name: str
    allocation: Allocation
    options: ChosenOptions


def variants(allocation: Allocation, options: ChosenOptions) -> Iterator[Variant]:
    """Yield training variants, the default options first; a variant without any change is omitted."""
    yield Variant(DEFAULTS, allocation, options)
    for scheme in WeightScheme:
        if with_scheme(allocation, scheme) != allocation:
            yield Variant(f"weights {scheme}", with_scheme(allocation, scheme), options)
    folded = replace(
        allocation,
        schemes={layer: replace(each, folding=Folding.WEIGHTS) for layer, each in allocation.schemes.items()},
    )
    yield Variant("batch norm folded into the weights", folded, options)
    for name, changed in _changes(options).items():
        if changed != options:
            yield Variant(name, allocation, changed)


def _changes(options: ChosenOptions) -> Mapping[str, ChosenOptions]:
    rate = options.learning_rate
    return {
        **{f"activations {kind}": options.replace(activation_range=kind) for kind in ActivationRange},
        **{f"ranges start at {kind}": options.replace(range_setting=kind) for kind in RangeSetting},
        **{f"distillation {share:g}": options.replace(distillation=share) for share in (0.0, 0.5, 1.0)},
        **{f"learning rate x {factor:g}": options.replace(learning_rate=factor * rate) for factor in (0.3, 3.0)},
        "2-bit weights at the others' learning rate": options.replace(two_bit_learning_rate=1.0),
        **{f"{kind} regime": options.replace(regime=kind) for kind in (Regime.CONSTANT, Regime.COSINE)},
        "the paper's regime": options.replace(regime=Regime.PAPER),
        "learned rounding first": options.replace(post_training=PostTrainingOptions()),
        "batch norm frozen at 0.5": options.replace(freeze_batch_norm_at=0.5),
        "oscillating weights frozen from 0.5": options.replace(freeze_oscillating_at=0.5),
        "half the epochs at twice the bits": options.replace(gradual_bits=0.5),
        "label smoothing 0.1": options.replace(label_smoothing=0.1),
    }


def trainings_of(variant: Variant, contender: Contender, task: Task, seeds: int) -> list[Training]:
    """Return one training of a variant for each random seed."""
    return [
        Training(
            f"{variant.name} at {contender.share}, seed {seed}",
            task,
            contender.network,
            variant.allocation,
            variant.options.replace(seed=seed),
        )
        for seed in range(seeds)
    ]


def table_of(result: Mapping[str, Any]) -> str:
    """Return a Markdown table with the held-out and the test accuracy of each training variant at each budget."""
    shares = list(dict.fromkeys(row["flash_share"] for row in result["rows"]))
    found = {(row["name"], row["flash_share"]): row for row in result["rows"]}
    columns = ["changed"]
    for share in shares:
        columns += [f"{Share(share)}: held out, %", "against the defaults", "test, %"]
    lines = []
    for name in dict.fromkeys(row["name"] for row in result["rows"]):
        line = [name]
        for share in shares:
            row, defaults = found[name, share], found[DEFAULTS, share]
            held_out, before = row["validation_percent"], defaults["validation_percent"]
            known = held_out and before and name != DEFAULTS
            change = f"{sum(held_out) / len(held_out) - sum(before) / len(before):+.2f}" if known else ""
            line += [spread(held_out), change, spread(row["test_percent"])]
        lines.append(line)
    summary = (
        f"{result['network']}: {result['train_images']:,} training samples, {result['held_out']:,} of them held out, "
        f"{result['test_images']:,} test samples; {result['epochs']} epochs, seeds {result['seeds']}"
    )
    return f"{summary}\n\n{markdown(columns, lines)}"


@click.command()
@run_options(least_epochs=1)
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True)
@click.option("--only", help="Run only the changes whose names contain this text, and the defaults.")
@json_option
@table_option(table_of)
def main(*, run: RunOptions, seeds: int, only: str | None, as_json: bool) -> None:
    """Measure the effect of each training option on the accuracy."""
    task, kept = run.task(), run.kept()
    images = len(task.dataset.train_x)
    fraction = min(HELD_OUT, images // 10) / images
    task = replace(task, options=task.options.replace(validation_fraction=fraction))
    asked = [
        (variant, contender, trainings_of(variant, contender, task, seeds))
        for contender in contenders(
            task, sensitivity_of(task), SHARES[run.name], [Name.EXACT], accounting_named("paper")
        )
        if contender.allocation is not None
        for variant in variants(contender.allocation, task.options)
        if only is None or only in variant.name or variant.name == DEFAULTS
    ]
    if not run.kept_only:
        every = [training for _, _, trainings in asked for training in trainings]
        run_all(sorted(every, key=lambda training: training.options.seed), kept)
    rows = []
    for variant, contender, trainings in asked:
        outcomes = [kept[each.key] for each in trainings if each.key in kept]
        rows.append(
            {
                "name": variant.name,
                "flash_share": contender.share.flash,
                "validation_percent": [each.validation_percent for each in outcomes],
                "test_percent": [each.percent for each in outcomes],
                "best_epoch": [each.best_epoch for each in outcomes],
                "seconds": [each.seconds for each in outcomes],
            }
        )
    result = {
        "network": run.name,
        "epochs": task.options.epochs,
        "seeds": seeds,
        "train_images": images,
        "held_out": round(images * fraction),
        "test_images": len(task.dataset.test_x),
        "rows": rows,
    }
    click.echo(json.dumps(result) if as_json else table_of(result))


if __name__ == "__main__":
    main()
