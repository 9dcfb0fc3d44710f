"""Benchmark of post-training quantization: integer-only accuracy of ResNet8 on CIFAR-10 without any training.

    python -m benchmarks.post_training [--json] [--scheme NAME] [--folding NAME] [--only CASE] [--test-images N]

The stages of each case are calibration alone; then calibration with equalization, with bias correction and with learned
rounding, each added to the previous ones; and all of them except equalization. All stages use only training images
without their labels.

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

from benchmarks import cifar10, networks
from deploy.interpreter import quantize_input, run
from network.allocation import Allocation, Bits, Folding, Scheme, WeightScheme
from network.network import Network
from qat.calibration import calibrate
from qat.conversion import convert
from qat.data.dataset import Dataset, to_input_tensor
from qat.options.post_training import PostTrainingOptions, Rounding
from qat.post_training.equalization import equalized
from qat.post_training.improve import improve
from qat.prepare import float_module, prepare
from qat.progress import silent
from qat.training.reporting import Reporter

AT_ONCE: Final = 250
CALIBRATION_SAMPLES: Final = 512


@dataclass(frozen=True, slots=True)
class Case:
    """Bits of all tensors of ResNet8 in one benchmark case; the input and the logits always have 8 bits.

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

    def allocation(self, resnet8: Network, scheme: Scheme) -> Allocation:
        """Return the bits of every tensor of ResNet8 in this benchmark case."""
        ends = {resnet8.only_input.name, *resnet8.outputs}
        names = [layer.name for layer in resnet8.weight_layers]
        return Allocation(
            {name: self.overrides.get(name, self.weight_bits) for name in names},
            {tensor: 8 if tensor in ends else self.activation_bits for tensor in resnet8.tensors},
            dict.fromkeys(names, scheme),
        )


LARGEST: Final = ("s3_conv2", "s3_conv1", "s2_conv2")
CASES: Final = (
    Case("w8-a8", 8, 8),
    Case("w4-a8", 4, 8),
    Case("w4-a4", 4, 4),
    Case("largest-at-2", 4, 8, dict.fromkeys(LARGEST, 2)),
    Case("w2-a8", 2, 8),
)

NOTHING: Final = PostTrainingOptions(equalization=False, rounding=Rounding.NEAREST, bias_correction=False)
STAGES: Final = {
    "calibration": NOTHING,
    "+ equalization": PostTrainingOptions(equalization=True, rounding=Rounding.NEAREST, bias_correction=False),
    "+ bias correction": PostTrainingOptions(equalization=True, rounding=Rounding.NEAREST),
    "+ learned rounding": PostTrainingOptions(equalization=True),
    "all but equalization": PostTrainingOptions(equalization=False),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Accuracy and time of one stage of post-training quantization in one benchmark case.

    Attributes:
        case: The name of the case.
        stage: The name of the stage.
        integer_only_percent: Accuracy of the integer-only network in the interpreter on the test images.
        seconds: Wall time in seconds.
        processor_seconds: Processor seconds of all threads, which depend little on other processes.
    """

    case: str
    stage: str
    integer_only_percent: float
    seconds: float
    processor_seconds: float


def measure(case: Case, stage: str, scheme: Scheme, dataset: Dataset, test_images: int) -> Row:
    """Quantize a network after training, convert it to integers, and evaluate it with the interpreter."""
    options = STAGES[stage]
    given = networks.resnet8()
    started, processor_started = time.monotonic(), time.process_time()
    resnet8 = equalized(given) if options.equalization else given
    float_network = float_module(resnet8)
    module = prepare(resnet8, case.allocation(resnet8, scheme))
    samples = dataset.train_x[: max(CALIBRATION_SAMPLES, options.samples)]
    calibrate(module, samples[:CALIBRATION_SAMPLES], float_network)
    improve(module, float_network, samples, options, Reporter(silent, 0))
    seconds, processor_seconds = time.monotonic() - started, time.process_time() - processor_started
    integer_network = convert(module.eval())
    right = 0
    for start in range(0, test_images, AT_ONCE):
        images = to_input_tensor(dataset.test_x[start : start + AT_ONCE], resnet8)
        codes = run(integer_network, quantize_input(integer_network, images))[integer_network.outputs[0]]
        right += int((codes.reshape(len(codes), -1).argmax(axis=1) == _labels(dataset, start)).sum())
    return Row(case.name, stage, 100 * right / test_images, seconds, processor_seconds)


def _labels(dataset: Dataset, start: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    assert dataset.test_y is not None  # noqa: S101  # CIFAR-10 has labels
    return dataset.test_y[start : start + AT_ONCE]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--scheme", type=click.Choice([str(each) for each in WeightScheme]), default="PerChannelSymLSQ")
@click.option("--folding", type=click.Choice([str(each) for each in Folding]), default="ICN")
@click.option("--only", type=click.Choice([case.name for case in CASES]), multiple=True, help="Run these cases.")
@click.option("--stage", type=click.Choice(list(STAGES)), multiple=True, help="Run these stages.")
@click.option(
    "--test-images",
    type=click.IntRange(AT_ONCE, 10_000),
    default=10_000,
    help="Number of test images, a multiple of 250.",
)
@click.option("--threads", type=click.IntRange(1), default=2, help="Of torch.")
def main(
    *,
    as_json: bool,
    scheme: str,
    folding: str,
    only: tuple[str, ...],
    stage: tuple[str, ...],
    test_images: int,
    threads: int,
) -> None:
    """Measure the accuracy and the time of every stage of post-training quantization in every case."""
    torch.set_num_threads(threads)
    if test_images % AT_ONCE:
        raise click.ClickException(f"--test-images is {test_images}; expected a multiple of {AT_ONCE}")
    dataset = cifar10.load()
    rows = []
    for case in CASES:
        for each in STAGES:
            if (only and case.name not in only) or (stage and each not in stage):
                continue
            rows.append(measure(case, each, Scheme(WeightScheme(scheme), Folding(folding)), dataset, test_images))
            sys.stderr.write(f"{rows[-1]}\n")
    if as_json:
        click.echo(json.dumps({"scheme": scheme, "folding": folding, "rows": [asdict(row) for row in rows]}))
        return
    click.echo(f"{scheme} {folding}, {test_images} test images")
    click.echo("case          stage                  integer-only  seconds  of processors")
    for row in rows:
        click.echo(
            f"{row.case:<13} {row.stage:<22} {row.integer_only_percent:>12.2f} {row.seconds:>8.0f} "
            f"{row.processor_seconds:>14.0f}"
        )


if __name__ == "__main__":
    main()
