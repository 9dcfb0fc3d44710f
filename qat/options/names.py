"""Names that the options of a training run choose from, and the options that differ for one layer. This module does not
import torch.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, StrictFloat

from network.allocation import Folding, WeightScheme
from network.options import Options


class ActivationRange(StrEnum):
    """How the quantization range of an activation tensor is determined during training."""

    LEARNED = "learned"
    """The clipping bounds of the range are learned (PACT, arXiv 1805.06085); calibration sets their initial values."""

    LEARNED_STEP = "learned_step"
    """The quantization step size is learned (LSQ, arXiv 1902.08153); calibration sets its initial value."""

    CLIPPED = "clipped"
    """The range is [0, 6] after a ReLU; a tensor without an activation function keeps its calibrated range."""


class RangeSetting(StrEnum):
    """How calibration chooses the initial quantization range of an activation tensor."""

    MIN_MAX = "min_max"
    """The range from the smallest to the largest value on the calibration samples."""

    PERCENTILE = "percentile"
    """The range that contains `range_percentile` percent of the values on the calibration samples."""

    MEAN_SQUARED_ERROR = "mean_squared_error"
    """The range with the smallest squared quantization error on the calibration samples."""


class OptimizerKind(StrEnum):
    """The torch optimizer that updates the parameters in training."""

    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"


class Regime(StrEnum):
    """How the learning rate changes over a training run."""

    CONSTANT = "constant"
    STEP = "step"
    COSINE = "cosine"
    ONE_CYCLE = "one_cycle"
    PAPER = "paper"
    """Learning rates of arXiv 1905.13082: 1e-4, 5e-5 from epoch 5, 1e-5 from epoch 8, with batch norm frozen after
    epoch 1.
    """


class Compile(StrEnum):
    """Whether torch.compile compiles the training step."""

    AUTO = "auto"
    """Compile if a C++ compiler is found and the run is long enough to recover the time that compiling takes."""

    ON = "on"
    OFF = "off"


class Processor(StrEnum):
    """The torch device that a network is trained on."""

    AUTO = "auto"
    """Train on a GPU if torch finds one, otherwise on the CPU."""

    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """The number format in which convolutions are computed during training; ranges, statistics and the optimizer use
    float32.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class BatchNormMode(StrEnum):
    """Whether training uses and updates the statistics of batch norm."""

    TRAIN = "train"
    """Normalise by the statistics of each batch, and follow them with the running statistics."""

    FROZEN = "frozen"
    """Keep the running statistics of the float network and normalise by them; scale and shift are trained."""


class BestBy(StrEnum):
    """The measure on the held-out samples by which the best state of a training run is chosen."""

    QUALITY = "quality"
    """The figure of the task's metric."""

    LOSS = "loss"
    """The loss of each sample and its distance from the float network: the last state that is not worse by both, by
    more than two standard errors."""


class TensorOverride(Options):
    """Training options that differ for one layer of a network; None keeps the option of the run or the allocation.

    The layer's numbers of bits are not among them: the allocation contains those.
    """

    weights: WeightScheme | None = Field(
        default=None,
        description="quantization scheme of the layer's weight tensor; none: the scheme in the bit allocation",
    )
    folding: Folding | None = Field(
        default=None,
        description="how the layer's batch norm is removed from the integer-only network: folded into the weights, or "
        "computed with the requantization (ICN); none: the choice in the bit allocation",
    )
    activation_range: ActivationRange | None = Field(
        default=None,
        description="how the quantization range of the layer's output tensor is determined; none: by the option "
        "activation_range of the run",
    )
    range_setting: RangeSetting | None = Field(
        default=None,
        description="how calibration chooses the initial quantization range of the layer's output tensor; none: by the "
        "option range_setting of the run",
    )
    range_percentile: StrictFloat | None = Field(
        default=None,
        ge=50.0,
        le=100.0,
        description="percentage of the tensor's values inside its initial quantization range, if range_setting is "
        "percentile; none: by the option range_percentile of the run",
    )
