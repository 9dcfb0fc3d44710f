"""The trainings of a benchmark: equal trainings are run only once, and their outcomes are recorded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from benchmarks.estimated_epochs import estimated_epochs
from benchmarks.kept import Kept
from benchmarks.narration import Narration
from benchmarks.outcome import Outcome
from benchmarks.tasks import Task
from network.allocation import Allocation
from network.network import Network
from qat.data.images import fitted
from qat.options.chosen import ChosenOptions
from qat.options.training import TrainingOptions
from qat.progress import Report, silent
from qat.train import train
from qat.training.fingerprint import fingerprint_of
from qat.training.parallel import joined
from qat.training.processor import processor_of
from qat.training.recipe.recipe import recipe_for
from qat.training.reporting import Reporter

# Approximate costs in forward passes of the float network for one image; only the estimated time depends on them.
_TRAINING_COST: Final = 5.0
_JUDGING_COST: Final = 2.0


@dataclass(frozen=True, eq=False)
class Training:
    """One training of one network in a benchmark.

    Attributes:
        label: The name of the training in progress messages.
        task: The task whose data is used.
        network: The network, with its layers in the order in which they run.
        allocation: The bits and schemes of the network.
        options: The options of the training; with 0 epochs, the network is only calibrated.
        by_brevitas: Whether Brevitas trains the network.
    """

    label: str
    task: Task
    network: Network
    allocation: Allocation
    options: TrainingOptions
    by_brevitas: bool = False

    @property
    def key(self) -> str:
        """Fingerprint (hash) of all inputs of a training on which its outcome depends."""
        # Brevitas ignores the schemes.
        given = self.allocation
        return fingerprint_of(
            self.task.fingerprint,
            _in_order(given.weight_bits),
            _in_order(given.activation_bits),
            {} if self.by_brevitas else {name: f"{each}" for name, each in sorted(given.schemes.items())},
            self.options.what_counts(),
            self.by_brevitas,
        )

    @property
    def cost(self) -> float:
        """Relative duration of a training, compared with the other trainings of the benchmark."""
        images = len(self.task.dataset.train_x)
        held_out = images * self.options.validation_fraction
        epochs = estimated_epochs(self.options, self.network, max(1, round(images - held_out)))
        judged = (epochs + 1) * held_out + 3 * len(self.task.dataset.test_x)
        return _TRAINING_COST * epochs * (images - held_out) + _JUDGING_COST * judged

    @property
    def what(self) -> dict[str, Any]:
        """Description of a training for a person who reads the file of recorded outcomes."""
        return {
            "task": self.task.name,
            "label": self.label,
            "epochs": self.options.epochs,
            "seed": self.options.seed,
            "weight_bits": dict(self.allocation.weight_bits),
            "activation_bits": dict(self.allocation.activation_bits),
        }

    def resolved(self) -> Training:
        """Return the same training with the options that the recipe chooses, so that equal trainings have one key."""
        if isinstance(self.options, ChosenOptions):
            return self
        processor, dataset = processor_of(self.options), fitted(self.task.dataset, self.network)
        with joined(processor) as processes:
            recipe = recipe_for(
                self.network, self.allocation, dataset, self.options, processor, processes, Reporter(silent, 0)
            )
        return replace(self, options=recipe.options)

    def outcome(self, report: Report) -> Outcome:
        """Train the network, and evaluate it on the test set once."""
        if self.by_brevitas:
            from benchmarks.brevitas_training import trained_by_brevitas

            assert isinstance(self.options, ChosenOptions)  # noqa: S101  # Brevitas has no recipe
            return trained_by_brevitas(self.network, self.allocation, self.task.dataset, self.options, report)
        started = time.monotonic()
        result = train(self.network, self.allocation, self.task.dataset, self.options, report=report)
        assert result.accuracy is not None  # noqa: S101  # every task has a test set
        best = next(epoch for epoch in result.epochs if epoch.epoch == result.best_epoch)
        return Outcome(
            percent=result.accuracy.integer_only_percent,
            is_integer_only=True,
            fake_quantized_percent=result.accuracy.fake_quantized_percent,
            float_percent=result.accuracy.float_percent,
            validation_percent=best.validation_quality,
            best_epoch=result.best_epoch,
            seconds=time.monotonic() - started,
        )


def run_all(trainings: Iterable[Training], kept: Kept) -> None:
    """Run all trainings without a recorded outcome, and record each outcome as soon as it is known."""
    missing: dict[str, Training] = {}
    for training in trainings:
        key = training.key
        if key not in kept:
            missing.setdefault(key, training)
    narration = Narration([training.cost for training in missing.values()])
    for key, training in missing.items():
        narration.begin(training.label)
        outcome = training.outcome(narration)
        kept.remember(key, outcome, training.what)
        narration.end(f"{outcome.percent:.2f} % in {outcome.seconds:.0f} s")


def _in_order(bits: Mapping[str, int]) -> dict[str, int]:
    return {name: int(each) for name, each in sorted(bits.items())}
