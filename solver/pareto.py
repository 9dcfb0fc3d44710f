"""Pareto front of budgets and summed sensitivity."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from network.budget import MAX_BUDGET_BYTES, Budget
from network.errors import RequestError
from solver.fit import fit
from solver.options import MAX_TIME_LIMIT_SECONDS, MIN_SOLVE_SECONDS
from solver.question import Question, require_exact
from solver.solution import Solution

MAX_POINTS: Final = 1000
"""Largest number of budgets of a front that varies one budget."""

MAX_POINTS_OF_BOTH: Final = 31
"""Largest number of each of two budgets: together fewer than 1,000 combinations."""


class Axis(StrEnum):
    """The budget that a Pareto front varies: flash, RAM or both."""

    FLASH = "flash"
    RAM = "ram"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """A budget on a Pareto front with its solution, which no other point beats in flash, RAM and sensitivity.

    Attributes:
        budget: The smallest of the budgets that were solved with this result.
        solution: The best bits within the budget.
    """

    budget: Budget
    solution: Solution


@dataclass(frozen=True, slots=True)
class ParetoFront:
    """Pareto front: budgets with solutions that no other solution beats in flash, RAM and sensitivity.

    Attributes:
        points: The points, by descending objective. No point is dominated: no other point has neither more flash nor
            more RAM nor a larger objective.
        is_complete: Whether every budget was solved; false if the time limit stopped the computation.
    """

    points: tuple[ParetoPoint, ...]
    is_complete: bool


def check_front(question: Question, axis: Axis, points: int) -> None:
    """Reject a Pareto front that cannot be computed.

    Args:
        question: A question for the exact program.
        axis: The budget that is varied.
        points: Number of budgets along the axis.

    Raises:
        RequestError: If the question is one for the paper's rules, or the number of points is out of range.
    """
    require_exact(question, "the Pareto front")
    most = MAX_POINTS_OF_BOTH if axis is Axis.BOTH else MAX_POINTS
    if not 2 <= points <= most:
        raise RequestError(
            f"the number of points of the Pareto front is {points}; expected 2 to {most} for axis '{axis}'"
        )


def pareto_front(
    question: Question,
    *,
    axis: Axis,
    points: int,
    keeps_budget: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> ParetoFront:
    """Compute the Pareto front of minimum summed sensitivity against the flash budget, the RAM budget or both.

    Budgets reach from the minimum budget to what the unrestricted optimum needs.

    Args:
        question: A question for the exact program. Its budget holds for the axis that is not varied; its time limit
            covers all solves together.
        axis: The budget that is varied; `both` solves each combination of a flash and a RAM budget.
        points: Number of budgets along the axis, evenly spaced, 2 to 1,000; with `both`, number of each, 2 to 31.
        keeps_budget: Whether the varied budgets end at the budget of the question, if that is smaller than what the
            unrestricted optimum needs. With false, the budget of a varied axis is ignored.
        report: Callback that receives the number of the budget that is solved next, from 1, and the number of budgets.

    Raises:
        RequestError: If the question is one for the paper's rules, or the number of points is out of range.
    """
    check_front(question, axis, points)
    budget = question.budget
    deadline = time.perf_counter() + question.options.time_limit_seconds

    def solved(flash_bytes: int, ram_bytes: int) -> Solution:
        seconds = max(deadline - time.perf_counter(), MIN_SOLVE_SECONDS)
        limited = question.options.replace(time_limit_seconds=min(seconds, MAX_TIME_LIMIT_SECONDS))
        return fit(replace(question, budget=Budget(flash_bytes, ram_bytes), options=limited))

    largest = budget if keeps_budget else Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
    free = largest if axis is Axis.BOTH else budget
    flash_ends = ram_ends = (0, 0)
    if axis is not Axis.RAM:
        flash_ends = _ends(lambda size: solved(size, free.ram_bytes), "flash", largest.flash_bytes)
    if axis is not Axis.FLASH:
        ram_ends = _ends(lambda size: solved(free.flash_bytes, size), "ram", largest.ram_bytes)
    flash_sizes = [budget.flash_bytes] if axis is Axis.RAM else _spaced(flash_ends, points)
    ram_sizes = [budget.ram_bytes] if axis is Axis.FLASH else _spaced(ram_ends, points)
    found: dict[tuple[float, float, float], ParetoPoint] = {}
    is_complete = True
    budgets = list(itertools.product(flash_sizes, ram_sizes))
    for number, (flash_bytes, ram_bytes) in enumerate(budgets, start=1):
        if report is not None:
            report(number, len(budgets))
        if time.perf_counter() > deadline:
            is_complete = False
            break
        try:
            solution = solved(flash_bytes, ram_bytes)
        except RequestError:  # the options are valid, because the ends were solved: the time was too short
            is_complete = False
            continue
        if solution.allocation is not None:  # of budgets with equal solutions, the smallest is kept
            found.setdefault(_figures(solution), ParetoPoint(Budget(flash_bytes, ram_bytes), solution))
    front = sorted(figures for figures in found if not any(_dominates(other, figures) for other in found))
    front.sort(key=lambda figures: -figures[2])
    return ParetoFront(tuple(found[figures] for figures in front), is_complete)


def _ends(solved: Callable[[int], Solution], region: str, largest_bytes: int) -> tuple[int, int]:
    """Return the minimum flash or RAM budget and the size of the optimum under the largest budget, in bytes.

    Both are the largest budget if nothing fits it.

    Args:
        solved: Function that returns the solution under a budget in bytes.
        region: Name of the budget: "flash" or "ram".
        largest_bytes: Number of bytes of the largest budget.
    """
    unrestricted = solved(largest_bytes)
    if unrestricted.allocation is None:
        return largest_bytes, largest_bytes
    most = _used_bytes(unrestricted, region)
    certificate = solved(1).certificate
    if certificate is None or certificate.budget != region:
        return most, most
    # If the minimum was not found in time, the front consists of the unrestricted optimum.
    return most if certificate.least_bytes is None else -int(-certificate.least_bytes // 1), most


def _used_bytes(solution: Solution, region: str) -> int:
    """Return the flash or RAM of a solution, rounded up to whole bytes."""
    used = solution.memory.flash_bytes if region == "flash" else solution.memory.ram_bytes
    return -int(-used // 1)


def _spaced(ends: tuple[int, int], points: int) -> list[int]:
    """Return evenly spaced whole sizes from one end to the other, without duplicates."""
    least, most = ends
    return list(dict.fromkeys(least + (most - least) * index // (points - 1) for index in range(points)))


def _dominates(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    """Return whether a point is better than another in flash, RAM or summed sensitivity, and worse in none."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _figures(solution: Solution) -> tuple[float, float, float]:
    """Return flash in bytes, RAM in bytes, and the summed sensitivity of a solution."""
    objective = solution.objective if solution.objective is not None else float("inf")
    return solution.memory.flash_bytes, solution.memory.ram_bytes, objective
