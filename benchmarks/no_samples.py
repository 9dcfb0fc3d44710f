"""Benchmark of quantization without samples: made inputs against real unlabelled samples and random inputs.

    python -m benchmarks.no_samples TASK [--flash PERCENT] [--data NAME] [--inputs KIND] [--test-images N] [--json]

The kinds of inputs:

    made      inputs whose statistics are those of batch norm, as `bitbudget train --data none` makes them
    real      256 training samples without their labels
    normal    256 inputs of normal noise: four standard deviations between the bounds that the name states, clipped

All of them choose the bits (`exact` by `fisher`, book `paper`), equalize, calibrate and post-train the network. The
integer-only network is evaluated on the test set. The data is in `../shared`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

import click
import torch

from api.operations.measures import BEST_MEASURE
from api.operations.no_samples import options_without_samples
from benchmarks import tasks
from benchmarks.contenders import Contender, Name, contenders
from benchmarks.post_training import drawn_samples
from benchmarks.shares import Share
from benchmarks.tasks import Task
from network.memory.paper import PaperAccounting
from qat.data.dataset import Samples
from qat.data.unseen import UnseenSamples
from qat.options.sensitivity import SensitivityOptions
from qat.options.training import TrainingOptions
from qat.progress import silent
from qat.sensitivity.measuring import measure_sensitivity
from qat.synthesis.dataset import dataset_made_for
from qat.synthesis.input_values import bounds_of, samples_of
from qat.synthesis.inputs import MOST_INPUTS
from qat.tasks.choice import choose_task
from qat.train import train

KINDS: Final = ("made", "real", "normal")
KNOWN: Final = {"resnet8": "none:bytes", "mobilenetv2": "none:bytes", "dscnn": "none:-62:23"}
"""What is stated about the samples of each task: photographs are bytes, the features of DS-CNN have these bounds.
A task without batch norm is missing, because inputs cannot be made for it."""


@dataclass(frozen=True, slots=True)
class Row:
    """Integer-only accuracy of a network that was quantized with one kind of inputs.

    Attributes:
        inputs: The kind of inputs.
        flash_percent: Flash budget in percent of what 8 bits everywhere need.
        integer_only_percent: Accuracy of the integer-only network on the test set; None if no bits fit.
        processor_seconds: Processor seconds of post-training and of the test.
        input_seconds: Processor seconds in which the inputs were made.
    """

    inputs: str
    flash_percent: float
    integer_only_percent: float | None
    processor_seconds: float
    input_seconds: float


def inputs_of(kind: str, task: Task, name: str) -> Samples:
    """Return inputs of one kind for a task; `name` states what is known of the samples."""
    unseen = UnseenSamples.of(name)
    if unseen is None:
        raise click.BadParameter(f"{name} is not a dataset without samples", param_hint="--data")
    if kind == "made":
        return dataset_made_for(task.network, unseen, name, 0, silent).train_x[:]
    if kind == "real":
        return drawn_samples(task, MOST_INPUTS, 0)
    given = task.network.only_input
    bounds = bounds_of(task.network, given, unseen)
    noise = torch.randn(MOST_INPUTS, *given.shape, generator=torch.Generator().manual_seed(0))
    if bounds is not None:
        noise = bounds.clipped((bounds.low + bounds.high) / 2 + (bounds.high - bounds.low) / 4 * noise)
    return samples_of(task.network, [noise], unseen)


def rows_of(kind: str, task: Task, name: str, shares: tuple[Share, ...]) -> Iterator[Row]:
    """Quantize a network with one kind of inputs under each budget, and evaluate it on the test set."""
    started = time.process_time()
    samples = inputs_of(kind, task, name)
    input_seconds = time.process_time() - started
    dataset = replace(task.dataset, train_x=samples, train_y=None)
    chosen = choose_task(task.network, replace(dataset, test_y=None), None)
    options = SensitivityOptions(measure=BEST_MEASURE, task=chosen.kind)
    table = measure_sensitivity(task.network, samples, None, options, task=chosen, report=silent)
    for bits in contenders(task, table, shares, (Name.EXACT,), PaperAccounting()):
        started = time.process_time()
        accuracy = None if bits.allocation is None else _accuracy(bits, replace(task, dataset=dataset))
        seconds = time.process_time() - started
        yield Row(kind, 100 * bits.share.flash, accuracy, seconds, input_seconds)


def _accuracy(bits: Contender, task: Task) -> float:
    assert bits.allocation is not None  # noqa: S101  # the caller has checked it
    options = options_without_samples(TrainingOptions(threads=1))
    result = train(bits.network, bits.allocation, task.dataset, options)
    assert result.accuracy is not None  # noqa: S101  # the task has a test set with labels
    return result.accuracy.integer_only_percent


@click.command()
@click.argument("task_name", type=click.Choice(tuple(KNOWN)))
@click.option("--flash", type=float, multiple=True, default=(50.0, 40.0), help="Flash, in percent of that of 8 bits.")
@click.option("--data", help="Dataset without samples, with what is known of them; default: that of the task.")
@click.option("--inputs", type=click.Choice(KINDS), multiple=True, default=KINDS, help="Kinds of inputs.")
@click.option("--test-images", type=click.IntRange(1), help="Number of test samples; default: all.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def main(
    *,
    task_name: str,
    flash: tuple[float, ...],
    data: str | None,
    inputs: tuple[str, ...],
    test_images: int | None,
    as_json: bool,
) -> None:
    """Measure the accuracy of networks that are quantized with made, real and random inputs."""
    torch.set_num_threads(1)
    task = tasks.task_named(task_name).shortened(None, test_images)
    name = KNOWN[task_name] if data is None else data
    rows = []
    for kind in inputs:
        for row in rows_of(kind, task, name, tuple(Share(each / 100) for each in flash)):
            rows.append(row)
            sys.stderr.write(f"{row}\n")
    if as_json:
        click.echo(json.dumps({"task": task_name, "data": name, "rows": [asdict(row) for row in rows]}))
        return
    click.echo(f"{task_name}, {name}, {len(task.dataset.test_x)} test samples, one thread")
    click.echo("inputs  flash  integer-only  seconds  seconds for inputs")
    for row in rows:
        accuracy = "nothing fits" if row.integer_only_percent is None else f"{row.integer_only_percent:.2f}"
        click.echo(
            f"{row.inputs:<7} {row.flash_percent:>4g} % {accuracy:>12} {row.processor_seconds:>8.0f} "
            f"{row.input_seconds:>19.0f}"
        )


if __name__ == "__main__":
    main()
