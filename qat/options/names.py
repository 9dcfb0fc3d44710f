"""Names that options of a training run choose from, and the options that differ for one layer. Imports no torch."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, StrictFloat

from network.allocation import Folding, WeightScheme
from network.options import Options


class ActivationRange(StrEnum):
    """How the range of an activation tensor is determined during training."""

    LEARNED = "learned"
    """The clipping bounds are parameters (PACT, arXiv 1805.06085), initialised by calibration."""

    LEARNED_STEP = "learned_step"
    """The quantization step size is a parameter (LSQ, arXiv 1902.08153), initialised by calibration."""

    CLIPPED = "clipped"
    """[0, 6] after a ReLU; a tensor without an activation function keeps its calibrated range."""


class RangeSetting(StrEnum):
    """How calibration chooses the initial range of an activation tensor."""

    MIN_MAX = "min_max"
    """From the smallest to the largest value of the calibration samples."""

    PERCENTILE = "percentile"
    """The range that contains `range_percentile` percent of the values."""

    MEAN_SQUARED_ERROR = "mean_squared_error"
    """The range with the smallest squared error of quantization."""


class OptimizerKind(StrEnum):
    """The optimizer that updates the parameters."""

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
    """That of arXiv 1905.13082: 1e-4, 5e-5 from epoch 5, 1e-5 from epoch 8; batch norm is frozen after epoch 1."""


class Compile(StrEnum):
    """Whether torch.compile compiles the training step."""

    AUTO = "auto"
    """If a C++ compiler is found and the run is long enough to recover the time that compiling takes."""

    ON = "on"
    OFF = "off"


class Processor(StrEnum):
    """The torch device that a network is trained on."""

    AUTO = "auto"
    """A GPU if torch finds one, otherwise the CPU."""

    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """The number format that convolutions compute in during training; ranges, statistics, optimizer: float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class TensorOverride(Options):
    """Options that differ for one layer; None keeps what the rest of the network has.

    The layer's numbers of bits are not among them: the allocation contains those.
    """

    weights: WeightScheme | None = Field(
        default=None, description="quantization scheme of the layer's weight tensor; none: that of the allocation"
    )
    folding: Folding | None = Field(
        default=None,
        description="how the layer's batch norm is removed from the integer-only network: folded into the weights, or "
        "computed with the requantization (ICN); none: that of the allocation",
    )
    activation_range: ActivationRange | None = Field(
        default=None,
        description="how the range of the layer's output tensor is determined; none: that of the run",
    )
    range_setting: RangeSetting | None = Field(
        default=None,
        description="how calibration chooses the initial range of the layer's output tensor; none: that of the run",
    )
    range_percentile: StrictFloat | None = Field(
        default=None,
        ge=50.0,
        le=100.0,
        description="percentage of the values that lie inside the range of the percentile setting; none: that of the "
        "run",
    )
