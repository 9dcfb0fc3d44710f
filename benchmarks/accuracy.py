"""Integer-only accuracy under budgets of flash and RAM, without training and after it, by everybody who chooses bits.

    python -m benchmarks.accuracy [--network resnet8|dscnn] [--epochs N] [--seeds N] [--peers] [--keep FILE] [--json]
    python -m benchmarks.accuracy --table FILE        # what --json has printed, as tables; nothing is trained

Budgets are shares of what 8 bits everywhere take (`shares.SHARES`), counted by the `paper` rule book, which knows
tensors and parameters alone: all 2 bits are a quarter of all 8 there. `--accounting deployed` counts the kernels' code
as well, which no bits make smaller. `contenders.py` says who chooses; `tasks.py`, what is trained. Each percentage is
of the whole test set, by the integer-only network in the interpreter; Brevitas has none, so that its own,
fake-quantized, accuracy stands there.

Equal trainings are run once. `--keep` remembers each as soon as it is done, so that an interrupted benchmark goes on;
with `--kept-only` it trains nothing and prints what is known. Set OMP_WAIT_POLICY=PASSIVE where other processes want
the same cores. Reads `../shared`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import click

from benchmarks.accuracy_tables import tables
from benchmarks.contenders import METHODS, PEERS, Contender, Name, contenders, sensitivity_of
from benchmarks.outcome import Outcome
from benchmarks.run_options import RunOptions, json_option, run_options, table_option
from benchmarks.shares import SHARES, THOROUGH
from benchmarks.tasks import Task
from benchmarks.trainings import Training, run_all
from network.allocation import Scheme
from network.memory.books import ACCOUNTINGS, accounting_named

Each = TypeVar("Each")


def trainings_of(contender: Contender, task: Task, seeds: int) -> list[Training]:
    """Without training first, then with each seed; none where nothing fits."""
    if contender.allocation is None:
        return []
    told = f"{contender.name} at {contender.share}"
    runs = [(f"{told}, untrained", contender.options.replace(epochs=0))]
    if contender.options.epochs:
        runs += [(f"{told}, seed {seed}", contender.options.replace(seed=seed)) for seed in range(seeds)]
    by_brevitas = contender.name is Name.BREVITAS
    return [
        Training(label, task, contender.network, contender.allocation, options, by_brevitas) for label, options in runs
    ]


def row_of(contender: Contender, outcomes: Sequence[Outcome | None]) -> dict[str, Any]:
    """A row of the answer; `outcomes` as `trainings_of` has them, None where one is not known."""
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
        "schemes": None if given is None else sorted({_told(scheme) for scheme in given.schemes.values()}),
        "weight_bits": None if given is None else dict(given.weight_bits),
        "activation_bits": None if given is None else dict(given.activation_bits),
        "is_integer_only": contender.name is not Name.BREVITAS,
        "untrained_percent": None if untrained is None else untrained.percent,
        "trained_percent": [each.percent for each in outcomes[1:] if each is not None],
        "seconds": [each.seconds for each in outcomes if each is not None],
    }


def _told(scheme: Scheme) -> str:
    return f"{scheme.weights}, {scheme.folding}"


@click.command()
@run_options(least_epochs=0)
@click.option("--seeds", type=click.IntRange(1), help="At every budget; otherwise 3 at 50 % and 30 %, 1 elsewhere.")
@click.option("--only", help="Budgets by their names, with semicolons between: '50 %;50 %, RAM 75 %'.")
@click.option("--methods", help=f"With commas between; otherwise {','.join(METHODS)}.")
@click.option("--peers", is_flag=True, help=f"Also {', '.join(PEERS)}, with exact's bits.")
@click.option("--accounting", type=click.Choice(sorted(ACCOUNTINGS)), default="paper", show_default=True)
@json_option
@table_option(tables)
def main(
    *,
    run: RunOptions,
    seeds: int | None,
    only: str | None,
    methods: str | None,
    peers: bool,
    accounting: str,
    as_json: bool,
) -> None:
    """Measure integer-only accuracy under budgets."""
    shares = _chosen(only, ";", {str(share): share for share in SHARES}, "budget") or list(SHARES)
    names = _chosen(methods, ",", {str(each): each for each in Name}, "method") or list(METHODS)
    names += [peer for peer in PEERS if peers and peer not in names]
    task, kept = run.task(), run.kept()
    found = list(contenders(task, sensitivity_of(task), shares, names, accounting_named(accounting)))
    asked = [trainings_of(each, task, seeds or (3 if task.is_quick or each.share in THOROUGH else 1)) for each in found]
    if not run.kept_only:
        # The first seed everywhere before the second: what is known of an interrupted run is of use.
        run_all(sorted((each for some in asked for each in some), key=_turn), kept)
    known = [[kept.get(each.key) for each in some] for some in asked]
    result = {
        "network": run.name,
        "accounting": accounting,
        "epochs": task.options.epochs,
        "train_images": len(task.dataset.train_x),
        "test_images": len(task.dataset.test_x),
        "float_percent": next((each.float_percent for some in known for each in some if each is not None), None),
        "rows": [row_of(contender, outcomes) for contender, outcomes in zip(found, known, strict=True)],
    }
    click.echo(json.dumps(result) if as_json else tables(result))


def _turn(training: Training) -> tuple[bool, int]:
    return training.options.epochs > 0, training.options.seed


def _chosen(given: str | None, between: str, known: Mapping[str, Each], what: str) -> list[Each]:
    names = [] if given is None else [name.strip() for name in given.split(between)]
    for name in names:
        if name not in known:
            raise click.ClickException(f"unknown {what} {name!r}; expected one of: {between.join(known)}")
    return [known[name] for name in names]


if __name__ == "__main__":
    main()
