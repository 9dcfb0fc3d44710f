"""Each task on real data at half the flash of 8 bits: `python -m benchmarks.task_table [NAME ...] [--json]`.

    float network -> bits (exact, accounting `paper`, half of the 8-bit flash) -> two epochs -> integer-only network

The quality is that of the test set, by the metric of the task: of the float network, of the integer-only network after
calibration alone, and after training. The networks are those of `examples/tasks`, and of `../shared`: `resnet8` on
CIFAR-10, `dscnn` on spoken digits, and MLPerf Tiny's int8 files, which start from their own ranges. `resnet8_int8` is
trained on images of CIFAR-10, the other int8 files on samples without targets, uniform over the range of their input.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

import bitbudget
from benchmarks import cifar10, digits
from benchmarks.litert_reference import LiteRTReference, with_bias_axes_mended
from benchmarks.markdown import markdown
from benchmarks.tasks import task_named
from examples.tasks.problems import PROBLEMS, Problem, autoencoder
from examples.tasks.train_tasks import trained_network
from qat.options.task import TERMS, Metric

INT8_NAMES: Final = ("resnet8_int8", "kws_int8", "ad01_int8", "vww_96_int8")
"""The int8 files of MLPerf Tiny."""

INT8_IMAGES: Final = 10_000
"""Number of images on which the int8 network of CIFAR-10 is trained."""

INT8_TEST_SAMPLES: Final = 256
"""Number of test samples of the other int8 networks, which have three times as many training samples."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """Quality of one network at half the flash of 8 bits.

    Attributes:
        name: Name of the problem.
        task: The task that followed from the targets.
        samples: Number of training samples.
        flash_bytes: Flash of the chosen bits by the accounting `paper`.
        metric: Metric of the task.
        float_network: Figure of the float network.
        calibrated: Figure of the integer-only network without training.
        trained: Figure of the integer-only network after training.
        seconds: Time of the training with its measurement of sensitivities, in seconds.
    """

    name: str
    task: str
    samples: int
    flash_bytes: float
    metric: Metric
    float_network: float | None
    calibrated: float
    trained: float
    seconds: float


def measured(name: str, network: bitbudget.Network, dataset: bitbudget.Dataset, epochs: int = 2) -> TaskRow:
    """Train one network at half the flash of 8 bits, and return its row.

    Args:
        name: Name of the row.
        network: The float network.
        dataset: Samples and targets.
        epochs: Number of epochs of the training.
    """
    full = bitbudget.fit(
        network, flash="64MB", ram="64MB", accounting="paper", allowed_weight_bits={"*": [8]},
        allowed_activation_bits={"*": [8]},
    )  # fmt: skip
    flash = int(full.answer.memory.flash_bytes / 2)
    results, started = [], 0.0
    for count in (0, epochs):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            options = bitbudget.TrainingOptions(epochs=count)
            results.append(
                bitbudget.train(
                    network, dataset, flash=flash, ram="64MB", accounting="paper", out=out, training=options
                ).report
            )
    calibrated, trained = (report.quality for report in results)
    assert calibrated is not None  # noqa: S101  # every problem has a test set
    assert trained is not None  # noqa: S101
    return TaskRow(
        name, str(results[1].task), len(dataset.train_x), results[1].memory.flash_bytes, trained.metric, trained.float_,
        calibrated.integer_only, trained.integer_only, time.monotonic() - started,
    )  # fmt: skip


def cases() -> dict[str, Callable[[], tuple[bitbudget.Network, bitbudget.Dataset]]]:
    """Return the network and the data of each row by name; float networks of the examples are trained when called."""
    made: dict[str, Callable[[], tuple[bitbudget.Network, bitbudget.Dataset]]] = {}
    for name in ("resnet8", "dscnn"):
        made[name] = lambda name=name: _shared(name)  # type: ignore[misc]  # mypy does not infer the default
    for name, make in PROBLEMS.items():
        made[name] = lambda make=make: _trained(make())  # type: ignore[misc]
    made["autoencoder"] = lambda: _trained(_autoencoder())
    for name in INT8_NAMES:
        made[name] = lambda name=name: _int8(name)  # type: ignore[misc]
    return made


def _shared(name: str) -> tuple[bitbudget.Network, bitbudget.Dataset]:
    task = task_named(name)
    return task.network, task.dataset


def _int8(name: str) -> tuple[bitbudget.Network, bitbudget.Dataset]:
    content = (cifar10.SHARED / "networks" / f"{name}.tflite").read_bytes()
    network = bitbudget.read(content, name)
    if name == "resnet8_int8":
        data = cifar10.load()
        assert data.train_y is not None  # noqa: S101  # CIFAR-10 has labels
        return network, replace(data, train_x=data.train_x[:INT8_IMAGES], train_y=data.train_y[:INT8_IMAGES])
    drawn = np.stack(LiteRTReference(with_bias_axes_mended(content)).samples(4 * INT8_TEST_SAMPLES))
    samples = drawn.reshape(-1, *network.only_input.format.dims)
    return network, bitbudget.Dataset(name, samples[INT8_TEST_SAMPLES:], None, samples[:INT8_TEST_SAMPLES], None)


def _trained(problem: Problem) -> tuple[bitbudget.Network, bitbudget.Dataset]:
    return trained_network(problem), problem.dataset


def _autoencoder() -> Problem:
    with np.load(digits.FILE) as arrays:
        features = [arrays[f"{part}_mfcc"].reshape(len(arrays[f"{part}_mfcc"]), -1) for part in ("train", "test")]
        numbers = [arrays[f"{part}_labels"] for part in ("train", "test")]
    return autoencoder(features[0], numbers[0], features[1], numbers[1])


def table(rows: list[TaskRow]) -> str:
    """Return the rows as a Markdown table."""
    columns = ("network", "task", "samples", "flash bytes", "metric", "float", "calibrated", "trained", "seconds")
    lines = []
    for each in rows:
        terms = TERMS[each.metric]
        figures = [terms.text(figure) for figure in (each.float_network, each.calibrated, each.trained)]
        lines.append(
            (
                each.name, f"`{each.task}`", f"{each.samples:,}", f"{each.flash_bytes:,.0f}", terms.words, *figures,
                f"{each.seconds:.0f}",
            )
        )  # fmt: skip
    return markdown(columns, lines)


def main(given: list[str] | None = None) -> int:
    known = cases()
    parser = argparse.ArgumentParser(description="Train a network of each task at half the flash of 8 bits.")
    parser.add_argument("names", nargs="*", help=f"names of rows: {', '.join(known)}; without names, all")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args(given)
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"unknown row: {unknown[0]}; expected {', '.join(known)}")
    rows = []
    for name in arguments.names or known:
        rows.append(measured(name, *known[name](), arguments.epochs))
        print(f"{name} done in {rows[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    print(json.dumps([asdict(each) for each in rows], indent=2) if arguments.json else table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
