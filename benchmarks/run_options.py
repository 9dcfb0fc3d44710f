"""What can be chosen about the trainings of a benchmark, on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click

from benchmarks.kept import Kept
from benchmarks.tasks import NAMES, Task, task_named


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Of `accuracy` and `ablation` alike.

    Attributes:
        name: of the task.
        epochs: of training; None: the task's own number.
        threads: of torch.
        train_images: the first ones alone, to try the benchmark; None: all.
        test_images: the same of the test set.
        keep: the file that remembers trainings.
        kept_only: train nothing.
    """

    name: str
    epochs: int | None
    threads: int
    train_images: int | None
    test_images: int | None
    keep: Path | None
    kept_only: bool

    def task(self) -> Task:
        """What is trained, and how.

        Raises:
            ClickException: one of its files lies elsewhere.
        """
        task = task_there(self.name).shortened(self.train_images, self.test_images)
        options = task.options.replace(threads=self.threads)
        return replace(task, options=options if self.epochs is None else options.replace(epochs=self.epochs))

    def kept(self) -> Kept:
        """What is remembered."""
        return Kept(self.keep)


def task_there(name: str) -> Task:
    """The task of that name.

    Raises:
        ClickException: one of its files lies elsewhere.
    """
    try:
        return task_named(name)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None


test_images_option = click.option(
    "--test-images", type=click.IntRange(1), help="The first ones alone, to try the benchmark."
)
keep_option = click.option(
    "--keep", type=click.Path(path_type=Path, dir_okay=False), help="Remember trainings in this file."
)
kept_only_option = click.option("--kept-only", is_flag=True, help="Train nothing: print what is known.")

_OPTIONS = (
    click.option("--network", "name", type=click.Choice(NAMES), default=NAMES[0], show_default=True),
    click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Of torch."),
    click.option("--train-images", type=click.IntRange(8), help="The first ones alone, to try the benchmark."),
    test_images_option,
    keep_option,
    kept_only_option,
)


def run_options(*, least_epochs: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command these options, as its argument `run`."""
    epochs = click.option(
        "--epochs", type=click.IntRange(least_epochs), help="Of training; the network's own number otherwise."
    )

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_run(**given: Any) -> None:
            run = RunOptions(**{field.name: given.pop(field.name) for field in fields(RunOptions)})
            command(run=run, **given)

        for option in reversed((*_OPTIONS, epochs)):
            with_run = option(with_run)
        return with_run

    return decorated


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")


def table_option(shown: Callable[[Mapping[str, Any]], str]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command an option that shows what --json has printed, and ends.

    Args:
        shown: the command's own answer as a table.
    """

    def show(context: click.Context, _: click.Parameter, file: Path | None) -> None:
        if file is None:
            return
        try:
            table = shown(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise click.BadParameter(
                f"'{file}' does not hold what --json of this benchmark has printed: expected one JSON object with rows"
            ) from None
        click.echo(table)
        context.exit()

    return click.option(
        "--table",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        callback=show,
        expose_value=False,
        is_eager=True,
        help="Show what --json has printed; nothing is measured.",
    )
