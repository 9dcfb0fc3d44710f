"""What can be chosen about a measurement of sensitivities. Imports no torch, so that a request is judged cheaply."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from network.allocation import DEFAULT_WEIGHT_SCHEME, WeightScheme
from network.errors import RequestError

MAX_SAMPLES: Final = 100_000
MAX_PROBES: Final = 1000


class Measure(StrEnum):
    """How sensitivities are measured on samples."""

    FISHER = "fisher"
    """One backward pass: the Fisher information along the error of quantization."""

    HESSIAN = "hessian"
    """The Hessian's average trace times the squared error (HAWQ-V2, arXiv 1911.03852)."""

    MEASURED = "measured"
    """The divergence of the output with one tensor at a time quantized."""


@dataclass(frozen=True, slots=True)
class SensitivityOptions:
    """How sensitivities are measured.

    Attributes:
        measure: which of the three.
        scheme: how weights are quantized.
        samples: of the training set that are used, at most; chosen at random.
        seed: of that choice, of the labels that `fisher` draws, and of the probes of `hessian`.
        probes: random vectors of `hessian`, for each batch.
    """

    measure: Measure = Measure.FISHER
    scheme: WeightScheme = DEFAULT_WEIGHT_SCHEME
    samples: int = 256
    seed: int = 0
    probes: int = 1

    def __post_init__(self) -> None:
        for what, value, least, most in (
            ("samples", self.samples, 1, MAX_SAMPLES),
            ("seed", self.seed, 0, 2**63 - 1),
            ("probes", self.probes, 1, MAX_PROBES),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise RequestError(f"{what} is {str(value)[:60]}; expected a whole number from {least} to {most}")
