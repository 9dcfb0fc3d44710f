"""What else is asked of the exact program: the Pareto front, and what one more kB would buy."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from network.budget import MAX_BUDGET_BYTES, Budget
from network.errors import RequestError
from network.memory.accounting import Accounting
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.options import ExactOptions
from solver.fit import fit
from solver.solution import Method, Solution

ONE_KB_BYTES: Final = 1000
MAX_POINTS: Final = 1000
LEAST_SECONDS: Final = 1.0
"""What a solve gets at least, however late it is."""

MAX_POINTS_OF_BOTH: Final = 31
"""Points of each of two budgets: fewer than a thousand pairs."""


class Axis(StrEnum):
    """The budget that a Pareto front varies."""

    FLASH = "flash"
    RAM = "ram"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One end of a trade: no bits within this budget have a summed sensitivity below `bound`.

    Attributes:
        budget: what might be taken.
        solution: the best bits within it.
    """

    budget: Budget
    solution: Solution


@dataclass(frozen=True, slots=True)
class ParetoFront:
    """What was found within the time.

    Attributes:
        points: none of which another one beats in flash, RAM and objective alike; from the largest objective down.
        is_complete: every budget was solved; else the time ended before.
    """

    points: tuple[ParetoPoint, ...]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ShadowPrices:
    """How much the objective falls with one more kB (1000 bytes) of each budget alone."""

    flash: float
    ram: float


def pareto_front(
    network: Network,
    budget: Budget,
    accounting: Accounting,
    sensitivity: SensitivityTable,
    options: ExactOptions,
    *,
    axis: Axis,
    points: int,
) -> ParetoFront:
    """The best summed sensitivity against flash, RAM or both, from the least that does to what 8 bits take.

    Args:
        network: in the file's order.
        budget: what holds for the budget that is not varied.
        accounting: the rule book that counts.
        sensitivity: what is minimised.
        options: of the solves; their time limit is that of all together.
        axis: the budget that is varied; `both` solves every pair of a flash and a RAM budget.
        points: how many budgets are solved, evenly spaced; of both, how many of each.

    Raises:
        RequestError: less than 2 points, or more than 1,000 (of both: 31).
    """
    most = MAX_POINTS_OF_BOTH if axis is Axis.BOTH else MAX_POINTS
    if not 2 <= points <= most:
        raise RequestError(f"points is {points}; expected 2 to {most} for {axis}")
    deadline = time.perf_counter() + options.time_limit_seconds

    def solved(flash_bytes: int, ram_bytes: int) -> Solution:
        seconds = max(deadline - time.perf_counter(), LEAST_SECONDS)
        limited = replace(options, time_limit_seconds=seconds)
        return fit(network, Budget(flash_bytes, ram_bytes), Method.EXACT, accounting, sensitivity, limited)

    flash_ends = _ends(lambda size: solved(size, MAX_BUDGET_BYTES if axis is Axis.BOTH else budget.ram_bytes), "flash")
    ram_ends = _ends(lambda size: solved(MAX_BUDGET_BYTES if axis is Axis.BOTH else budget.flash_bytes, size), "ram")
    flash_sizes = [budget.flash_bytes] if axis is Axis.RAM else _spaced(flash_ends, points)
    ram_sizes = [budget.ram_bytes] if axis is Axis.FLASH else _spaced(ram_ends, points)
    found: dict[tuple[float, float, float], ParetoPoint] = {}
    is_complete = True
    for flash_bytes, ram_bytes in itertools.product(flash_sizes, ram_sizes):
        if time.perf_counter() > deadline:
            is_complete = False
            break
        try:
            solution = solved(flash_bytes, ram_bytes)
        except RequestError:  # the options are good, they have served for the ends: the time was too short
            is_complete = False
            continue
        if solution.allocation is not None:  # of budgets that end at the same bits, the smallest is kept
            found.setdefault(_figures(solution), ParetoPoint(Budget(flash_bytes, ram_bytes), solution))
    front = sorted(figures for figures in found if not any(_beats(other, figures) for other in found))
    front.sort(key=lambda figures: -figures[2])
    return ParetoFront(tuple(found[figures] for figures in front), is_complete)


def shadow_prices(
    network: Network,
    budget: Budget,
    accounting: Accounting,
    sensitivity: SensitivityTable,
    options: ExactOptions,
    objective: float,
) -> ShadowPrices:
    """What one more kB of each budget would buy, by solving again with it; `objective` is that of the budget itself."""

    def bought(more: Budget) -> float:
        better = fit(network, more, Method.EXACT, accounting, sensitivity, options).objective
        return 0.0 if better is None else max(objective - better, 0.0)

    return ShadowPrices(
        flash=bought(Budget(budget.flash_bytes + ONE_KB_BYTES, budget.ram_bytes)),
        ram=bought(Budget(budget.flash_bytes, budget.ram_bytes + ONE_KB_BYTES)),
    )


def _ends(solved: Callable[[int], Solution], region: str) -> tuple[int, int]:
    """The least budget that does, and what the best bits take when there is plenty; equal if no budget does."""
    plenty = solved(MAX_BUDGET_BYTES)
    most = _taken_bytes(plenty, region)
    shortage = solved(1)
    certificate = shortage.certificate
    if plenty.allocation is None or certificate is None or certificate.budget != region:
        return most, most
    # Not found in time: the front begins where it is sure to.
    return most if certificate.least_bytes is None else -int(-certificate.least_bytes // 1), most


def _taken_bytes(solution: Solution, region: str) -> int:
    taken = solution.memory.flash_bytes if region == "flash" else solution.memory.ram_bytes
    return -int(-taken // 1)


def _spaced(ends: tuple[int, int], points: int) -> list[int]:
    """Sizes from one end to the other, each once."""
    least, most = ends
    return list(dict.fromkeys(least + (most - least) * index // (points - 1) for index in range(points)))


def _beats(mine: tuple[float, float, float], its: tuple[float, float, float]) -> bool:
    """No worse in flash, RAM and objective, and better in one of them."""
    return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))


def _figures(solution: Solution) -> tuple[float, float, float]:
    objective = solution.objective if solution.objective is not None else float("inf")
    return solution.memory.flash_bytes, solution.memory.ram_bytes, objective
