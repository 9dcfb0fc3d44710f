"""What a method answers: an allocation that fits, or a certificate that none does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from network.allocation import Allocation
from network.budget import Budget
from network.errors import RequestError
from network.memory import MemoryReport
from network.network import Network


class Method(StrEnum):
    """How bits are chosen: by the exact program, or by the paper's rules, with weights per layer or per channel."""

    EXACT = "exact"
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
    """Why nothing fits: even with the fewest bits everywhere the budget is exceeded.

    Attributes:
        budget: which one: "flash" or "ram"; where both are too small, RAM, with the other in `other_least_bytes`.
        layer: where: the step with the highest peak, or the layer that takes the most flash.
        least_bytes: what would do, with everything at 2 bits or as few as are allowed (the network's input and outputs
            keep 8).
        available_bytes: the budget.
        other_least_bytes: what would do of the other budget, alone; None where the method does not look.
    """

    budget: Literal["flash", "ram"]
    layer: str
    least_bytes: float
    available_bytes: int
    other_least_bytes: float | None = None

    @property
    def missing_bytes(self) -> float:
        return self.least_bytes - self.available_bytes


def flash_certificate(report: MemoryReport, budget: Budget, other_least_bytes: float | None = None) -> Certificate:
    """That flash does not suffice, by the report of what takes the least."""
    largest = max(report.layers, key=lambda layer: layer.flash_bytes)
    return Certificate("flash", largest.layer, report.flash_bytes, budget.flash_bytes, other_least_bytes)


@dataclass(frozen=True, slots=True)
class Solution:
    """A method's answer.

    Attributes:
        method: that answered.
        allocation: the bits; None when nothing fits.
        certificate: why nothing fits; None when something does.
        memory: the report of the allocation, or of 2 bits everywhere when nothing fits.
        network: in the order in which it runs, which the exact program may choose.
        objective: the summed sensitivity of the allocation; None without a table or an allocation.
        bound: no bits in any order have less; None where nothing is proven.
        given_order_ram_bytes: what the same bits take of RAM in the file's own order.
    """

    method: Method
    allocation: Allocation | None
    certificate: Certificate | None
    memory: MemoryReport
    network: Network
    objective: float | None = None
    bound: float | None = None
    given_order_ram_bytes: float | None = None

    @property
    def gap(self) -> float | None:
        """How far the objective may be above the best, as a share of it; 0 is proven best."""
        if self.objective is None or self.bound is None:
            return None
        return 0.0 if self.objective <= self.bound else (self.objective - self.bound) / self.objective
