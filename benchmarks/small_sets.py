"""The contenders of the accuracy benchmark on small sets: the default training against what a person sets by hand.

    defaults        no option given but the seed, three seeds
    post-training   no training: learned rounding and bias correction, without labels
    batch-16        the first of a grid of hand-set options, one seed: 30 epochs, batch 16
    frozen, ...     the same with batch norm frozen, and more
    brevitas        Brevitas with the first options of the grid, one seed; evaluated fake-quantized

With `--ablation`, the contenders are the default training and the default training without one of its choices each. If
a contender's option is what the recipe chooses on that set, its training is that of the defaults, and is not run again.

All have the bits of `exact`, by the sensitivity of at most 256 samples of the small set itself, and train without
augmentation.
Options of the grid are given as values even where they equal today's defaults, so that the grid stays the same when a
default changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import fmean, stdev
from types import MappingProxyType
from typing import Any, Final

from benchmarks.brevitas_network import has_brevitas
from benchmarks.contenders import Contender
from benchmarks.outcome import Outcome
from benchmarks.shares import Share
from benchmarks.tasks import OURS, Task
from benchmarks.trainings import Training
from qat.options.chosen import ChosenOptions
from qat.options.names import BatchNormMode, BestBy
from qat.options.post_training import NO_POST_TRAINING, PostTrainingOptions
from qat.options.training import TrainingOptions
from qat.training.recipe.start import ROUNDING_MARGIN, ROUNDING_STEPS

DEFAULTS: Final = "defaults"
POST_TRAINING: Final = "post-training"
BREVITAS: Final = "brevitas"
DEFAULT_SEEDS: Final = 3

SHARES: Final[Mapping[str, tuple[Share, ...]]] = MappingProxyType({
    "resnet8": (Share(0.5), Share(0.3)),
    "dscnn": (Share(0.5), Share(0.45)),
    "mobilenetv2": (Share(0.5), Share(0.4)),
    "plain": (Share(0.5), Share(0.3)),
})  # fmt: skip
"""Budgets of each task. DS-CNN and MobileNetV2 have more parameters besides weights: 2 bits everywhere need 41 and 38 %
of their flash."""

_BY_HAND: Final = OURS.replace(epochs=30, batch_size=16)
_FROZEN: Final = _BY_HAND.replace(batch_norm=BatchNormMode.FROZEN)

GRID: Final[Mapping[str, ChosenOptions]] = MappingProxyType({
    "batch-16": _BY_HAND,
    "frozen": _FROZEN,
    "frozen-1e-4": _FROZEN.replace(learning_rate=1e-4),
    "frozen-rounded": _FROZEN.replace(post_training=PostTrainingOptions()),
})  # fmt: skip
"""Hand-set options by name: batches of 16 in 30 epochs; the same with the float network's batch norm (frozen), with a
lower learning rate, and with post-training before the first epoch (rounded)."""

ABLATION: Final[Mapping[str, TrainingOptions]] = MappingProxyType({
    "3 epochs of 128": TrainingOptions(epochs=3, batch_size=128),
    "batch 128": TrainingOptions(batch_size=128),
    "not post-trained": TrainingOptions(post_training=NO_POST_TRAINING),
    "500 rounding steps": TrainingOptions(post_training=PostTrainingOptions(rounding_margin=ROUNDING_MARGIN)),
    "rounded on the grid": TrainingOptions(post_training=PostTrainingOptions(rounding_steps=ROUNDING_STEPS)),
    "batch norm trained": TrainingOptions(batch_norm=BatchNormMode.TRAIN),
    "batch norm frozen": TrainingOptions(batch_norm=BatchNormMode.FROZEN),
    "best by quality": TrainingOptions(best_by=BestBy.QUALITY),
    "best by loss": TrainingOptions(best_by=BestBy.LOSS),
    "equal rates": TrainingOptions(relative_rates=False),
    "relative rates": TrainingOptions(relative_rates=True),
    "learning rate 1e-4": TrainingOptions(learning_rate=1e-4),
    "learning rate 1e-3": TrainingOptions(learning_rate=1e-3),
})  # fmt: skip
"""The default training with one choice of the recipe replaced, by name. One that equals the recipe's choice gives the
same result as the defaults."""

NAMES: Final = (DEFAULTS, POST_TRAINING, *GRID, BREVITAS)
ABLATION_NAMES: Final = (DEFAULTS, *ABLATION)


@dataclass(frozen=True, eq=False)
class Entry:
    """One cell of the benchmark on small sets: what trains, and with which bits.

    Attributes:
        name: The name of the contender, one of `NAMES` or `ABLATION_NAMES`.
        bits: The bits of `exact` under a budget.
        trainings: Its trainings, one for each seed; empty if no bits fit the budget.
    """

    name: str
    bits: Contender
    trainings: tuple[Training, ...]

    def resolved(self) -> Entry:
        """Return the entry with the options that the recipe chooses in place of those that are not given."""
        return replace(self, trainings=tuple(each.resolved() for each in self.trainings))


def names_there() -> tuple[str, ...]:
    """Return the names of the contenders that can run here: Brevitas only if it is installed."""
    return tuple(name for name in NAMES if name != BREVITAS or has_brevitas())


def entry_of(name: str, bits: Contender, task: Task, seeds: int = DEFAULT_SEEDS) -> Entry:
    """Return the trainings of one contender with the bits of `exact`.

    Args:
        name: The name of the contender, one of `NAMES` or `ABLATION_NAMES`.
        bits: The bits of `exact` under a budget.
        task: The task with its small set. Of its options, only the number of threads is used.
        seeds: Number of seeds of the defaults; the other contenders have one.
    """
    if bits.allocation is None:
        return Entry(name, bits, ())
    trainings = tuple(
        Training(
            f"{name} at {bits.share}, seed {seed}",
            task,
            bits.network,
            bits.allocation,
            _options(name).replace(seed=seed, threads=task.options.threads),
            by_brevitas=name == BREVITAS,
        )
        for seed in range(seeds if name == DEFAULTS else 1)
    )
    return Entry(name, bits, trainings)


def _options(name: str) -> TrainingOptions:
    match name:
        case "defaults":
            return TrainingOptions()
        case "post-training":
            return TrainingOptions(epochs=0, post_training=PostTrainingOptions())
        case "brevitas":
            return _BY_HAND
        case _:
            return ABLATION[name] if name in ABLATION else GRID[name]


def row_of(entry: Entry, outcomes: Sequence[Outcome | None], test_samples: int) -> dict[str, Any]:
    """Return the JSON row of one contender under one memory budget.

    Args:
        entry: The contender and its trainings.
        outcomes: The outcomes of its trainings, in their order; None for one that was not run.
        test_samples: Number of samples on which each accuracy was measured.
    """
    bits = entry.bits
    known = [each for each in outcomes if each is not None]
    percents = [each.percent for each in known]
    return {
        "flash_share": bits.share.flash,
        "ram_share": bits.share.ram,
        "flash_budget_bytes": bits.budget.flash_bytes,
        "ram_budget_bytes": bits.budget.ram_bytes,
        "flash_bytes": bits.flash_bytes,
        "shortage": bits.shortage,
        "name": entry.name,
        "is_by_hand": entry.name in GRID,
        "is_integer_only": entry.name != BREVITAS,
        "percent": percents,
        "standard_error": standard_error(percents, test_samples),
        "best_epoch": [each.best_epoch for each in known],
        "seconds": [each.seconds for each in known],
    }


def standard_error(percents: Sequence[float], test_samples: int) -> float | None:
    """Return the standard error of a mean accuracy, in percentage points; None without an accuracy.

    Its square has two parts: p (1 - p) / n, because the test set is a sample of all inputs, the same for all seeds;
    and, with several seeds, the variance between them divided by their number. For p, one right and one wrong answer
    are added (Laplace's rule of succession), so that 100 % on a small test set is not taken for certain.

    Args:
        percents: The accuracy of each seed, in percent.
        test_samples: Number of samples on which each was measured.
    """
    if not percents:
        return None
    share = (fmean(percents) / 100 * test_samples + 1) / (test_samples + 2)
    between = stdev(percents) ** 2 / len(percents) if len(percents) > 1 else 0.0
    return sqrt(100**2 * share * (1 - share) / test_samples + between)
