"""What can be chosen about the post-training path. Imports no torch, so that a request is judged cheaply."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from qat.options.checks import flag, member, whole

MAX_ROUNDING_STEPS: Final = 1_000_000
MAX_SAMPLES: Final = 1_000_000


class Rounding(StrEnum):
    """Which of its two neighbours on the grid a weight becomes."""

    NEAREST = "nearest"
    """The nearer one."""

    LEARNED = "learned"
    """The one that keeps the float network's activations (AdaRound, arXiv 2004.10568), block by block."""


@dataclass(frozen=True, slots=True)
class PostTrainingOptions:
    """What is done to a network between calibration and conversion; none of it looks at a label.

    Attributes:
        equalization: weights of layers that follow each other are scaled against each other first.
        rounding: of weights below 8 bits; those of 8 bits are rounded to nearest. Learned rounding first clips weights
            whose scheme has their minimum and maximum for its range.
        rounding_steps: of the optimizer, for each block.
        bias_correction: the mean error of every channel goes into its bias.
        samples: unlabelled samples that rounding and bias correction look at, at most.
        seed: of the order in which rounding sees them.
    """

    equalization: bool = True
    rounding: Rounding = Rounding.LEARNED
    rounding_steps: int = 500
    bias_correction: bool = True
    samples: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rounding", member(Rounding, "rounding", self.rounding))
        flag("equalization", self.equalization)
        flag("bias_correction", self.bias_correction)
        whole("rounding_steps", self.rounding_steps, 1, MAX_ROUNDING_STEPS)
        whole("samples", self.samples, 1, MAX_SAMPLES)
        whole("seed", self.seed, 0, 2**63 - 1)

    @property
    def improves(self) -> bool:
        """Something is done after calibration (equalization comes before it)."""
        return self.bias_correction or self.rounding is Rounding.LEARNED
