"""What a method answers: an allocation that fits, or a certificate that none does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from network.allocation import Allocation
from network.memory.report import MemoryReport
from network.network import Network
from solver.options import Method

BudgetName = Literal["flash", "ram", "latency"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Why nothing fits.

    Attributes:
        budget: the one that is short; where several are short alone, RAM before flash before latency. Where they are
            short only together, one of those that conflict.
        layer: where: the step with the highest peak, the layer that takes the most flash, or the most cycles.
        least_bytes: what would do of it, the other budgets of the conflict being what they are (where flash is short
            alone, RAM): with as few bits as are allowed and needed, the network's input and outputs at 8. None for
            latency, and where the least was not found in time.
        available_bytes: the budget; None for latency.
        conflicting: the one budget, where it is short alone; several where each alone could be kept, not all together.
        least_flash_bytes: what would do of flash if there were plenty of everything else; None where the method does
            not look, or not long enough.
        least_ram_bytes: the same of RAM.
        least_cycles: the fewest cycles of any bits; None without a ceiling.
        available_cycles: the ceiling.
        is_proven: no bits in any order fit; false where not every order of a large graph could be tried.
    """

    budget: BudgetName
    layer: str
    least_bytes: float | None = None
    available_bytes: int | None = None
    conflicting: tuple[BudgetName, ...] = ()
    least_flash_bytes: float | None = None
    least_ram_bytes: float | None = None
    least_cycles: int | None = None
    available_cycles: int | None = None
    is_proven: bool = True

    @property
    def missing_bytes(self) -> float | None:
        if self.least_bytes is None or self.available_bytes is None:
            return None
        return self.least_bytes - self.available_bytes

    @property
    def missing_cycles(self) -> int | None:
        if self.budget != "latency" or self.least_cycles is None or self.available_cycles is None:
            return None
        return self.least_cycles - self.available_cycles


def largest_layer(report: MemoryReport) -> str:
    """The first layer that takes the most flash."""
    return max(report.layers, key=lambda layer: layer.flash_bytes).layer


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
        cycles: of one inference, estimated; None without a latency ceiling.
    """

    method: Method
    allocation: Allocation | None
    certificate: Certificate | None
    memory: MemoryReport
    network: Network
    objective: float | None = None
    bound: float | None = None
    given_order_ram_bytes: float | None = None
    cycles: int | None = None

    @property
    def gap(self) -> float | None:
        """How far the objective may be above the best, as a share of it; 0 is proven best."""
        if self.objective is None or self.bound is None:
            return None
        return 0.0 if self.objective <= self.bound else (self.objective - self.bound) / self.objective
