"""Answers of the allocation benchmark, and contradictions between a rule's answer and the exact program's answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from network.allocation import WeightScheme
from solver.options import Method

SAME_SUM: Final = 1e-9
"""Relative difference below which two sums count as equal: the exact program adds whole numbers of 40 bits."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer of a rule or of the exact program in the allocation benchmark.

    Attributes:
        network: The name of the network.
        accounting: The name of the rule book.
        flash_budget_bytes: The flash budget in bytes.
        ram_budget_bytes: The RAM budget in bytes.
        method: The method that gave the answer.
        scheme: The scheme of all weights.
        fits: Whether an allocation was found.
        flash_bytes: The flash of the allocation in bytes. This and the following attributes up to
            `activation_tensors` are None if no allocation was found.
        ram_bytes: The RAM of the allocation in bytes.
        objective: The summed sensitivity of the allocation.
        bound: A lower bound of the summed sensitivity of all allocations; None for a rule.
        gap: The largest possible difference of the objective from the optimum, relative to the optimum; None for a
            rule.
        weight_tensors: Numbers of weight tensors with 8, 4 and 2 bits.
        activation_tensors: Numbers of activation tensors with 8, 4 and 2 bits.
        violations: The violations that the validator finds; empty for a valid answer.
        short: The budget that is too small according to the certificate; None if an allocation was found.
        least_bytes: The minimum feasible value of that budget in bytes.
        seconds: The time to the answer in seconds.
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
    """Answers of a rule and of the exact program to the same question for bits under a memory budget."""

    rule: Row
    exact: Row

    def faults(self) -> list[str]:
        """Describe the contradictions between a rule's and the exact program's answers; empty if there are none."""
        rule, exact = self.rule, self.exact
        found = [f"{row.title}: {violation}" for row in (rule, exact) for violation in row.violations]
        if rule.fits and not exact.fits:
            found.append(f"{exact.title}: found no allocation, but {rule.method} found one")
        if is_less(rule.objective, exact.objective):
            found.append(
                f"{exact.title}: its summed sensitivity is {exact.objective}, but {rule.method} has {rule.objective}"
            )
        if not exact.fits:
            available = exact.flash_budget_bytes if exact.short == "flash" else exact.ram_budget_bytes
            if exact.least_bytes is None or exact.least_bytes <= available:
                found.append(
                    f"{exact.title}: reports that nothing fits, but its certificate requires only "
                    f"{exact.least_bytes} of {available} bytes of {exact.short}"
                )
        return found


def is_less(one: float | None, other: float | None) -> bool:
    """Return whether one summed sensitivity is smaller than another by more than rounding; False if one is missing."""
    return one is not None and other is not None and one < other * (1 - SAME_SUM)
