"""Options of a sensitivity measurement. This module does not import torch, so that a request is checked quickly."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, StrictInt

from network.allocation import WEIGHT_SCHEMES, WeightScheme
from network.options import Options
from qat.options.task import TaskKind


class Measure(StrEnum):
    """Methods that estimate on samples how sensitive a network's loss is to the quantization of each tensor."""

    FISHER = "fisher"
    """Fisher information along the quantization error, from one backward pass."""

    HESSIAN = "hessian"
    """Average trace of the Hessian times the squared quantization error (HAWQ-V2, arXiv 1911.03852)."""

    MEASURED = "measured"
    """Divergence of the network's output when one tensor at a time is quantized."""


class SensitivityOptions(Options):
    """Options of a sensitivity measurement: the method, the samples and the seed."""

    measure: Measure = Field(
        default=Measure.FISHER,
        description="how the rise of the loss by quantization is estimated. fisher: from the Fisher information along "
        "the quantization error; hessian: from the Hessian's average trace (HAWQ-V2, arXiv 1911.03852), which needs "
        "labels; measured: from the divergence of the network's output when one tensor at a time is quantized",
    )
    task: TaskKind | None = Field(
        default=None,
        description="what the network is for, which decides the loss whose rise is estimated; without a value, the "
        "task follows from the targets of the dataset and the outputs of the network",
    )
    scheme: WeightScheme | None = Field(
        default=None,
        description="quantization scheme of the weights during the measurement; none: every scheme, so that the table "
        "has a figure for each",
    )
    samples: StrictInt = Field(
        default=256,
        ge=1,
        le=100_000,
        description="maximum number of training samples on which sensitivity is measured, chosen at random from the "
        "training set",
    )
    seed: StrictInt = Field(
        default=0,
        ge=0,
        le=2**63 - 1,
        description="seed of the random choice of samples, of the targets that the measure fisher draws, and of the "
        "random vectors of the measure hessian",
    )
    probes: StrictInt = Field(
        default=1,
        ge=1,
        le=1000,
        description="number of random vectors for each batch that estimate the Hessian's trace; only the measure "
        "hessian uses it",
    )

    @property
    def schemes(self) -> tuple[WeightScheme, ...]:
        """Quantization schemes of the weights during the measurement: one, or all."""
        return WEIGHT_SCHEMES if self.scheme is None else (self.scheme,)
