"""Options of a training run. This module does not import torch, so that a request is checked quickly.

The tables in docs/training.md are generated from the fields.
"""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from deploy.requantization_form import RequantizationForm
from qat.options.augmentation import AugmentationChoice, AugmentationOptions, AugmentationPreset
from qat.options.names import (
    ActivationRange,
    BatchNormMode,
    BestBy,
    Compile,
    OptimizerKind,
    Precision,
    Processor,
    RangeSetting,
    Regime,
    TensorOverride,
)
from qat.options.optimization import LearningRateStep, OptimizationOptions
from qat.options.post_training import NO_POST_TRAINING, PostTrainingOptions
from qat.options.task import TaskKind

__all__ = [
    "ActivationRange",
    "AugmentationOptions",
    "BatchNormMode",
    "BestBy",
    "Compile",
    "LearningRateStep",
    "OptimizerKind",
    "PostTrainingOptions",
    "Precision",
    "Processor",
    "RangeSetting",
    "Regime",
    "TensorOverride",
    "TrainingOptions",
]

NEVER: Final = 1.0
"""Value of `freeze_batch_norm_at` and `freeze_oscillating_at` with which nothing is ever frozen during the run."""


class TrainingOptions(OptimizationOptions):
    """Options of a training run, which retrains a network with few bits."""

    task: TaskKind | None = Field(
        default=None,
        description="what the network is for, which decides loss, sensitivity and metric. classes: one of several "
        "classes; two_classes: one of two classes by one logit; labels: several labels, each by a logit; regression: "
        "real numbers; images: images or signals; pixels: a class for each pixel; anomaly: the input itself, where a "
        "large error means an anomaly; float_outputs: the outputs of the float network. Without a value, the task "
        "follows from the targets of the dataset and the outputs of the network",
    )
    seed: StrictInt = Field(
        default=0,
        ge=0,
        le=2**63 - 1,
        description="seed of the held-out split, of the order of samples and of the augmentation; equal inputs on one "
        "machine give equal results",
    )
    validation_fraction: StrictFloat = Field(
        default=0.1,
        ge=0.001,
        le=0.9,
        description="share of the training set that is held out of training to choose the best epoch",
    )
    best_by: BestBy | None = Field(
        default=None,
        description="measure on the held-out samples by which the best state is chosen. quality: the task's metric; "
        "loss: the last state whose losses, or whose distances from the float network, are not above the least ones by "
        "more than two standard errors, sample by sample; none: chosen by the recipe from the number of held-out "
        "samples",
    )
    batch_norm: BatchNormMode | None = Field(
        default=None,
        description="statistics of batch norm in training. train: normalise by those of each batch, and follow them "
        "with the running statistics; frozen: keep the running statistics of the float network, and normalise by them "
        "from the first step; none: chosen by the recipe, by how far the float network's outputs move on "
        "statistics of batches",
    )
    batch_fold_delay: StrictInt = Field(
        default=1,
        ge=0,
        le=10_000,
        description="number of epochs before batch norm is folded into the weights and its statistics are frozen, for "
        "layers whose scheme folds batch norm; 0 folds before the first epoch",
    )
    batch_norm_momentum: StrictFloat = Field(
        default=0.1,
        ge=0.0,
        le=1.0,
        description="weight of each batch in the running statistics of batch norm",
    )
    freeze_batch_norm_at: StrictFloat = Field(
        default=NEVER,
        ge=0.0,
        le=NEVER,
        description="share of the run after which the statistics of batch norm are frozen; 1 never freezes them",
    )
    gradual_bits: StrictFloat = Field(
        default=0.0,
        ge=0.0,
        le=0.9,
        description="share of the epochs, rounded up, at the start of the run that train with twice the number of "
        "bits (8 bits stay 8); these epochs are reported with at_doubled_bits and are never the best epoch; 0 trains "
        "none",
    )
    freeze_oscillating_at: StrictFloat = Field(
        default=NEVER,
        ge=0.0,
        le=NEVER,
        description="share of the run after which oscillating weights are frozen (arXiv 2203.11086, section 4.3); 1 "
        "never freezes them",
    )
    oscillation_threshold: StrictFloat = Field(
        default=0.04,
        ge=0.0,
        le=1.0,
        description="oscillation frequency, in oscillations per training step, above which a weight is frozen when "
        "freezing begins",
    )
    oscillation_threshold_at_end: StrictFloat = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="oscillation frequency, in oscillations per training step, above which a weight is frozen at the "
        "end of the run; at most oscillation_threshold, from which the threshold falls along half a cosine",
    )
    oscillation_momentum: StrictFloat = Field(
        default=0.01,
        ge=1e-4,
        le=1.0,
        description="weight of each training step in the running averages of a weight's oscillation frequency and of "
        "its code",
    )
    activation_range: ActivationRange = Field(
        default=ActivationRange.LEARNED_STEP,
        description="how the quantization ranges of activation tensors are determined. learned: clipping bounds "
        "learned by gradient (PACT, arXiv 1805.06085); learned_step: quantization step size learned by gradient (LSQ, "
        "arXiv 1902.08153); clipped: [0, 6] after a ReLU",
    )
    range_setting: RangeSetting = Field(
        default=RangeSetting.MEAN_SQUARED_ERROR,
        description="how calibration chooses the initial quantization ranges of activation tensors and of the "
        "network's input. min_max: from the smallest to the largest value; percentile: the range that contains "
        "range_percentile percent of the values; mean_squared_error: the range with the smallest "
        "squared quantization error. At 8 bits, a network from a quantized file starts with the ranges of the file",
    )
    range_percentile: StrictFloat = Field(
        default=99.99,
        ge=50.0,
        le=100.0,
        description="percentage of an activation tensor's values inside its initial quantization range, if "
        "range_setting is percentile",
    )
    range_learning_rate: StrictFloat = Field(
        default=1.0,
        ge=0.0,
        le=1000.0,
        description="learning rate of the learned quantization ranges, as a multiple of the learning rate; one step "
        "moves a bound by at most its own size times that rate, so that one value suits every tensor",
    )
    calibration_samples: StrictInt = Field(
        default=512,
        ge=1,
        le=1_000_000,
        description="maximum number of training samples on which the initial quantization ranges of activation "
        "tensors are measured",
    )
    distillation: StrictFloat = Field(
        default=0.5,
        ge=0.0,
        le=1.0,
        description="share of the training loss that compares the network's outputs with those of the float network "
        "instead of with the labels (arXiv 1503.02531, section 2)",
    )
    distillation_temperature: StrictFloat = Field(
        default=2.0,
        ge=0.1,
        le=100.0,
        description="temperature that softens the outputs of the trained and the float network before distillation "
        "compares them",
    )
    label_smoothing: StrictFloat = Field(
        default=0.0,
        ge=0.0,
        le=0.99,
        description="share of each label that is spread evenly over all classes (arXiv 1512.00567, section 7)",
    )
    augmentation: AugmentationChoice = Field(
        default=AugmentationPreset.NONE,
        validate_default=True,
        description="how training samples are changed at random: the name of a preset, or an object of augmentation "
        "options",
        examples=["flip_shift", {"shift": 0.1, "mixup": 0.2}],
    )
    overrides: dict[StrictStr, TensorOverride] = Field(
        default={},
        description="options that differ for single layers or for the network's input: an object that maps the name of "
        "a layer, or of the input, to its options; their effect on bytes is counted, and the run is refused if the "
        "network no longer fits the budget",
        examples=[{"conv1": {"weights": "PerLayerAsymMinMax"}}],
    )
    post_training: PostTrainingOptions | None = Field(
        default=None,
        description="how the network is improved without labels between calibration and the first epoch; false: it is "
        "not improved; none: chosen by the recipe from the number of samples, and not improved with 0 epochs",
    )
    requantization: RequantizationForm = Field(
        default=RequantizationForm.MULTIPLIER,
        description="how the integer-only network converts accumulators to output codes. multiplier: multiplication "
        "and shift; thresholds: comparison with 2^b - 1 thresholds for each channel, which gives the same codes and "
        "requires far more flash, counted in the memory report",
    )
    train_on: Processor = Field(
        default=Processor.AUTO,
        description="torch device on which the network is trained; auto: a GPU if torch finds one, otherwise the CPU",
    )
    precision: Precision = Field(
        default=Precision.FLOAT32,
        description="number format in which convolutions are computed during training (torch's autocast); ranges, "
        "statistics and the optimizer use float32; bfloat16 is faster on GPUs only",
    )
    compile: Compile = Field(
        default=Compile.AUTO,
        description="whether torch.compile compiles the training step; auto: if a C++ compiler is found and the run is "
        "long enough to recover the time that compiling takes",
    )
    threads: StrictInt | None = Field(
        default=None, ge=1, le=1024, description="number of torch's worker threads; none: torch chooses the number"
    )
    workers: StrictInt | None = Field(
        default=None,
        ge=0,
        le=256,
        description="number of processes that read and decode samples; none: chosen from the type and number of the "
        "samples",
    )
    checkpoint_minutes: StrictFloat = Field(
        default=10.0,
        ge=0.0,
        le=10_000.0,
        description="minutes between two checkpoints within an epoch, in addition to the checkpoint after each epoch; "
        "0 writes one after every step",
    )

    @model_validator(mode="before")
    @classmethod
    def _accept_former_name(cls, given: Any) -> Any:  # Any: whatever a caller's JSON has here
        """Accept `post_training: false`, and `augment: true` and `augment: false`, the former names of two presets of
        the option `augmentation`.
        """
        if isinstance(given, dict) and given.get("post_training") is False:
            given = {**given, "post_training": NO_POST_TRAINING}
        if isinstance(given, dict) and isinstance(given.get("augment"), bool) and "augmentation" not in given:
            others = {name: value for name, value in given.items() if name != "augment"}
            named = AugmentationPreset.FLIP_SHIFT if given["augment"] else AugmentationPreset.NONE
            return {**others, "augmentation": named}
        return given

    @model_validator(mode="after")
    def _check_oscillation_thresholds(self) -> Self:
        if self.oscillation_threshold_at_end > self.oscillation_threshold:
            raise ValueError(
                f"oscillation_threshold_at_end is {self.oscillation_threshold_at_end}; expected at most "
                f"oscillation_threshold, which is {self.oscillation_threshold}"
            )
        return self

    def what_counts(self) -> TrainingOptions:
        """Return the training options with fixed values for all options that only change the speed
        and not the result.
        """
        return self.replace(threads=None, workers=None, checkpoint_minutes=0.0)
