"""Quality of the three forms of a network on a set of samples. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from qat.options.task import Metric
from qat.training.label_source import LabelSource


@dataclass(frozen=True, slots=True)
class Quality:
    """One metric of the float, the fake-quantized and the integer-only network on the same samples.

    Attributes:
        metric: The metric, which decides unit and direction.
        output: Name of the network's output that is judged.
        float_network: Figure of the float network; None where its outputs are themselves the targets.
        fake_quantized: Figure of the fake-quantized network.
        integer_only: Figure of the integer-only network.
        against: Source of the targets.
    """

    metric: Metric
    output: str
    float_network: float | None
    fake_quantized: float
    integer_only: float
    against: LabelSource
