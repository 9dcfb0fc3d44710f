"""Solution of a question to the solver: an allocation of bits that fits, or a certificate that none fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from network.allocation import Allocation
from network.memory.accounting import Accounting
from network.memory.report import MemoryReport
from network.network import Network
from solver.options import Method

BudgetName = Literal["flash", "ram", "latency"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Certificate of infeasibility: the budget that is too small, the layer that decides this, and minimum budgets.

    Attributes:
        budget: Name of the budget that is too small; of several that are too small alone, RAM before flash before
            latency. If budgets only conflict together, one of those that conflict.
        layer: Name of the layer at the RAM peak, with the most flash, or with the most cycles.
        least_bytes: Minimum of that budget in bytes, if the other budgets of the conflict are kept (if flash is too
            small alone: if the RAM budget is kept). None for latency, and if it was not found within the time limit.
        available_bytes: The budget in bytes; None for latency.
        conflicting: Names of the budgets that cannot be kept together: one if it is too small alone, otherwise several
            of which each could be kept alone.
        least_flash_bytes: Minimum flash in bytes if all other budgets are unlimited; None if the method does not
            compute it, or if it was not found within the time limit.
        least_ram_bytes: Minimum RAM in bytes if all other budgets are unlimited; None as for flash.
        least_cycles: Minimum number of cycles over all bits; None without a latency ceiling.
        available_cycles: Latency ceiling in cycles; None without one.
        is_proven: Whether it is proven that no bits fit in any order; false if not all orders of a large graph were
            tried.
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
        """Number of bytes by which a flash or RAM budget is too small for any bits; None if it is not known."""
        if self.least_bytes is None or self.available_bytes is None:
            return None
        return self.least_bytes - self.available_bytes

    @property
    def missing_cycles(self) -> int | None:
        """Number of cycles by which the latency ceiling is too low; None if another budget is named."""
        if self.budget != "latency" or self.least_cycles is None or self.available_cycles is None:
            return None
        return self.least_cycles - self.available_cycles


def largest_layer(report: MemoryReport) -> str:
    """Return the name of the layer that needs the most flash; if several do, the first.

    Args:
        report: Memory report of an allocation.
    """
    return max(report.layers, key=lambda layer: layer.flash_bytes).layer


@dataclass(frozen=True, slots=True)
class Solution:
    """Allocation of bits that a method found, with its memory report; or a certificate that no bits fit.

    Attributes:
        method: The method that found the solution.
        allocation: The bits of every tensor; None if no bits fit.
        certificate: The certificate that no bits fit; None if some do.
        memory: Memory report of the allocation; if no bits fit, of the bits that come closest.
        network: The network, with its layers in the order in which they run; the exact program may choose the order.
        accounting: The rule book that counted the bytes: that of the question, or one of its alternatives.
        objective: Summed sensitivity of the allocation; None without a table or an allocation.
        bound: Lower bound on the summed sensitivity over all bits and orders; None if nothing is proven.
        given_order_ram_bytes: RAM in bytes of the same bits in the order of the file; None without an allocation.
        cycles: Estimated cycles of one inference; None without a latency ceiling.
    """

    method: Method
    allocation: Allocation | None
    certificate: Certificate | None
    memory: MemoryReport
    network: Network
    accounting: Accounting
    objective: float | None = None
    bound: float | None = None
    given_order_ram_bytes: float | None = None
    cycles: int | None = None

    @property
    def gap(self) -> float | None:
        """Relative gap (objective - bound) / objective of a solution; 0 if it is proven optimal, None if not known."""
        if self.objective is None or self.bound is None:
            return None
        return 0.0 if self.objective <= self.bound else (self.objective - self.bound) / self.objective
