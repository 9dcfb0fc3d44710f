"""Benchmark of integer-only accuracy under budgets of flash and RAM, for each method that chooses bits.

    python -m benchmarks.accuracy [--network NAME] [--epochs N] [--seeds N] [--peers] [--keep FILE] [--json]
    python -m benchmarks.accuracy --samples N [--ablation] [--network NAME] [--seeds N] [--keep FILE] [--json]
    python -m benchmarks.accuracy --table FILE        # show the output of --json as tables, without training

Budgets are shares of the bytes that 8 bits everywhere need (`shares.SHARES`), counted by the `paper` rule book. It
counts only tensors and parameters, so 2 bits everywhere need a quarter of the bytes of 8 bits. `--accounting deployed`
also counts the code of the kernels, whose size does not depend on the bits. `contenders.py` lists the ways to choose
bits; `tasks.py` lists the networks and their data. Each percentage is the accuracy of the integer-only network in the
interpreter on the whole test set. Brevitas has no integer-only network, so its fake-quantized accuracy is shown
instead.

With `--samples`, the training set is small, and the contenders are the default training, post-training alone, hand-set
options, and Brevitas where it is installed, all with the bits of `exact` (`small_sets.py`).

Equal trainings are run once. `--keep` records each training as soon as it is done, so that an interrupted benchmark can
be continued; with `--kept-only` it trains nothing and prints the recorded results. Set OMP_WAIT_POLICY=PASSIVE if other
processes use the same cores. The data is in `../shared`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import click

from benchmarks import small_sets
from benchmarks.accuracy_tables import tables
from benchmarks.contenders import METHODS, PEERS, Contender, Name, contenders, sensitivity_of
from benchmarks.outcome import Outcome
from benchmarks.run_options import RunOptions, json_option, run_options, table_option
from benchmarks.shares import SHARES, THOROUGH, Share
from benchmarks.small_set_tables import small_set_tables
from benchmarks.tasks import Task
from benchmarks.trainings import Training, run_all
from network.allocation import Scheme
from network.memory.books import ACCOUNTINGS, accounting_named

Each = TypeVar("Each")


def trainings_of(contender: Contender, task: Task, seeds: int) -> list[Training]:
    """Return the trainings for the bits of one method: none first, then one for each seed; empty if nothing fits."""
    if contender.allocation is None:
        return []
    label = f"{contender.name} at {contender.share}"
    runs = [(f"{label}, untrained", contender.options.replace(epochs=0))]
    if contender.options.epochs != 0:
        runs += [(f"{label}, seed {seed}", contender.options.replace(seed=seed)) for seed in range(seeds)]
    by_brevitas = contender.name is Name.BREVITAS
    return [
        Training(name, task, contender.network, contender.allocation, options, by_brevitas) for name, options in runs
    ]


def row_of(contender: Contender, outcomes: Sequence[Outcome | None]) -> dict[str, Any]:
    """Return the JSON row of one method under one memory budget: its bits, bytes and accuracies.

    Args:
        contender: The answer of a contender under a budget.
        outcomes: The outcomes in the order of `trainings_of`; None for an unknown outcome.
    """
    given = contender.allocation
    untrained = outcomes[0] if outcomes else None
    return {
        "flash_share": contender.share.flash,
        "ram_share": contender.share.ram,
        "flash_budget_bytes": contender.budget.flash_bytes,
        "ram_budget_bytes": contender.budget.ram_bytes,
        "name": str(contender.name),
        "shortage": contender.shortage,
        "flash_bytes": contender.flash_bytes,
        "ram_bytes": contender.ram_bytes,
        "objective": contender.objective,
        "schemes": None if given is None else sorted({_scheme_text(scheme) for scheme in given.schemes.values()}),
        "weight_bits": None if given is None else dict(given.weight_bits),
        "activation_bits": None if given is None else dict(given.activation_bits),
        "is_integer_only": contender.name is not Name.BREVITAS,
        "untrained_percent": None if untrained is None else untrained.percent,
        "trained_percent": [each.percent for each in outcomes[1:] if each is not None],
        "seconds": [each.seconds for each in outcomes if each is not None],
    }


def _scheme_text(scheme: Scheme) -> str:
    return f"{scheme.weights}, {scheme.folding}"


def shown(result: Mapping[str, Any]) -> str:
    """Return the tables of a result of this benchmark: of small sets, or of the methods that choose bits."""
    return small_set_tables(result) if "is_small_set" in result else tables(result)


@click.command()
@run_options(least_epochs=0)
@click.option("--seeds", type=click.IntRange(1), help="Seeds at every budget (default: 3 at 50 % and 30 %, else 1).")
@click.option("--only", help="Names of budgets, separated by semicolons: '50 %;50 %, RAM 75 %'.")
@click.option("--methods", help="Names separated by commas (default: all but the peers).")
@click.option("--peers", is_flag=True, help=f"Add {', '.join(PEERS)}, with the bits of exact.")
@click.option(
    "--ablation", is_flag=True, help="With --samples: the defaults, and without one choice of the recipe each."
)
@click.option("--accounting", type=click.Choice(sorted(ACCOUNTINGS)), default="paper", show_default=True)
@json_option
@table_option(shown)
def main(
    *,
    run: RunOptions,
    seeds: int | None,
    only: str | None,
    methods: str | None,
    peers: bool,
    ablation: bool,
    accounting: str,
    as_json: bool,
) -> None:
    """Measure integer-only accuracy under budgets of flash and RAM, for each method that chooses bits."""
    known_shares = SHARES if run.samples is None else small_sets.SHARES[run.name]
    shares = _chosen(only, ";", {str(share): share for share in known_shares}, "budget") or list(known_shares)
    if run.samples is None:
        if ablation:
            raise click.ClickException("--ablation needs --samples; python -m benchmarks.ablation has whole sets")
        names = _chosen(methods, ",", {str(each): each for each in Name}, "method") or list(METHODS)
        names += [peer for peer in PEERS if peers and peer not in names]
        result = _by_method(run, shares, names, accounting, seeds)
    else:
        there = small_sets.ABLATION_NAMES if ablation else small_sets.names_there()
        ways = _chosen(methods, ",", {name: name for name in there}, "method") or list(there)
        if run.epochs is not None or run.precision is not None or run.compile is not None or peers:
            raise click.ClickException(
                "--epochs, --precision, --compile and --peers cannot be given with --samples, which has its own options"
            )
        result = _by_training(run, shares, ways, accounting, seeds or small_sets.DEFAULT_SEEDS, is_ablation=ablation)
    click.echo(json.dumps(result) if as_json else shown(result))


def _by_method(
    run: RunOptions, shares: Sequence[Share], names: Sequence[Name], accounting: str, seeds: int | None
) -> dict[str, Any]:
    task, kept = run.task(), run.kept()
    found = list(contenders(task, sensitivity_of(task), shares, names, accounting_named(accounting)))
    asked = [trainings_of(each, task, seeds or (3 if task.is_quick or each.share in THOROUGH else 1)) for each in found]
    if not run.kept_only:
        # The first seed of all answers comes before the second, so that an interrupted run gives useful results.
        run_all(sorted((each for some in asked for each in some), key=_turn), kept)
    known = [[kept.get(each.key) for each in some] for some in asked]
    return {
        "network": run.name,
        "accounting": accounting,
        "epochs": task.options.epochs,
        "train_images": len(task.dataset.train_x),
        "test_images": len(task.dataset.test_x),
        "float_percent": next((each.float_percent for some in known for each in some if each is not None), None),
        "rows": [row_of(contender, outcomes) for contender, outcomes in zip(found, known, strict=True)],
    }


def _by_training(
    run: RunOptions, shares: Sequence[Share], names: Sequence[str], accounting: str, seeds: int, *, is_ablation: bool
) -> dict[str, Any]:
    task, kept = run.task(), run.kept()
    bits = contenders(task, sensitivity_of(task), shares, [Name.EXACT], accounting_named(accounting))
    entries = [small_sets.entry_of(name, each, task, seeds) for each in bits for name in names]
    if is_ablation:
        entries = [entry.resolved() for entry in entries]
    if not run.kept_only:
        run_all(sorted((each for entry in entries for each in entry.trainings), key=_turn), kept)
    test_images = len(task.dataset.test_x)
    known = [[kept.get(each.key) for each in entry.trainings] for entry in entries]
    return {
        "network": run.name,
        "is_small_set": True,
        "accounting": accounting,
        "train_images": len(task.dataset.train_x),
        "test_images": test_images,
        "float_percent": next((each.float_percent for some in known for each in some if each is not None), None),
        "rows": [small_sets.row_of(entry, some, test_images) for entry, some in zip(entries, known, strict=True)],
    }


def _turn(training: Training) -> tuple[bool, int]:
    return training.options.epochs != 0, training.options.seed


def _chosen(given: str | None, between: str, known: Mapping[str, Each], what: str) -> list[Each]:
    names = [] if given is None else [name.strip() for name in given.split(between)]
    for name in names:
        if name not in known:
            raise click.ClickException(f"unknown {what} {name!r}; expected one of: {between.join(known)}")
    return [known[name] for name in names]


if __name__ == "__main__":
    main()
