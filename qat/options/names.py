"""Names of what can be chosen about a training run, and what single layers may do otherwise. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from network.allocation import Folding, WeightScheme
from qat.options.checks import member


class ActivationRange(StrEnum):
    """Where the range of an activation tensor comes from."""

    LEARNED = "learned"
    """Its clipping bounds are parameters (PACT, arXiv 1805.06085), started by calibration."""

    LEARNED_STEP = "learned_step"
    """Its step size is a parameter (LSQ, arXiv 1902.08153), started by calibration."""

    CLIPPED = "clipped"
    """[0, 6] after a ReLU; a tensor without an activation function keeps its calibrated range."""


class RangeSetting(StrEnum):
    """Where calibration lets the range of an activation tensor start."""

    MIN_MAX = "min_max"
    """At the smallest and the largest value that is seen."""

    PERCENTILE = "percentile"
    """Where all but `range_percentile` of the values lie inside."""

    MEAN_SQUARED_ERROR = "mean_squared_error"
    """Where the squared error of quantization is least."""


class OptimizerKind(StrEnum):
    """What makes a step of a gradient."""

    SGD = "sgd"
    ADAM = "adam"
    ADAMW = "adamw"


class Regime(StrEnum):
    """How the learning rate goes on."""

    CONSTANT = "constant"
    STEP = "step"
    COSINE = "cosine"
    ONE_CYCLE = "one_cycle"
    PAPER = "paper"
    """That of arXiv 1905.13082: 1e-4, 5e-5 from epoch 5, 1e-5 from epoch 8; batch norm is frozen after epoch 1."""


class Compile(StrEnum):
    """Whether torch.compile fuses the training step."""

    AUTO = "auto"
    """Where a compiler is found."""

    ON = "on"
    OFF = "off"


class Processor(StrEnum):
    """What trains."""

    AUTO = "auto"
    """A GPU where there is one."""

    CPU = "cpu"
    CUDA = "cuda"


class Precision(StrEnum):
    """In what convolutions compute while training; ranges, statistics and the optimizer stay in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class TensorOverride:
    """What one layer does otherwise than the others; None leaves it as it is.

    Bits are no part of it: they are the allocation's.

    Attributes:
        weights: how its weight tensor is quantized.
        folding: where its batch norm goes.
        activation_range: of the tensor that it writes.
        range_setting: where that range starts.
    """

    weights: WeightScheme | None = None
    folding: Folding | None = None
    activation_range: ActivationRange | None = None
    range_setting: RangeSetting | None = None

    def __post_init__(self) -> None:
        for name, kind in _OVERRIDES.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, member(kind, f"the {name} of an override", value))


_OVERRIDES: Final[Mapping[str, type[StrEnum]]] = {
    "weights": WeightScheme,
    "folding": Folding,
    "activation_range": ActivationRange,
    "range_setting": RangeSetting,
}
