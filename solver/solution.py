"""What a method answers: an allocation that fits, or a certificate that none does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from network.allocation import Allocation
from network.errors import RequestError
from network.memory import MemoryReport


class Method(StrEnum):
    """How bits are chosen: by the paper's rules, with weights per layer (MixPL) or per channel (MixPC)."""

    MIXPL = "mixpl"
    MIXPC = "mixpc"


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        RequestError: there is none.
    """
    try:
        return Method(name)
    except ValueError:
        raise RequestError(f"unknown method {name[:60]!r}; expected one of: {', '.join(Method)}") from None


@dataclass(frozen=True, slots=True)
class Certificate:
    """Why nothing fits: even with 2 bits everywhere the budget is exceeded.

    Attributes:
        budget: which one: "flash" or "ram".
        layer: where: the step with the highest peak, or the layer that takes the most flash.
        least_bytes: what would do with everything at 2 bits (the network's input and outputs keep 8).
        available_bytes: the budget.
    """

    budget: Literal["flash", "ram"]
    layer: str
    least_bytes: float
    available_bytes: int

    @property
    def missing_bytes(self) -> float:
        return self.least_bytes - self.available_bytes


@dataclass(frozen=True, slots=True)
class Solution:
    """A method's answer.

    Attributes:
        method: that answered.
        allocation: the bits; None when nothing fits.
        certificate: why nothing fits; None when something does.
        memory: the report of the allocation, or of 2 bits everywhere when nothing fits.
    """

    method: Method
    allocation: Allocation | None
    certificate: Certificate | None
    memory: MemoryReport
