"""Why nothing fits: which budgets are short, alone or together, the least of each that would do, and what decides."""

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
    AMPLE,
    LeastCycles,
    LeastFlash,
    LeastRam,
    least_cycles,
    least_flash,
    least_ram,
    zero_table,
)
from solver.exact.order_search import ExactAnswer, search_orders
from solver.question import Question
from solver.solution import BudgetName, Certificate, largest_layer

SECONDS: Final = 20.0
"""For all questions of which budgets conflict; what is not told by then is not claimed."""


def certify_infeasibility(question: Question, *, is_proven: bool) -> tuple[Certificate, MemoryReport] | None:
    """Return the certificate that no bits fit, and the memory report of the bits that come closest.

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
    def __init__(self, question: Question, *, is_proven: bool) -> None:
        self._question, self._budget, self._latency = question, question.budget, question.latency
        self._is_proven = is_proven
        self._zero = zero_table(question.network)
        self._deadline = time.perf_counter() + SECONDS
        self._ram: LeastRam = least_ram(question)
        self._flash: LeastFlash = least_flash(replace(question, max_cycles=None))
        self._cycles: LeastCycles | None = None if self._latency is None else least_cycles(question)

    def run(self) -> tuple[Certificate, MemoryReport] | None:
        if self._is_ram_short():
            return self._of_ram(self._ram.report.ram_bytes, ("ram",), self._ram.report)
        if self._is_flash_short():
            return self._of_flash(("flash",), self._least_flash(("flash",)))
        latency = self._latency
        if latency is not None and self._cycles is not None and self._cycles.cycles > latency.most_cycles:
            return self._certificate("latency", self._cycles.layer, ("latency",)), self._ram.report
        if not self._is_proven:
            return None
        conflicting = self._conflicting()
        if "flash" in conflicting:
            return self._of_flash(conflicting, self._least_flash(conflicting))
        return self._of_ram(self._least_ram_under_the_ceiling(), conflicting, self._ram.report)

    def _is_ram_short(self) -> bool:
        if self._ram.report.ram_bytes <= self._budget.ram_bytes:
            return False
        if not self._ram.can_grow:
            return True
        # More bits can take less: the least was looked for by its largest step, but the arena has the last word.
        answer = self._answer(replace(AMPLE, ram_bytes=self._budget.ram_bytes), ceiling=False)
        if answer is None or answer.allocation is None:
            return answer is not None and math.isinf(answer.bound)
        report = measure(answer.network, answer.allocation, self._question.accounting)
        self._ram = LeastRam(answer.network, report, can_grow=True)
        return False

    def _is_flash_short(self) -> bool:
        if self._flash.report.flash_bytes <= self._budget.flash_bytes:
            return False
        return self._flash.is_proven or self._fits(replace(AMPLE, flash_bytes=self._budget.flash_bytes)) is False

    def _conflicting(self) -> tuple[BudgetName, ...]:
        """The fewest budgets, each of which could be kept alone, that are proven to conflict."""
        if self._latency is None:
            return ("flash", "ram")
        ample_ram = replace(self._budget, ram_bytes=MAX_BUDGET_BYTES)
        ample_flash = replace(self._budget, flash_bytes=MAX_BUDGET_BYTES)
        if self._fits(self._budget) is False:
            return ("flash", "ram")
        if self._fits(ample_ram, ceiling=True) is False:
            return ("flash", "latency")
        if self._fits(ample_flash, ceiling=True) is False:
            return ("ram", "latency")
        return ("flash", "ram", "latency")

    def _fits(self, budget: Budget, *, ceiling: bool = False) -> bool | None:
        """Whether some bits do; None where the time does not suffice to tell."""
        answer = self._answer(budget, ceiling=ceiling)
        if answer is None:
            return None
        if answer.allocation is not None:
            return True
        return False if math.isinf(answer.bound) else None

    def _answer(self, budget: Budget, *, ceiling: bool) -> ExactAnswer | None:
        """Any bits that do, or the proof that there are none; None once the time is over."""
        seconds = self._deadline - time.perf_counter()
        if seconds <= 0:
            return None
        question = replace(
            self._question,
            budget=budget,
            sensitivity=self._zero,
            max_cycles=self._question.max_cycles if ceiling else None,
            options=self._question.options.replace(time_limit_seconds=seconds),
        )
        return search_orders(question)

    def _least_flash(self, conflicting: tuple[BudgetName, ...]) -> LeastFlash:
        """Under the others of the conflict; where flash is short alone, under this RAM."""
        question = replace(
            self._question,
            network=self._ram.order,  # the order of least RAM keeps the RAM budget if any order does
            max_cycles=self._question.max_cycles if "latency" in conflicting else None,
        )
        ram_bytes = MAX_BUDGET_BYTES if conflicting == ("flash", "latency") else self._budget.ram_bytes
        return least_flash(question, ram_bytes)

    def _least_ram_under_the_ceiling(self) -> float | None:
        """In whole bytes, as budgets are."""

        def fits(ram_bytes: int) -> bool | None:
            return self._fits(Budget(MAX_BUDGET_BYTES, ram_bytes), ceiling=True)

        return _least_that_fits(self._budget.ram_bytes + 1, fits)

    def _of_ram(
        self, least_bytes: float | None, conflicting: tuple[BudgetName, ...], report: MemoryReport
    ) -> tuple[Certificate, MemoryReport]:
        certificate = self._certificate("ram", report.peak_layer, conflicting)
        return replace(certificate, least_bytes=least_bytes, available_bytes=self._budget.ram_bytes), report

    def _of_flash(self, conflicting: tuple[BudgetName, ...], least: LeastFlash) -> tuple[Certificate, MemoryReport]:
        certificate = self._certificate("flash", largest_layer(least.report), conflicting)
        least_bytes = least.report.flash_bytes if least.is_proven else None
        return replace(certificate, least_bytes=least_bytes, available_bytes=self._budget.flash_bytes), least.report

    def _certificate(self, budget: BudgetName, layer: str, conflicting: tuple[BudgetName, ...]) -> Certificate:
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


def _least_that_fits(low: int, fits: Callable[[int], bool | None]) -> float | None:
    """The least size from `low` that fits, by doubling and halving; None where that cannot be told."""
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
