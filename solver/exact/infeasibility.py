"""Certificates of infeasibility: which budgets are too small, alone or together, their minimum, and the layer.

The first of these that is proven is certified:

    the RAM budget alone cannot be kept         the certificate names RAM
    the flash budget alone cannot be kept       the certificate names flash
    the latency ceiling alone cannot be kept    the certificate names latency
    each alone can be kept                      the certificate names the smallest set that cannot be kept together
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory.measure import measure
from network.memory.report import MemoryReport
from solver.exact.minimum_budgets import (
    UNLIMITED,
    MinimumCycles,
    MinimumFlash,
    MinimumRam,
    minimum_cycles,
    minimum_flash,
    minimum_ram,
    zero_table,
)
from solver.exact.order_search import OrderSearchResult, search_orders
from solver.question import Question
from solver.solution import BudgetName, Certificate, largest_layer

SECONDS: Final = 20.0
"""Time limit in seconds for finding the budgets that conflict; what is not proven by then is not stated."""


def certify_infeasibility(question: Question, *, is_proven: bool) -> tuple[Certificate, MemoryReport] | None:
    """Return a certificate that no bits fit the budgets, with the memory report of the bits that come closest.

    If one budget is too small on its own, the certificate names that one: RAM, else flash, else latency. If each budget
    alone could be kept, it names the smallest set of budgets that cannot be kept together.

    Args:
        question: The question that has no solution.
        is_proven: Whether it is proven that no bits fit, and not only that the search found none.

    Returns:
        None if no budget is too small on its own and nothing is proven, because the search ran out of time.
    """
    return _Infeasibility(question, is_proven=is_proven).run()


class _Infeasibility:
    """Search for the certificate of infeasibility of one question (network, budget and options)."""

    def __init__(self, question: Question, *, is_proven: bool) -> None:
        self._question, self._budget, self._latency = question, question.budget, question.latency
        self._is_proven = is_proven
        self._zero_table = zero_table(question.network)
        self._deadline = time.perf_counter() + SECONDS
        self._ram: MinimumRam = minimum_ram(question)
        self._flash: MinimumFlash = minimum_flash(replace(question, max_cycles=None))
        self._cycles: MinimumCycles | None = None if self._latency is None else minimum_cycles(question)

    def run(self) -> tuple[Certificate, MemoryReport] | None:
        """Return a certificate of infeasibility and a memory report; None if nothing is proven in the time limit."""
        if self._is_ram_too_small():
            return self._certify_ram(self._ram.report.ram_bytes, ("ram",), self._ram.report)
        if self._is_flash_too_small():
            return self._certify_flash(("flash",), self._minimum_flash(("flash",)))
        latency = self._latency
        if latency is not None and self._cycles is not None and self._cycles.cycles > latency.most_cycles:
            return self._certificate("latency", self._cycles.layer, ("latency",)), self._ram.report
        if not self._is_proven:
            return None
        conflicting = self._conflicting()
        if "flash" in conflicting:
            return self._certify_flash(conflicting, self._minimum_flash(conflicting))
        return self._certify_ram(self._minimum_ram_under_ceiling(), conflicting, self._ram.report)

    def _is_ram_too_small(self) -> bool:
        """Return whether no bits keep the RAM budget, even with unlimited flash and latency."""
        if self._ram.report.ram_bytes <= self._budget.ram_bytes:
            return False
        if not self._ram.may_be_smaller:
            return True
        # The minimum RAM was found by the largest step. Other bits, with a larger step, may have a smaller arena.
        found = self._search(replace(UNLIMITED, ram_bytes=self._budget.ram_bytes), has_ceiling=False)
        if found is None or found.allocation is None:
            return found is not None and math.isinf(found.bound)
        report = measure(found.network, found.allocation, self._question.accounting)
        self._ram = MinimumRam(found.network, report, may_be_smaller=True)
        return False

    def _is_flash_too_small(self) -> bool:
        """Return whether it is proven that no bits keep the flash budget, even with unlimited RAM and latency."""
        if self._flash.report.flash_bytes <= self._budget.flash_bytes:
            return False
        return self._flash.is_proven or self._fits(replace(UNLIMITED, flash_bytes=self._budget.flash_bytes)) is False

    def _conflicting(self) -> tuple[BudgetName, ...]:
        """Return the smallest set of budgets (flash, RAM, latency) that are proven impossible to keep together."""
        if self._latency is None:
            return ("flash", "ram")
        unlimited_ram = replace(self._budget, ram_bytes=MAX_BUDGET_BYTES)
        unlimited_flash = replace(self._budget, flash_bytes=MAX_BUDGET_BYTES)
        if self._fits(self._budget) is False:
            return ("flash", "ram")
        if self._fits(unlimited_ram, has_ceiling=True) is False:
            return ("flash", "latency")
        if self._fits(unlimited_flash, has_ceiling=True) is False:
            return ("ram", "latency")
        return ("flash", "ram", "latency")

    def _fits(self, budget: Budget, *, has_ceiling: bool = False) -> bool | None:
        """Return whether some bits keep the flash and RAM budget; None if the time limit prevents a proof.

        Args:
            budget: The flash and RAM that the network may use.
            has_ceiling: Whether the bits must also keep the latency ceiling.
        """
        found = self._search(budget, has_ceiling=has_ceiling)
        if found is None:
            return None
        if found.allocation is not None:
            return True
        return False if math.isinf(found.bound) else None

    def _search(self, budget: Budget, *, has_ceiling: bool) -> OrderSearchResult | None:
        """Search for bits that keep the flash and RAM budget, whatever their sensitivity; None if no time is left.

        Args:
            budget: The flash and RAM that the network may use.
            has_ceiling: Whether the bits must also keep the latency ceiling.
        """
        seconds = self._deadline - time.perf_counter()
        if seconds <= 0:
            return None
        question = replace(
            self._question,
            budget=budget,
            sensitivity=self._zero_table,
            max_cycles=self._question.max_cycles if has_ceiling else None,
            options=self._question.options.replace(time_limit_seconds=seconds),
        )
        return search_orders(question)

    def _minimum_flash(self, conflicting: tuple[BudgetName, ...]) -> MinimumFlash:
        """Return the minimum flash under the budgets that conflict with it; under the RAM budget if none does.

        Args:
            conflicting: Names of the budgets that conflict.
        """
        question = replace(
            self._question,
            network=self._ram.order,  # this order keeps the RAM budget if any order does
            max_cycles=self._question.max_cycles if "latency" in conflicting else None,
        )
        ram_bytes = MAX_BUDGET_BYTES if conflicting == ("flash", "latency") else self._budget.ram_bytes
        return minimum_flash(question, ram_bytes)

    def _minimum_ram_under_ceiling(self) -> int | None:
        """Return the minimum RAM in whole bytes under the latency ceiling; None if it cannot be found in time."""

        def fits(ram_bytes: int) -> bool | None:
            return self._fits(Budget(MAX_BUDGET_BYTES, ram_bytes), has_ceiling=True)

        return _smallest_that_fits(self._budget.ram_bytes + 1, fits)

    def _certify_ram(
        self, least_bytes: float | None, conflicting: tuple[BudgetName, ...], report: MemoryReport
    ) -> tuple[Certificate, MemoryReport]:
        """Return a certificate of infeasibility that names RAM, with the memory report of the smallest RAM.

        Args:
            least_bytes: Minimum RAM in bytes under the other budgets of the conflict; None if it is not known.
            conflicting: Names of the budgets that conflict.
            report: Memory report of the bits with the smallest RAM.
        """
        certificate = self._certificate("ram", report.peak_layer, conflicting)
        return replace(certificate, least_bytes=least_bytes, available_bytes=self._budget.ram_bytes), report

    def _certify_flash(
        self, conflicting: tuple[BudgetName, ...], minimum: MinimumFlash
    ) -> tuple[Certificate, MemoryReport]:
        """Return a certificate of infeasibility that names flash, with the memory report of the smallest flash.

        Args:
            conflicting: Names of the budgets that conflict.
            minimum: Minimum flash under the other budgets of the conflict.
        """
        certificate = self._certificate("flash", largest_layer(minimum.report), conflicting)
        least_bytes = minimum.report.flash_bytes if minimum.is_proven else None
        return replace(certificate, least_bytes=least_bytes, available_bytes=self._budget.flash_bytes), minimum.report

    def _certificate(self, budget: BudgetName, layer: str, conflicting: tuple[BudgetName, ...]) -> Certificate:
        """Return a certificate of infeasibility without the minimum and the available bytes of the named budget.

        Args:
            budget: Name of the budget that is too small.
            layer: Name of the layer that decides this.
            conflicting: Names of the budgets that conflict.
        """
        latency = self._latency
        return Certificate(
            budget=budget,
            layer=layer,
            conflicting=conflicting,
            least_flash_bytes=self._flash.report.flash_bytes if self._flash.is_proven else None,
            least_ram_bytes=self._ram.report.ram_bytes,
            least_cycles=None if self._cycles is None else self._cycles.cycles,
            available_cycles=None if latency is None else latency.most_cycles,
            is_proven=self._is_proven,
        )


def _smallest_that_fits(low: int, fits: Callable[[int], bool | None]) -> int | None:
    """Return the smallest budget in bytes for which some bits fit, by doubling and bisection.

    Args:
        low: Smallest size to try, in bytes.
        fits: Function that returns whether a size fits; None if that is not known.

    Returns:
        The size in bytes; None if it cannot be determined, or if 1 TiB does not fit.
    """
    high = low
    while not fits(high):
        if high >= MAX_BUDGET_BYTES:
            return None
        low, high = high + 1, min(2 * high, MAX_BUDGET_BYTES)
    while low < high:
        middle = (low + high) // 2
        found = fits(middle)
        if found is None:
            return None
        low, high = (low, middle) if found else (middle + 1, high)
    return low
