"""Command-line options for the trainings of a benchmark."""

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
from qat.options.names import Compile, Precision


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Command-line options that the benchmarks `accuracy` and `ablation` have in common.

    Attributes:
        name: The name of the task.
        epochs: Number of epochs of training; None for the number of the task.
        threads: Number of threads of torch.
        precision: Number format in which convolutions are computed in training; None for the default.
        compile: Whether the training step is compiled; None for the default.
        samples: Number of training samples of a small set (`Task.with_samples`); None for no small set.
        train_images: Number of training images that are used, the first ones; None for all.
        test_images: Number of test images that are used, the first ones; None for all.
        keep: The file that records the outcomes of trainings; None for no file.
        kept_only: Whether to show only recorded outcomes, without training.
    """

    name: str
    epochs: int | None
    threads: int
    precision: str | None
    compile: str | None
    samples: int | None
    train_images: int | None
    test_images: int | None
    keep: Path | None
    kept_only: bool

    def task(self) -> Task:
        """Return the benchmark task (network and data) that the command-line options choose.

        Raises:
            ClickException: if one of its files is missing, or the training set has fewer samples than asked for.
        """
        task = task_there(self.name)
        if self.samples is not None:
            try:
                task = task.with_samples(self.samples)
            except ValueError as error:
                raise click.ClickException(str(error)) from None
        task = task.shortened(self.train_images, self.test_images)
        options = task.options.replace(threads=self.threads)
        if self.epochs is not None:
            options = options.replace(epochs=self.epochs)
        if self.precision is not None:
            options = options.replace(precision=Precision(self.precision))
        if self.compile is not None:
            options = options.replace(compile=Compile(self.compile))
        return replace(task, options=options)

    def kept(self) -> Kept:
        """Return the outcomes of trainings that are recorded in the file of the option --keep."""
        return Kept(self.keep)


def task_there(name: str) -> Task:
    """Return the benchmark task (network and data) of a name, and report missing files as a command-line error.

    Raises:
        ClickException: if one of its files is missing.
    """
    try:
        return task_named(name)
    except FileNotFoundError as error:
        raise click.ClickException(str(error)) from None


test_images_option = click.option(
    "--test-images", type=click.IntRange(1), help="Use only the first images, this number (for a trial)."
)
keep_option = click.option(
    "--keep", type=click.Path(path_type=Path, dir_okay=False), help="Record the outcomes of trainings in this file."
)
kept_only_option = click.option("--kept-only", is_flag=True, help="Do not train; print the recorded outcomes.")

_OPTIONS = (
    click.option("--network", "name", type=click.Choice(NAMES), default=NAMES[0], show_default=True),
    click.option("--threads", type=click.IntRange(1), default=2, show_default=True, help="Number of torch's threads."),
    click.option(
        "--precision", type=click.Choice([str(each) for each in Precision]), help="As the option of training."
    ),
    click.option("--compile", type=click.Choice([str(each) for each in Compile]), help="As the option of training."),
    click.option(
        "--samples",
        type=click.IntRange(8),
        help="Train with a small set of this size, with equally many samples a class.",
    ),
    click.option(
        "--train-images", type=click.IntRange(8), help="Use only the first images, this number (for a trial)."
    ),
    test_images_option,
    keep_option,
    kept_only_option,
)


def run_options(*, least_epochs: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds the options of trainings to a command and passes them as the argument `run`."""
    epochs = click.option(
        "--epochs", type=click.IntRange(least_epochs), help="Number of epochs (default: that of the task)."
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
    """Return a decorator that adds an option --table, which shows a recorded output of --json and exits.

    Args:
        shown: Function that turns the output of the command into a table.
    """

    def show(context: click.Context, _: click.Parameter, file: Path | None) -> None:
        if file is None:
            return
        try:
            table = shown(json.loads(file.read_text()))
        except (ValueError, KeyError, TypeError):
            raise click.BadParameter(
                f"'{file}' is not an output of --json of this benchmark; expected one JSON object with rows"
            ) from None
        click.echo(table)
        context.exit()

    return click.option(
        "--table",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        callback=show,
        expose_value=False,
        is_eager=True,
        help="Show the output of --json in this file as a table, without measuring.",
    )
