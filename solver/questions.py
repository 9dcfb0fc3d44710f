"""What else is asked of the exact program: the Pareto front, and what one more kB would buy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from network.budget import MAX_BUDGET_BYTES, Budget
from network.errors import RequestError
from network.memory import Accounting
from network.network import Network
from network.sensitivity import SensitivityTable
from solver.exact_options import ExactOptions
from solver.fit import fit
from solver.solution import Method, Solution

ONE_KB_BYTES: Final = 1000
MAX_POINTS: Final = 1000


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
) -> tuple[ParetoPoint, ...]:
    """The best summed sensitivity against flash, RAM or both, from the least that does to what 8 bits take.

    Args:
        network: in the file's order.
        budget: what holds for the budget that is not varied.
        accounting: the rule book that counts.
        sensitivity: what is minimised.
        options: of each solve.
        axis: the budget that is varied; `both` varies them together, from the least to the most of each.
        points: how many budgets are solved, evenly spaced; those whose answer another one beats in bytes and objective
        alike
            are left out.

    Raises:
        RequestError: less than 2 points or more than 1,000.
    """
    if not 2 <= points <= MAX_POINTS:
        raise RequestError(f"points is {points}; expected 2 to {MAX_POINTS}")

    def solved(flash_bytes: int, ram_bytes: int) -> Solution:
        tried = Budget(flash_bytes, ram_bytes)
        return fit(network, tried, Method.EXACT, accounting, sensitivity, options)

    flash_ends = _ends(lambda size: solved(size, MAX_BUDGET_BYTES if axis is Axis.BOTH else budget.ram_bytes), "flash")
    ram_ends = _ends(lambda size: solved(MAX_BUDGET_BYTES if axis is Axis.BOTH else budget.flash_bytes, size), "ram")
    found: dict[tuple[float, float, float], ParetoPoint] = {}
    for index in range(points):
        flash_bytes = _between(flash_ends, index, points) if axis is not Axis.RAM else budget.flash_bytes
        ram_bytes = _between(ram_ends, index, points) if axis is not Axis.FLASH else budget.ram_bytes
        solution = solved(flash_bytes, ram_bytes)
        if solution.allocation is not None:  # of budgets that end at the same bits, the smallest is kept
            found.setdefault(_figures(solution), ParetoPoint(Budget(flash_bytes, ram_bytes), solution))
    return tuple(point for figures, point in found.items() if not any(_beats(other, figures) for other in found))


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
    if plenty.allocation is None or shortage.certificate is None or shortage.certificate.budget != region:
        return most, most
    return -int(-shortage.certificate.least_bytes // 1), most


def _taken_bytes(solution: Solution, region: str) -> int:
    taken = solution.memory.flash_bytes if region == "flash" else solution.memory.ram_bytes
    return -int(-taken // 1)


def _between(ends: tuple[int, int], index: int, points: int) -> int:
    least, most = ends
    return least + (most - least) * index // (points - 1)


def _beats(mine: tuple[float, float, float], its: tuple[float, float, float]) -> bool:
    """No worse in flash, RAM and objective, and better in one of them."""
    return mine != its and all(a <= b for a, b in zip(mine, its, strict=True))


def _figures(solution: Solution) -> tuple[float, float, float]:
    objective = solution.objective if solution.objective is not None else float("inf")
    return solution.memory.flash_bytes, solution.memory.ram_bytes, objective
