"""The trainings of a benchmark: each is run once, whoever asks for it, and remembered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.kept import Kept
from benchmarks.narration import Narration
from benchmarks.outcome import Outcome
from benchmarks.tasks import Task
from network.allocation import Allocation
from network.network import Network
from qat.options.training import TrainingOptions
from qat.progress import Report
from qat.train import train
from qat.training.fingerprint import fingerprint_of

# In forward passes of the float network for one image, roughly; only the estimate of time depends on it.
_TRAINING_COST: Final = 5.0
_JUDGING_COST: Final = 2.0


@dataclass(frozen=True, eq=False)
class Training:
    """One training of one network.

    Attributes:
        label: for people.
        task: whose data it learns from.
        network: in the order in which it runs.
        allocation: its bits and schemes.
        options: how; no epochs only calibrate.
        by_brevitas: Brevitas trains.
    """

    label: str
    task: Task
    network: Network
    allocation: Allocation
    options: TrainingOptions
    by_brevitas: bool = False

    @property
    def key(self) -> str:
        """The fingerprint of what the outcome depends on; Brevitas knows no schemes."""
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
        """How long it takes, beside the others."""
        images = len(self.task.dataset.train_x)
        held_out = images * self.options.validation_fraction
        judged = (self.options.epochs + 1) * held_out + 3 * len(self.task.dataset.test_x)
        return _TRAINING_COST * self.options.epochs * (images - held_out) + _JUDGING_COST * judged

    @property
    def what(self) -> dict[str, Any]:
        """For a human reader."""
        return {
            "task": self.task.name,
            "label": self.label,
            "epochs": self.options.epochs,
            "seed": self.options.seed,
            "weight_bits": dict(self.allocation.weight_bits),
            "activation_bits": dict(self.allocation.activation_bits),
        }

    def outcome(self, report: Report) -> Outcome:
        """Train, and judge on the test set once."""
        if self.by_brevitas:
            from benchmarks.brevitas_training import trained_by_brevitas

            return trained_by_brevitas(self.network, self.allocation, self.task.dataset, self.options, report)
        started = time.monotonic()
        result = train(self.network, self.allocation, self.task.dataset, self.options, report=report)
        best = next(epoch for epoch in result.epochs if epoch.epoch == result.best_epoch)
        return Outcome(
            percent=result.accuracy.integer_only_percent,
            is_integer_only=True,
            fake_quantized_percent=result.accuracy.fake_quantized_percent,
            float_percent=result.accuracy.float_percent,
            validation_percent=best.validation_percent,
            best_epoch=result.best_epoch,
            seconds=time.monotonic() - started,
        )


def run_all(trainings: Iterable[Training], kept: Kept) -> None:
    """Run what is not known yet, equal trainings once, and remember each as soon as it is done."""
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
