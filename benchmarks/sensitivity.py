"""Which measure of sensitivity chooses the best bits: integer-only accuracy of ResNet8 on CIFAR-10 at five budgets.

    python -m benchmarks.sensitivity [--json] [--epochs N] [--train-images N] [--seeds N] [--keep FILE]
    python -m benchmarks.sensitivity --spread     # how far the estimates are from the divergence on other images
    python -m benchmarks.sensitivity --speed      # fisher on MobileNetV1 1.0/224, which needs nothing of ../shared

For each budget the exact program minimises each measure's table; the rule MixPC stands beside. `diagonal` is a table as
a user would upload it: the Fisher information with a diagonal in place of blocks, as BRECQ and FIT take it. Every
allocation is converted after calibration alone, and again after the same short training (one pass over a part of the
training set), and both integer-only networks are judged on all 10,000 test images. Equal allocations are trained once.
`--keep` remembers what is trained already, so that an interrupted run goes on.

Set OMP_WAIT_POLICY=PASSIVE where other processes want the same cores. Reads `../shared`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import click
import numpy as np
import torch
from torch import Tensor

from benchmarks import cifar10, networks
from network.accounting import accounting_named
from network.allocation import BITS, Allocation, WeightScheme
from network.budget import MAX_BUDGET_BYTES, Budget
from network.network import Network
from network.sensitivity import SensitivityTable, sensitivity_from_json, sensitivity_to_json
from qat.data.batches import tensor_of
from qat.data.dataset import Dataset, SampleSource, labelled
from qat.module import float_module
from qat.options.sensitivity import Measure, SensitivityOptions
from qat.options.training import ActivationRange, Regime, TrainingOptions
from qat.sensitivity.errors import tensor_errors
from qat.sensitivity.fisher import drawn_loss
from qat.sensitivity.measuring import measure_sensitivity
from qat.sensitivity.sums import Sums
from qat.train import train
from solver.fit import fit
from solver.solution import Method
from solver.weight_sensitivity import weight_sensitivity

SCHEME: Final = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX
BUDGETS: Final = ((0.60, 1.0), (0.45, 1.0), (0.38, 1.0), (0.60, 0.5), (0.45, 0.35))
"""Flash and RAM as shares of what 8 bits everywhere take, by the `deployed` accounting."""

TRAINING: Final = TrainingOptions(
    regime=Regime.COSINE, learning_rate=1e-3, activation_range=ActivationRange.LEARNED, threads=2
)
"""Learned clipping, as `SCHEME` is the paper's: the measures are compared under one training that never changes."""

SAMPLES: Final = 256
JUDGES: Final = 2000
BATCH: Final = 16


@dataclass(frozen=True, slots=True)
class Row:
    """One measure at one budget."""

    flash_share: float
    ram_share: float
    measure: str
    objective: float | None
    weight_bits: dict[str, int]
    activation_bits: dict[str, int]
    calibrated_percent: float
    trained_percent: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of an allocation: integer-only accuracy in percent of the test set."""

    calibrated_percent: float
    trained_percent: float


def tables(resnet8: Network, dataset: Dataset) -> tuple[dict[str, SensitivityTable], dict[str, float]]:
    """The measures' tables, and the seconds that each took."""
    found: dict[str, SensitivityTable] = {}
    seconds: dict[str, float] = {}
    labels = labelled(dataset.train_y)

    def keep(name: str, started: float, table: SensitivityTable) -> None:
        seconds[name] = time.perf_counter() - started
        found[name] = table

    measure_sensitivity(resnet8, dataset.train_x[:32], labels[:32], SensitivityOptions())  # torch warms up
    started = time.perf_counter()
    keep("weights", started, weight_sensitivity(resnet8, SCHEME))
    for measure in Measure:
        started = time.perf_counter()
        options = SensitivityOptions(measure=measure, scheme=SCHEME, samples=SAMPLES)
        keep(str(measure), started, measure_sensitivity(resnet8, dataset.train_x, labels, options))
    started = time.perf_counter()
    keep("diagonal", started, sensitivity_from_json(sensitivity_to_json(diagonal_fisher(resnet8, dataset.train_x))))
    return found, seconds


def diagonal_fisher(resnet8: Network, images: SampleSource) -> SensitivityTable:
    """1/2 sum of g^2 e^2 over the elements of each tensor, g on labels drawn from the network's answer."""
    randomness = np.random.default_rng(0)
    chosen = randomness.permutation(len(images))[:SAMPLES]
    errors = tensor_errors(float_module(resnet8), images[chosen], SCHEME)
    sums = Sums()
    for start in range(0, SAMPLES, BATCH):
        given = tensor_of(images[chosen[start : start + BATCH]], resnet8).requires_grad_()
        tensors = errors.float_network.tensors(given)
        weights = [errors.parameters(layer).weight for layer in resnet8.weight_layers]
        loss = drawn_loss(tensors[resnet8.outputs[0]].flatten(1), randomness)
        gradients = torch.autograd.grad(loss, [*weights, *tensors.values()])
        for layer, gradient in zip(resnet8.weight_layers, gradients, strict=False):
            of_layer = errors.weights[layer.name]
            sums.weights.add(layer.name, {bits: _half_square(gradient * of_layer[bits]) for bits in BITS})
        for (name, values), gradient in zip(tensors.items(), gradients[len(weights) :], strict=True):
            of_tensor = partial(errors.activation, name, values.detach())
            sums.activations.add(name, {bits: _half_square(gradient * of_tensor(bits)) for bits in BITS})
    return sums.table("diagonal Fisher", resnet8, SAMPLES)


def _half_square(values: Tensor) -> float:
    return 0.5 * float(values.double().square().sum())


def outcome(resnet8: Network, allocation: Allocation, dataset: Dataset, epochs: int, seed: int) -> Outcome:
    """Integer-only accuracy after calibration alone, and after training."""
    calibrated, trained = (
        train(resnet8, allocation, dataset, replace(TRAINING, epochs=each, seed=seed)) for each in (0, epochs)
    )
    return Outcome(calibrated.accuracy.integer_only_percent, trained.accuracy.integer_only_percent)


class Kept:
    """Outcomes that are known already, in a file where one is named.

    Args:
        path: the file; None keeps them for this run alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, float]] = json.loads(path.read_text()) if path and path.exists() else {}

    def outcome(self, key: list[Any], find: Callable[[], Outcome]) -> Outcome:
        """The outcome of a key, found now if it is not known."""
        text = json.dumps(key)
        if text not in self._known:
            self._known[text] = asdict(find())
            if self._path:
                self._path.write_text(json.dumps(self._known))
        return Outcome(**self._known[text])


def measured(epochs: int, train_images: int, seeds: int, kept: Kept) -> dict[str, Any]:
    """All budgets and measures."""
    resnet8, dataset = networks.resnet8(), cifar10.load()
    dataset = replace(dataset, train_x=dataset.train_x[:train_images], train_y=labelled(dataset.train_y)[:train_images])
    accounting = accounting_named("deployed")
    by_measure, seconds = tables(resnet8, dataset)
    ample = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
    widest = fit(resnet8, ample, Method.EXACT, accounting, by_measure["weights"]).memory
    rows = []
    for flash_share, ram_share in BUDGETS:
        budget = Budget(int(widest.flash_bytes * flash_share), int(widest.ram_bytes * ram_share))
        solutions = {name: fit(resnet8, budget, Method.EXACT, accounting, table) for name, table in by_measure.items()}
        solutions["(mixpc)"] = fit(resnet8, budget, Method.MIXPC, accounting)
        for name, solution in solutions.items():
            allocation = solution.allocation
            assert allocation is not None  # noqa: S101  # every budget is above the least
            weight_bits, activation_bits = dict(allocation.weight_bits), dict(allocation.activation_bits)
            sys.stderr.write(f"{name} at {flash_share:.0%} of flash, {ram_share:.0%} of RAM\n")
            found = [
                kept.outcome(
                    [epochs, train_images, seed, weight_bits, activation_bits],
                    partial(outcome, solution.network, allocation, dataset, epochs, seed),
                )
                for seed in range(seeds)
            ]
            rows.append(
                Row(
                    flash_share,
                    ram_share,
                    name,
                    solution.objective,
                    {layer: int(bits) for layer, bits in weight_bits.items()},
                    {tensor: int(bits) for tensor, bits in activation_bits.items()},
                    calibrated_percent=fmean(each.calibrated_percent for each in found),
                    trained_percent=fmean(each.trained_percent for each in found),
                )
            )
    return {
        "seconds": seconds,
        "epochs": epochs,
        "train_images": train_images,
        "seeds": seeds,
        "rows": [asdict(row) for row in rows],
    }


def spreads() -> dict[str, dict[str, float]]:
    """How far each measure is from the output's divergence on 2,000 images that it did not see.

    Returns:
        Measure -> "weights" and "activations" -> the standard deviation of the natural logarithm of the ratio, over the
        figures at 4 and 2 bits. A factor common to all figures changes nothing.
    """
    resnet8, dataset = networks.resnet8(), cifar10.load()
    seen, unseen, labels = dataset.train_x[:-JUDGES], dataset.train_x[-JUDGES:], labelled(dataset.train_y)
    by_measure, _ = tables(resnet8, replace(dataset, train_x=seen, train_y=labels[:-JUDGES]))
    options = SensitivityOptions(measure=Measure.MEASURED, scheme=SCHEME, samples=JUDGES)
    truth = measure_sensitivity(resnet8, unseen, labels[-JUDGES:], options)
    kept = {resnet8.input, *resnet8.outputs}  # they are never cut
    found = {}
    for name, table in by_measure.items():
        logarithms = {
            "weights": [
                np.log(row[bits] / truth.weights[of][bits]) for of, row in table.weights.items() for bits in (4, 2)
            ],
            "activations": [
                np.log(row[bits] / truth.activations[of][bits])
                for of, row in table.activations.items()
                if of not in kept
                for bits in (4, 2)
            ],
        }
        found[name] = {part: float(np.std(values)) for part, values in logarithms.items()}
    return found


def speed() -> dict[str, float]:
    """Seconds of `fisher` on MobileNetV1 1.0/224 with random weights and images."""
    network = networks.mobilenet_v1(1.0, 224, 1000, seed=0)
    images = np.random.default_rng(0).standard_normal((SAMPLES, 3, 224, 224)).astype(np.float32)
    started = time.perf_counter()
    measure_sensitivity(network, images, np.zeros(SAMPLES, dtype=np.int64), SensitivityOptions(samples=SAMPLES))
    return {"images": SAMPLES, "seconds": time.perf_counter() - started}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("--spread", "only_spread", is_flag=True, help="Only compare figures with the divergence on other images.")
@click.option("--speed", "only_speed", is_flag=True, help="Only time fisher on MobileNetV1 1.0/224.")
@click.option("--epochs", default=1, show_default=True, help="Of training.")
@click.option("--train-images", default=15_000, show_default=True, help="How many images are trained on.")
@click.option("--seeds", default=1, show_default=True, help="Of training; accuracies are averaged over them.")
@click.option("--keep", type=click.Path(path_type=Path), help="Remember trained allocations in this file.")
def main(
    *, as_json: bool, only_spread: bool, only_speed: bool, epochs: int, train_images: int, seeds: int, keep: Path | None
) -> None:
    """Compare the measures of sensitivity."""
    if only_speed:
        found = speed()
        click.echo(json.dumps(found) if as_json else f"{found['images']} images in {found['seconds']:.1f} s")
        return
    for needed in (networks.RESNET8_FILE, cifar10.FILE):
        if not Path(needed).exists():
            raise click.ClickException(f"needs {needed.name} in ../shared")
    if only_spread:
        for name, row in spreads().items():
            click.echo(f"{name:10} weights {row['weights']:.2f}  activations {row['activations']:.2f}")
        return
    result = measured(epochs, train_images, seeds, Kept(keep))
    if as_json:
        click.echo(json.dumps(result))
        return
    names = list(dict.fromkeys(row["measure"] for row in result["rows"]))
    for what, field in (
        ("calibrated", "calibrated_percent"),
        (f"after {epochs} epoch(s) of {train_images} images", "trained_percent"),
    ):
        click.echo(f"\ninteger-only accuracy, {what}, %\nflash   RAM  " + "".join(f"{name:>10}" for name in names))
        for flash_share, ram_share in BUDGETS:
            cells = [
                row[field]
                for row in result["rows"]
                if (row["flash_share"], row["ram_share"]) == (flash_share, ram_share)
            ]
            click.echo(f"{flash_share:5.0%} {ram_share:5.0%}  " + "".join(f"{cell:10.2f}" for cell in cells))
        means = [np.mean([row[field] for row in result["rows"] if row["measure"] == name]) for name in names]
        click.echo(f"{'mean':13}" + "".join(f"{mean:10.2f}" for mean in means))
    click.echo(f"\n{'seconds':13}" + "".join(f"{result['seconds'].get(name, 0.0):10.1f}" for name in names))


if __name__ == "__main__":
    main()
