"""How a caller asks for a network to be retrained. Field descriptions are the OpenAPI document's and the command's."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr, model_validator

from api.schemas.training_details import Augmentation, Override, PostTraining, names_of
from deploy.requantization_form import RequantizationForm
from qat.options.augmentation import PRESETS, preset
from qat.options.training import (
    ActivationRange,
    Compile,
    OptimizerKind,
    Precision,
    Processor,
    RangeSetting,
    Regime,
    TrainingOptions,
)

_DEFAULTS: Final = TrainingOptions()
_OLD_AUGMENTATION: Final = {True: "flip_shift", False: "none"}
"""What `augment` was, before there was more to choose from."""


class Training(BaseModel):
    """How the network is retrained."""

    model_config = ConfigDict(extra="forbid")

    epochs: StrictInt = Field(
        default=_DEFAULTS.epochs, description="passes over the training set; 0 only calibrates activation ranges"
    )
    batch_size: StrictInt = Field(default=_DEFAULTS.batch_size, description="samples of one step")
    optimizer: str = Field(
        default=str(_DEFAULTS.optimizer),
        description="what makes a step of a gradient",
        json_schema_extra=names_of(OptimizerKind),
    )
    momentum: StrictFloat = Field(default=_DEFAULTS.momentum, description="of sgd")
    nesterov: StrictBool = Field(default=_DEFAULTS.nesterov, description="Nesterov's momentum, for sgd")
    weight_decay: StrictFloat = Field(
        default=_DEFAULTS.weight_decay, description="of weights alone: not of biases, batch norm and ranges"
    )
    learning_rate: StrictFloat = Field(
        default=_DEFAULTS.learning_rate,
        description="the learning rate at the start, for one_cycle the highest; the paper's regime has its own",
    )
    two_bit_learning_rate: StrictFloat = Field(
        default=_DEFAULTS.two_bit_learning_rate,
        description="of weights with 2 bits, as a multiple of the learning rate; the paper's regime takes none",
    )
    regime: str = Field(
        default=str(_DEFAULTS.regime),
        description="how the learning rate goes on",
        json_schema_extra=names_of(Regime),
    )
    learning_rate_steps: list[tuple[StrictInt, StrictFloat]] = Field(
        default=[], description="pairs of an epoch (from 1) and the learning rate from then on, for the step regime"
    )
    warmup: StrictFloat = Field(default=_DEFAULTS.warmup, description="share of the run in which one_cycle rises")
    seed: StrictInt = Field(
        default=_DEFAULTS.seed, description="of the held-out split, the order of samples, augmentation"
    )
    validation_fraction: StrictFloat = Field(
        default=_DEFAULTS.validation_fraction, description="share of the training set held out to choose the best epoch"
    )
    batch_fold_delay: StrictInt = Field(
        default=_DEFAULTS.batch_fold_delay,
        description="epochs before batch norm is folded into the weights, where the scheme folds",
    )
    batch_norm_momentum: StrictFloat = Field(
        default=_DEFAULTS.batch_norm_momentum, description="how fast running statistics follow each batch"
    )
    freeze_batch_norm_at: StrictFloat = Field(
        default=_DEFAULTS.freeze_batch_norm_at,
        description="share of the run after which batch norm's statistics stay as they are; 1 never",
    )
    gradual_bits: StrictFloat = Field(
        default=_DEFAULTS.gradual_bits, description="share of the epochs that train at twice the bits first; 0 none"
    )
    freeze_oscillating_at: StrictFloat = Field(
        default=_DEFAULTS.freeze_oscillating_at,
        description="share of the run after which weights that go to and fro between two codes are frozen; 1 never",
    )
    oscillation_threshold: StrictFloat = Field(
        default=_DEFAULTS.oscillation_threshold,
        description="turns per step above which a weight is frozen, when that begins",
    )
    oscillation_threshold_at_end: StrictFloat = Field(
        default=_DEFAULTS.oscillation_threshold_at_end, description="the same at the end of the run"
    )
    oscillation_momentum: StrictFloat = Field(
        default=_DEFAULTS.oscillation_momentum, description="of the running averages of turns and codes"
    )
    activation_range: str = Field(
        default=str(_DEFAULTS.activation_range),
        description="how activations are bounded: by gradient, the bounds (PACT) or the step (LSQ), or at 6",
        json_schema_extra=names_of(ActivationRange),
    )
    range_setting: str = Field(
        default=str(_DEFAULTS.range_setting),
        description="where calibration lets activation ranges start",
        json_schema_extra=names_of(RangeSetting),
    )
    range_percentile: StrictFloat = Field(
        default=_DEFAULTS.range_percentile, description="how many percent of the values the percentile setting keeps"
    )
    range_learning_rate: StrictFloat = Field(
        default=_DEFAULTS.range_learning_rate, description="of ranges, as a multiple of the learning rate"
    )
    calibration_samples: StrictInt = Field(
        default=_DEFAULTS.calibration_samples, description="training samples that the starting ranges are measured on"
    )
    distillation: StrictFloat = Field(
        default=_DEFAULTS.distillation,
        description="share of the loss that asks for the float network's outputs, 0 to 1",
    )
    distillation_temperature: StrictFloat = Field(
        default=_DEFAULTS.distillation_temperature, description="softens both distributions before they are compared"
    )
    label_smoothing: StrictFloat = Field(
        default=_DEFAULTS.label_smoothing, description="share of a label that is spread over all classes"
    )
    augmentation: StrictStr | Augmentation = Field(
        default="none",
        description=f"how samples are changed at random, by one of the names {', '.join(PRESETS)}, or in detail",
        examples=["flip_shift", {"shift": 0.1, "mixup": 0.2}],
    )
    post_training: PostTraining | None = Field(
        default=None, description="what is done between calibration and the first epoch, without labels; null nothing"
    )
    overrides: dict[str, Override] = Field(
        default={},
        description="layer -> what it does otherwise; bits are given by allowed_weight_bits",
        examples=[{"conv1": {"weights": "PerLayerAsymMinMax"}}],
    )
    requantization: str = Field(
        default=str(_DEFAULTS.requantization),
        description="how the integer-only network rounds its accumulators; thresholds give the same codes for far more "
        "flash, which is counted",
        json_schema_extra=names_of(RequantizationForm),
    )
    train_on: str = Field(
        default=str(_DEFAULTS.train_on),
        description="what trains; auto: a GPU where there is one",
        json_schema_extra=names_of(Processor),
    )
    precision: str = Field(
        default=str(_DEFAULTS.precision),
        description="in what convolutions compute while training; bfloat16 is for GPUs",
        json_schema_extra=names_of(Precision),
    )
    compile: str = Field(
        default=str(_DEFAULTS.compile),
        description="whether torch.compile fuses the training step; auto: where it pays",
        json_schema_extra=names_of(Compile),
    )
    threads: StrictInt | None = Field(
        default=_DEFAULTS.threads, description="worker threads of one job; null: torch decides"
    )
    workers: StrictInt | None = Field(
        default=_DEFAULTS.workers, description="processes that read and decode samples; null: as many as pay"
    )
    checkpoint_minutes: StrictFloat = Field(
        default=_DEFAULTS.checkpoint_minutes,
        description="between two checkpoints in the middle of an epoch; 0 after every step",
    )

    @model_validator(mode="before")
    @classmethod
    def _take_the_old_name(cls, given: Any) -> Any:
        """`augment: true` is what `augmentation: flip_shift` was called first."""
        if isinstance(given, dict) and isinstance(given.get("augment"), bool) and "augmentation" not in given:
            others = {name: value for name, value in given.items() if name != "augment"}
            return {**others, "augmentation": _OLD_AUGMENTATION[given["augment"]]}
        return given

    def options(self) -> TrainingOptions:
        """The same, judged.

        Raises:
            RequestError: an option outside its range.
        """
        nested = {
            "learning_rate_steps": tuple(tuple(pair) for pair in self.learning_rate_steps),
            "augmentation": (
                preset(self.augmentation) if isinstance(self.augmentation, str) else self.augmentation.options()
            ),
            "post_training": None if self.post_training is None else self.post_training.options(),
            "overrides": {layer: override.options() for layer, override in self.overrides.items()},
        }
        return TrainingOptions(**(self.model_dump(exclude=set(nested)) | nested))
