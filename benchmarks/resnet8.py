"""Benchmark of integer-only accuracy of ResNet8 on CIFAR-10, at 8 bits and with half of its flash.

    python -m benchmarks.resnet8 [--json] [--only 8-bit|half-flash]

Set OMP_WAIT_POLICY=PASSIVE if other processes use the same cores: otherwise waiting threads spin, and the benchmark
needs five times as long.

The benchmark reads `../shared/models/resnet8_cifar10.onnx` and `../shared/data/cifar10_jpeg.npz`. The test set is used
once, at the end; all choices were made on samples held out of the training set.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click

from benchmarks import cifar10, networks
from network.allocation import WIDEST_BITS, Allocation
from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory.measure import measure
from network.memory.paper import PaperAccounting
from network.network import Network
from qat.data.dataset import Dataset
from qat.options.training import TrainingOptions
from qat.progress import Progress
from qat.train import Accuracy, train
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.question import Question

PHOTOGRAPHS = TrainingOptions(threads=2)
"""The default options, with two threads: a single run may use both cores of a small machine."""


@dataclass(frozen=True, slots=True)
class Case:
    """Case of the ResNet8 benchmark: a flash budget and a number of epochs.

    Attributes:
        name: The name of the case.
        flash_share: Flash budget divided by the flash that the network needs with 8 bits for every tensor; RAM is not
            limited.
        epochs: Number of epochs of training.
        most_points_lost: Maximum loss of integer-only accuracy compared with float, in percentage points.
    """

    name: str
    flash_share: float
    epochs: int
    most_points_lost: float


CASES = (
    Case("8-bit", flash_share=1.0, epochs=0, most_points_lost=0.5),
    Case("half-flash", flash_share=0.5, epochs=3, most_points_lost=1.5),
)


@dataclass(frozen=True, slots=True)
class Row:
    """Accuracies, flash and time of one case of the ResNet8 benchmark."""

    case: Case
    flash_bytes: float
    weight_bits: dict[str, int]
    accuracy: Accuracy
    seconds: float

    @property
    def points_lost(self) -> float:
        return self.accuracy.float_percent - self.accuracy.integer_only_percent


def allocation_for(resnet8: Network, flash_share: float) -> Allocation:
    """Choose bits by the rule MixPC under a share of the flash of 8 bits everywhere, by the paper's accounting."""
    accounting = PaperAccounting()
    unbounded = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
    question = Question(
        network=resnet8, budget=unbounded, accounting=accounting, options=SolveOptions(method=Method.MIXPC)
    )
    widest = fit(question).allocation
    assert widest is not None  # noqa: S101  # every network fits into a tebibyte
    assert set(widest.weight_bits.values()) == {WIDEST_BITS}  # noqa: S101  # the rules reduce bits only if they must
    flash_bytes = int(measure(resnet8, widest, accounting).flash_bytes * flash_share)
    solution = fit(replace(question, budget=replace(unbounded, flash_bytes=flash_bytes)))
    assert solution.allocation is not None  # noqa: S101  # 2 bits need only a quarter of the flash
    return solution.allocation


def run(case: Case, dataset: Dataset, resnet8: Network) -> Row:
    """Train ResNet8 with the bits of one benchmark case, and measure its accuracies."""
    started = time.monotonic()
    allocation = allocation_for(resnet8, case.flash_share)
    result = train(resnet8, allocation, dataset, PHOTOGRAPHS.replace(epochs=case.epochs), report=_Line())
    assert result.accuracy is not None  # noqa: S101  # CIFAR-10 has a test set
    return Row(
        case,
        measure(resnet8, allocation, PaperAccounting()).flash_bytes,
        dict(allocation.weight_bits),
        result.accuracy,
        time.monotonic() - started,
    )


class _Line:
    """Callback that prints training progress on standard error: one line for every phase and every ten seconds."""

    def __init__(self) -> None:
        self._last = ("", float("-inf"))

    def __call__(self, progress: Progress) -> None:
        phase, reported_at = self._last
        if progress.phase == phase and time.monotonic() - reported_at < 10:
            return
        self._last = (progress.phase, time.monotonic())
        left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
        sys.stderr.write(f"{progress.phase} {progress.step or 0}/{progress.steps or 0}{left}\n")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--only", type=click.Choice([case.name for case in CASES]), help="Run one case.")
def main(*, as_json: bool, only: str | None) -> None:
    """Measure the accuracy of ResNet8 in each benchmark case."""
    for needed in (networks.RESNET8_FILE, cifar10.FILE):
        if not Path(needed).exists():
            raise click.ClickException(f"needs {needed.name} in ../shared")
    resnet8, dataset = networks.resnet8(), cifar10.load()
    rows = [run(case, dataset, resnet8) for case in CASES if only in {None, case.name}]
    if as_json:
        click.echo(json.dumps({row.case.name: asdict(row) | {"points_lost": row.points_lost} for row in rows}))
        return
    click.echo("case        flash bytes  epochs  float  fake-quantized  integer-only  lost  agreement  seconds")
    for row in rows:
        accuracy = row.accuracy
        click.echo(
            f"{row.case.name:<10} {row.flash_bytes:>12.0f} {row.case.epochs:>7} {accuracy.float_percent:>6.2f} "
            f"{accuracy.fake_quantized_percent:>15.2f} {accuracy.integer_only_percent:>13.2f} {row.points_lost:>5.2f} "
            f"{accuracy.top1_agreement_percent:>10.2f} {row.seconds:>8.0f}"
        )


if __name__ == "__main__":
    main()
