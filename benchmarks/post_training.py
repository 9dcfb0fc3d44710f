"""Benchmark of post-training quantization: integer-only accuracy of a task's network without any training.

    python -m benchmarks.post_training [--task NAME] [--samples N] [--seeds N] [--only CASE] [--stage STAGE] ...

The stages of each case are calibration alone; then calibration with equalization, with bias correction, with learned
rounding and with tuned channels, each added to the previous ones; and all of them except equalization. All stages use
only training samples without their labels; each seed draws other samples.

Set OMP_WAIT_POLICY=PASSIVE if other processes use the same cores. The data is in `../shared`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

import click
import numpy as np
import torch

from benchmarks import tasks
from benchmarks.tasks import Task
from deploy.interpreter import quantize_input, run
from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.network import Network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.data.dataset import Dataset, Samples, SampleSource, to_input_tensor
from qat.options.post_training import PostTrainingOptions, Rounding
from qat.post_training.improve import improve
from qat.post_training.largest_outputs import equalized_on
from qat.prepare import float_module, prepare
from qat.progress import silent
from qat.training.reporting import Reporter

AT_ONCE: Final = 250
CALIBRATION_SAMPLES: Final = 512


@dataclass(frozen=True, slots=True)
class Case:
    """Bits of all tensors of a network in one benchmark case; the input and the logits always have 8 bits.

    Attributes:
        name: The name of the case.
        weight_bits: Number of bits of all weight tensors without an override.
        activation_bits: Number of bits of all activation tensors.
        overrides: Number of bits of single weight tensors, by the name of the layer.
    """

    name: str
    weight_bits: Bits
    activation_bits: Bits
    overrides: Mapping[str, Bits] = field(default_factory=dict)

    def allocation(self, network: Network, scheme: Scheme) -> Allocation:
        """Return the bits of every tensor of a network in this benchmark case."""
        ends = {network.only_input.name, *network.outputs}
        names = [layer.name for layer in network.weight_layers]
        return Allocation(
            {name: self.overrides.get(name, self.weight_bits) for name in names},
            {tensor: 8 if tensor in ends else self.activation_bits for tensor in network.tensors},
            dict.fromkeys(names, scheme),
        )


LARGEST: Final = ("s3_conv2", "s3_conv1", "s2_conv2")
CASES: Final = (
    Case("w8-a8", 8, 8),
    Case("w4-a8", 4, 8),
    Case("w4-a4", 4, 4),
    Case("largest-at-2", 4, 8, dict.fromkeys(LARGEST, 2)),
    Case("w2-a8", 2, 8),
    Case("w2-a4", 2, 4),
)

NOTHING: Final = PostTrainingOptions(equalization=False, rounding=Rounding.NEAREST, bias_correction=False)
STAGES: Final = {
    "calibration": NOTHING,
    "+ equalization": PostTrainingOptions(equalization=True, rounding=Rounding.NEAREST, bias_correction=False),
    "+ bias correction": PostTrainingOptions(equalization=True, rounding=Rounding.NEAREST),
    "+ learned rounding": PostTrainingOptions(equalization=True, channel_tuning=False),
    "+ tuned channels": PostTrainingOptions(equalization=True),
    "all but equalization": PostTrainingOptions(equalization=False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Accuracy and time of one stage of post-training quantization in one benchmark case.

    Attributes:
        case: The name of the case.
        stage: The name of the stage.
        seed: The seed that draws the samples.
        integer_only_percent: Accuracy of the integer-only network in the interpreter on the test images.
        seconds: Wall time in seconds.
        processor_seconds: Processor seconds of all threads, which depend little on other processes.
    """

    case: str
    stage: str
    seed: int
    integer_only_percent: float
    seconds: float
    processor_seconds: float


def measure(case: Case, stage: str, scheme: Scheme, task: Task, samples: SampleSource, steps: int, seed: int) -> Row:
    """Quantize a network after training, convert it to integers, and evaluate it with the interpreter."""
    options = STAGES[stage].replace(rounding_steps=steps, seed=seed)
    network, dataset = task.network, task.dataset
    started, processor_started = time.monotonic(), time.process_time()
    if options.equalization:
        network = equalized_on(network, samples, seed)
    float_network = float_module(network)
    module = prepare(network, case.allocation(network, scheme))
    calibrate(module, samples[:CALIBRATION_SAMPLES], float_network)
    improve(module, float_network, samples, options, Reporter(silent, 0))
    seconds, processor_seconds = time.monotonic() - started, time.process_time() - processor_started
    integer_network = convert(module.eval())
    right = 0
    for start in range(0, len(dataset.test_x), AT_ONCE):
        images = to_input_tensor(dataset.test_x[start : start + AT_ONCE], network)
        codes = run(integer_network, quantize_input(integer_network, images))[integer_network.outputs[0]]
        right += int((codes.reshape(len(codes), -1).argmax(axis=1) == _labels(dataset, start)).sum())
    return Row(case.name, stage, seed, 100 * right / len(dataset.test_x), seconds, processor_seconds)


def drawn_samples(task: Task, count: int, seed: int) -> Samples:
    """Return training samples of a task without their labels, which are drawn with a seed."""
    everything = task.dataset.train_x
    drawn = np.random.default_rng(7 + seed).permutation(len(everything))[:count]
    return everything[np.sort(drawn)]


def _labels(dataset: Dataset, start: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    assert dataset.test_y is not None  # noqa: S101  # every task has labels
    return dataset.test_y[start : start + AT_ONCE]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--scheme", type=click.Choice([str(each) for each in WeightScheme]), default="PerChannelSymLSQ")
@click.option("--folding", type=click.Choice([str(each) for each in Folding]), default="ICN")
@click.option("--only", type=click.Choice([case.name for case in CASES]), multiple=True, help="Run these cases.")
@click.option("--stage", type=click.Choice(list(STAGES)), multiple=True, help="Run these stages.")
@click.option("--task", "task_name", type=click.Choice(tasks.NAMES), default="resnet8", help="Network and data.")
@click.option("--samples", type=click.IntRange(2), default=512, help="Training samples without their labels.")
@click.option("--rounding-steps", type=click.IntRange(1), default=500, help="Optimizer steps of each block.")
@click.option("--seeds", type=click.IntRange(1), default=1, help="Number of seeds; each draws other samples.")
@click.option("--test-images", type=click.IntRange(1), help="Number of test samples; default: all.")
@click.option("--threads", type=click.IntRange(1), default=2, help="Of torch.")
def main(
    *,
    as_json: bool,
    scheme: str,
    folding: str,
    only: tuple[str, ...],
    stage: tuple[str, ...],
    task_name: str,
    samples: int,
    rounding_steps: int,
    seeds: int,
    test_images: int | None,
    threads: int,
) -> None:
    """Measure the accuracy and the time of every stage of post-training quantization in every case."""
    torch.set_num_threads(threads)
    task = tasks.task_named(task_name).shortened(None, test_images)
    given = Scheme(WeightScheme(scheme), Folding(folding))
    rows = []
    for case in CASES:
        for each in STAGES:
            if (only and case.name not in only) or (stage and each not in stage):
                continue
            for seed in range(seeds):
                drawn = drawn_samples(task, samples, seed)
                rows.append(measure(case, each, given, task, drawn, rounding_steps, seed))
                sys.stderr.write(f"{rows[-1]}\n")
    if as_json:
        click.echo(json.dumps({"scheme": scheme, "folding": folding, "rows": [asdict(row) for row in rows]}))
        return
    click.echo(f"{task_name}, {scheme} {folding}, {samples} samples, {len(task.dataset.test_x)} test samples")
    click.echo("case          stage                  seed  integer-only  seconds  of processors")
    for row in rows:
        click.echo(
            f"{row.case:<13} {row.stage:<22} {row.seed:>4} {row.integer_only_percent:>13.2f} {row.seconds:>8.0f} "
            f"{row.processor_seconds:>14.0f}"
        )


if __name__ == "__main__":
    main()
