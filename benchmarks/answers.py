"""Answers of the allocation benchmark, and what must not be between a rule's and the exact program's."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from network.allocation import WeightScheme
from solver.options import Method

SAME_SUM: Final = 1e-9
"""The exact program adds whole numbers of 40 bits: sums that differ by less are one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer.

    Attributes:
        network: its name.
        accounting: the rule book's name.
        flash_budget_bytes: what might be taken.
        ram_budget_bytes: the same of RAM.
        method: that answered.
        scheme: of all weights.
        fits: something was found.
        flash_bytes: what it takes; None when nothing was found, as are all up to `activation_tensors`.
        ram_bytes: the same of RAM.
        objective: its summed sensitivity.
        bound: no bits have less; None for a rule.
        gap: how far the objective may be above the best, as a share of it; None for a rule.
        weight_tensors: how many weight tensors have 8, 4 and 2 bits.
        activation_tensors: the same of activation tensors.
        violations: what the validator says against the answer; empty when it is one.
        short: the budget that does not suffice, by the certificate; None when something was found.
        least_bytes: what would do of it.
        seconds: until the answer.
    """

    network: str
    accounting: str
    flash_budget_bytes: int
    ram_budget_bytes: int
    method: Method
    scheme: WeightScheme
    fits: bool
    flash_bytes: float | None
    ram_bytes: float | None
    objective: float | None
    bound: float | None
    gap: float | None
    weight_tensors: tuple[int, ...] | None
    activation_tensors: tuple[int, ...] | None
    violations: tuple[str, ...]
    short: str | None
    least_bytes: float | None
    seconds: float

    @property
    def flash_left_bytes(self) -> float | None:
        return None if self.flash_bytes is None else self.flash_budget_bytes - self.flash_bytes

    @property
    def ram_left_bytes(self) -> float | None:
        return None if self.ram_bytes is None else self.ram_budget_bytes - self.ram_bytes

    @property
    def title(self) -> str:
        return (
            f"{self.network}, {self.flash_budget_bytes:,} / {self.ram_budget_bytes:,} bytes, {self.accounting}, "
            f"{self.method} with {self.scheme}"
        )

    def as_json(self) -> dict[str, Any]:
        left = {"flash_left_bytes": self.flash_left_bytes, "ram_left_bytes": self.ram_left_bytes}
        return asdict(self) | left


@dataclass(frozen=True, slots=True)
class Pair:
    """A rule's answer and the exact program's, to the same question."""

    rule: Row
    exact: Row

    def faults(self) -> list[str]:
        """What must not be, in words; empty when all is well."""
        rule, exact = self.rule, self.exact
        found = [f"{row.title}: {violation}" for row in (rule, exact) for violation in row.violations]
        if rule.fits and not exact.fits:
            found.append(f"{exact.title}: found nothing, but {rule.method} did")
        if is_less(rule.objective, exact.objective):
            found.append(f"{exact.title}: its sum is {exact.objective}, and {rule.method} has {rule.objective}")
        if not exact.fits:
            available = exact.flash_budget_bytes if exact.short == "flash" else exact.ram_budget_bytes
            if exact.least_bytes is None or exact.least_bytes <= available:
                found.append(
                    f"{exact.title}: says that nothing fits, and that {exact.least_bytes} bytes of {exact.short} would "
                    f"do of {available}"
                )
        return found


def is_less(one: float | None, other: float | None) -> bool:
    """One sum is smaller than another, by more than rounding; an answer that is missing is neither."""
    return one is not None and other is not None and one < other * (1 - SAME_SUM)
