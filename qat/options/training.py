"""What can be chosen about a training run. Imports no torch, so that a request is judged cheaply.

docs/training.md tells every option with its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from deploy.requantization_form import RequantizationForm
from network.errors import RequestError
from qat.options.augmentation import AugmentationOptions
from qat.options.checks import flag, member, number, whole
from qat.options.names import (
    ActivationRange,
    Compile,
    OptimizerKind,
    Precision,
    Processor,
    RangeSetting,
    Regime,
    TensorOverride,
)
from qat.options.post_training import PostTrainingOptions

__all__ = [
    "ActivationRange",
    "AugmentationOptions",
    "Compile",
    "OptimizerKind",
    "PostTrainingOptions",
    "Precision",
    "Processor",
    "RangeSetting",
    "Regime",
    "TensorOverride",
    "TrainingOptions",
]

MAX_EPOCHS: Final = 10_000
MAX_BATCH_SIZE: Final = 65_536
NEVER: Final = 1.0
"""The share of a run at which something begins that never does."""


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How a network is retrained.

    Attributes:
        epochs: passes over the training set; 0 only calibrates the activations' ranges.
        batch_size: samples of one step of the optimizer, of all processes together.
        optimizer: sgd, adam or adamw.
        momentum: of sgd.
        nesterov: whether sgd looks ahead (Nesterov's momentum).
        weight_decay: of weights alone: not of biases, batch norm and ranges.
        learning_rate: at the start; the highest one for one_cycle. The paper's regime has its own.
        two_bit_learning_rate: of weights with 2 bits, as a multiple of `learning_rate`; the paper's regime takes none.
        regime: constant; step: `learning_rate_steps`; cosine: falls to nearly zero at the end of the last epoch;
            one_cycle: rises for `warmup`, then falls as cosine; paper.
        learning_rate_steps: (epoch, learning rate) pairs for the step regime: from that epoch on (the first is 1).
        warmup: share of the run in which one_cycle rises.
        seed: of the held-out split, the order of samples and the augmentation. Equal inputs on one machine give
            equal results.
        validation_fraction: of the training set, held out of training to choose the best epoch.
        batch_fold_delay: epochs before batch norm is folded into the weights and its statistics freeze, where the
            scheme folds; 0 folds from the start.
        batch_norm_momentum: how fast the running statistics follow each batch.
        freeze_batch_norm_at: share of the run after which statistics stay as they are; 1 never.
        gradual_bits: share of the epochs, rounded up, that train at twice the bits first (8 stay 8); 0 none.
        freeze_oscillating_at: share of the run after which weights that go to and fro between two codes are frozen;
            1 never.
        oscillation_threshold: how often a weight may turn, in turns per step, when the freezing begins.
        oscillation_threshold_at_end: at the end of the run; between, it falls as cosine.
        oscillation_momentum: of the running averages of turns and codes.
        activation_range: learned, learned_step or clipped.
        range_setting: where activation ranges start.
        range_percentile: of the percentile setting: how many percent of the values lie inside.
        range_learning_rate: of the ranges' bounds, as a multiple of `learning_rate`. A bound moves by its own size
            times that at most, so that one figure suits every tensor.
        calibration_samples: training samples that the starting ranges are measured on.
        distillation: share of the loss that asks for the float network's outputs instead of the labels, 0 to 1.
        distillation_temperature: softens both distributions before they are compared.
        label_smoothing: share of a label that is spread over all classes.
        augmentation: how samples are changed at random.
        overrides: layer -> what it does otherwise.
        post_training: what is done between calibration and the first epoch; None does nothing.
        requantization: in which form the integer-only network rounds its accumulators; the codes are the same.
        train_on: what trains.
        precision: in what convolutions compute while training.
        compile: whether the training step is compiled.
        threads: torch's worker threads; None leaves torch's own choice.
        workers: processes that decode samples; None: as many as pay.
        checkpoint_minutes: between two checkpoints in the middle of an epoch; 0 after every step. There is one after
            every epoch anyway.
    """

    epochs: int = 3
    batch_size: int = 128
    optimizer: OptimizerKind = OptimizerKind.ADAM
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    learning_rate: float = 3e-4
    two_bit_learning_rate: float = 3.0
    regime: Regime = Regime.ONE_CYCLE
    learning_rate_steps: tuple[tuple[int, float], ...] = ()
    warmup: float = 0.3
    seed: int = 0
    validation_fraction: float = 0.1
    batch_fold_delay: int = 1
    batch_norm_momentum: float = 0.1
    freeze_batch_norm_at: float = NEVER
    gradual_bits: float = 0.0
    freeze_oscillating_at: float = NEVER
    oscillation_threshold: float = 0.04
    oscillation_threshold_at_end: float = 0.01
    oscillation_momentum: float = 0.01
    activation_range: ActivationRange = ActivationRange.LEARNED_STEP
    range_setting: RangeSetting = RangeSetting.MEAN_SQUARED_ERROR
    range_percentile: float = 99.99
    range_learning_rate: float = 1.0
    calibration_samples: int = 512
    distillation: float = 0.5
    distillation_temperature: float = 2.0
    label_smoothing: float = 0.0
    augmentation: AugmentationOptions = AugmentationOptions()
    overrides: Mapping[str, TensorOverride] = field(default_factory=dict)
    post_training: PostTrainingOptions | None = None
    requantization: RequantizationForm = RequantizationForm.MULTIPLIER
    train_on: Processor = Processor.AUTO
    precision: Precision = Precision.FLOAT32
    compile: Compile = Compile.AUTO
    threads: int | None = None
    workers: int | None = None
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        for name, kind in _NAMES.items():
            object.__setattr__(self, name, member(kind, name, getattr(self, name)))
        for name, (fewest, most) in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            if value is not None or name not in _MAY_BE_NONE:
                whole(name, value, fewest, most)
        for name, (least, greatest) in _NUMBERS.items():
            number(name, getattr(self, name), least, greatest)
        for name in _FLAGS:
            flag(name, getattr(self, name))
        self._check_learning_rate_steps()
        self._check_what_goes_together()

    def what_counts(self) -> TrainingOptions:
        """The options without those that only change how fast the result comes: what a result depends on."""
        return replace(self, threads=None, workers=None, checkpoint_minutes=0.0)

    def _check_learning_rate_steps(self) -> None:
        if bool(self.learning_rate_steps) != (self.regime is Regime.STEP):
            raise RequestError(
                f"learning_rate_steps has {len(self.learning_rate_steps)} entries with the {self.regime} regime; "
                "the step regime needs (epoch, learning rate) pairs, the others take none"
            )
        for pair in self.learning_rate_steps:
            if not isinstance(pair, tuple) or len(pair) != 2:
                raise RequestError(f"learning_rate_steps has {pair!r}; expected (epoch, learning rate) pairs")
            whole("an epoch of learning_rate_steps", pair[0], 1, MAX_EPOCHS)
            number("a learning rate of learning_rate_steps", pair[1], 0.0, 10.0)
        epochs = [epoch for epoch, _ in self.learning_rate_steps]
        if epochs != sorted(set(epochs)):
            raise RequestError(f"learning_rate_steps names the epochs {epochs}; expected each once, ascending")

    def _check_what_goes_together(self) -> None:
        if self.nesterov and (self.optimizer is not OptimizerKind.SGD or self.momentum == 0):
            raise RequestError(
                f"nesterov is on with {self.optimizer} and momentum {self.momentum}; expected sgd with a momentum"
            )
        if self.regime is Regime.PAPER and self.optimizer is not OptimizerKind.ADAM:
            raise RequestError(f"the paper's regime has learning rates for adam, not for {self.optimizer}")
        if self.oscillation_threshold_at_end > self.oscillation_threshold:
            raise RequestError(
                f"oscillation_threshold_at_end is {self.oscillation_threshold_at_end}, above oscillation_threshold "
                f"({self.oscillation_threshold}); expected a threshold that falls"
            )
        for layer, override in self.overrides.items():
            if not isinstance(layer, str) or not isinstance(override, TensorOverride):
                raise RequestError(
                    f"overrides has {layer!r:.60}: {override!r:.60}; expected a layer's name and options"
                )
        if not isinstance(self.augmentation, AugmentationOptions):
            raise RequestError(f"augmentation is {self.augmentation!r:.60}; expected options of augmentation")
        if self.post_training is not None and not isinstance(self.post_training, PostTrainingOptions):
            raise RequestError(
                f"post_training is {self.post_training!r:.60}; expected options of post-training, or none"
            )


_NAMES: Final[Mapping[str, type[StrEnum]]] = {
    "optimizer": OptimizerKind,
    "regime": Regime,
    "activation_range": ActivationRange,
    "range_setting": RangeSetting,
    "requantization": RequantizationForm,
    "train_on": Processor,
    "precision": Precision,
    "compile": Compile,
}
_MAY_BE_NONE: Final = frozenset({"threads", "workers"})
_WHOLE_NUMBERS: Final[Mapping[str, tuple[int, int]]] = {
    "epochs": (0, MAX_EPOCHS),
    "batch_size": (2, MAX_BATCH_SIZE),
    "seed": (0, 2**63 - 1),
    "batch_fold_delay": (0, MAX_EPOCHS),
    "calibration_samples": (1, 1_000_000),
    "threads": (1, 1024),
    "workers": (0, 256),
}
_NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 10.0),
    "learning_rate": (0.0, 10.0),
    "two_bit_learning_rate": (0.0, 1000.0),
    "warmup": (0.0, 0.99),
    "validation_fraction": (0.001, 0.9),
    "batch_norm_momentum": (0.0, 1.0),
    "freeze_batch_norm_at": (0.0, NEVER),
    "gradual_bits": (0.0, 0.9),
    "freeze_oscillating_at": (0.0, NEVER),
    "oscillation_threshold": (0.0, 1.0),
    "oscillation_threshold_at_end": (0.0, 1.0),
    "oscillation_momentum": (1e-4, 1.0),
    "range_percentile": (50.0, 100.0),
    "range_learning_rate": (0.0, 1000.0),
    "distillation": (0.0, 1.0),
    "distillation_temperature": (0.1, 100.0),
    "label_smoothing": (0.0, 0.99),
    "checkpoint_minutes": (0.0, 10_000.0),
}
_FLAGS: Final = ("nesterov",)
