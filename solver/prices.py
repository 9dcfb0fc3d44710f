"""Shadow prices: the effect of one more kB of each budget, and the next larger budget that reduces the sum."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Final, Literal

from network.budget import MAX_BUDGET_BYTES, Budget
from network.errors import RequestError
from solver.fit import fit
from solver.options import MIN_SOLVE_SECONDS
from solver.question import Question, require_exact
from solver.solution import Solution

ONE_KB_BYTES: Final = 1000

MAX_SEARCH_SOLVES: Final = 12
"""Largest number of solves of the search for the next improvement under one budget."""

SMALLEST_REDUCTION: Final = 1e-8
"""Reductions of the objective up to this share of it are rounding, not improvements."""

FAR_RATIO: Final = 8
"""Ratio of the upper to the lower end of the added bytes up to which one byte less than the upper end is tried."""

Region = Literal["flash", "ram"]


@dataclass(frozen=True, slots=True)
class NextImprovement:
    """Smallest increase of one budget, above one kB, that reduces the summed sensitivity, and the reduction.

    Attributes:
        more_bytes: Number of bytes that the budget has to grow by, 0 or more; None if no larger budget was found that
            reduces the objective.
        reduction: Decrease of the objective with that many more bytes; 0 if `more_bytes` is None.
        is_proven: Whether it is proven that no fewer bytes reduce the objective (if `more_bytes` is None: that no
            larger budget reduces it) and that the reduction is the largest with that many more bytes. If not, the
            number of bytes is an upper bound, and the reduction a lower bound.
    """

    more_bytes: int | None
    reduction: float
    is_proven: bool


@dataclass(frozen=True, slots=True)
class ShadowPrices:
    """Decrease of the summed sensitivity with one more kB (1000 bytes) of flash or of RAM.

    Attributes:
        flash: Decrease of the objective with one more kB of flash, 0 or more.
        ram: Decrease of the objective with one more kB of RAM, 0 or more.
        next_flash: The next improvement with more than one additional kB of flash; None if one kB reduces the
            objective.
        next_ram: The next improvement with more than one additional kB of RAM; None if one kB reduces the objective.
    """

    flash: float
    ram: float
    next_flash: NextImprovement | None
    next_ram: NextImprovement | None


def shadow_prices(question: Question, solution: Solution) -> ShadowPrices:
    """Compute by how much the summed sensitivity decreases with one more kB of each budget, by solving again.

    If one more kB of a budget does not reduce the sum, the smallest increase that reduces it is searched for.

    Args:
        question: A question for the exact program. Its time limit covers each solve with one more kB, and each search.
        solution: The solution of that question, with an allocation.

    Raises:
        RequestError: If the question is one for the paper's rules, or no bits fit.
    """
    require_exact(question, "shadow prices")
    if solution.objective is None:
        raise RequestError("shadow prices need a solution that fits, but no bits fit; raise the budget")
    flash, next_flash = _price(question, solution.objective, "flash")
    ram, next_ram = _price(question, solution.objective, "ram")
    return ShadowPrices(flash, ram, next_flash, next_ram)


def _price(question: Question, objective: float, region: Region) -> tuple[float, NextImprovement | None]:
    """Return the decrease with one more kB of a budget; if it is 0, also the next improvement."""
    more = min(_available_bytes(question.budget, region) + ONE_KB_BYTES, MAX_BUDGET_BYTES)
    solution = fit(replace(question, budget=_with_bytes(question.budget, region, more)))
    if _improves(solution, objective):
        return _reduction(solution, objective), None
    return 0.0, _next_improvement(question, objective, region, more, is_proven=_excludes(solution, objective))


def _next_improvement(
    question: Question, objective: float, region: Region, without_bytes: int, *, is_proven: bool
) -> NextImprovement:
    """Search for the smallest budget that reduces the objective, between a budget that does not and an unlimited one.

    Each solve either finds an improvement, whose bytes are the new upper end, or shows that its budget does not bring
    one: the new lower end. Bisections take turns with budgets of one byte less than the upper end: reductions beyond
    one kB are few and far apart, and if one byte less brings no improvement, the search is over.

    Args:
        question: The question, with the present budget.
        objective: The present objective.
        region: The budget that grows.
        without_bytes: Budget in bytes that does not reduce the objective.
        is_proven: Whether it is proven that this budget does not reduce the objective.
    """
    deadline = time.perf_counter() + question.options.time_limit_seconds

    def solved(size_bytes: int) -> Solution | None:
        seconds = min(max(deadline - time.perf_counter(), MIN_SOLVE_SECONDS), question.options.time_limit_seconds)
        limited = question.options.replace(time_limit_seconds=seconds)
        budget = _with_bytes(question.budget, region, size_bytes)
        try:
            return fit(replace(question, budget=budget, options=limited))
        except RequestError:  # the question is valid, because it was solved before: the time was too short
            return None

    present_bytes = _available_bytes(question.budget, region)
    best = solved(MAX_BUDGET_BYTES)
    if best is None or not _improves(best, objective):
        return NextImprovement(None, 0.0, is_proven=_excludes(best, objective))
    upper_bytes, is_next_below = _used_bytes(best, region), False
    for _ in range(MAX_SEARCH_SOLVES - 1):
        if upper_bytes - without_bytes <= 1 or time.perf_counter() > deadline:
            break
        lower, upper = without_bytes - present_bytes, upper_bytes - present_bytes
        is_next_below = not is_next_below and upper <= FAR_RATIO * lower
        tried_bytes = upper_bytes - 1 if is_next_below else present_bytes + _between(lower, upper)
        found = solved(tried_bytes)
        if found is not None and _improves(found, objective):
            best, upper_bytes = found, _used_bytes(found, region)
        else:
            without_bytes = tried_bytes
            is_proven = is_proven and _excludes(found, objective)
    return NextImprovement(
        more_bytes=max(upper_bytes - present_bytes, 0),
        reduction=_reduction(best, objective),
        is_proven=is_proven and upper_bytes - without_bytes == 1 and best.gap == 0,
    )


def _between(lower: int, upper: int) -> int:
    """Return a whole number strictly between two others, near their geometric mean; the lower one is 0 or more."""
    return min(max(math.isqrt(lower * upper), lower + 1), upper - 1)


def _improves(solution: Solution, objective: float) -> bool:
    """Return whether a solution has a smaller objective than the present one, by more than rounding."""
    return _reduction(solution, objective) > SMALLEST_REDUCTION * objective


def _excludes(solution: Solution | None, objective: float) -> bool:
    """Return whether the lower bound of a solve proves that its budget does not reduce the present objective."""
    bound = None if solution is None else solution.bound
    return bound is not None and objective - bound <= SMALLEST_REDUCTION * objective


def _reduction(solution: Solution, objective: float) -> float:
    """Return by how much the objective of a solution is smaller than the present one; 0 if it is not."""
    return 0.0 if solution.objective is None else max(objective - solution.objective, 0.0)


def _available_bytes(budget: Budget, region: Region) -> int:
    """Return the number of bytes of flash or of RAM in a budget."""
    return budget.flash_bytes if region == "flash" else budget.ram_bytes


def _with_bytes(budget: Budget, region: Region, size_bytes: int) -> Budget:
    """Return a budget with another number of bytes of flash or of RAM."""
    return Budget(size_bytes, budget.ram_bytes) if region == "flash" else Budget(budget.flash_bytes, size_bytes)


def _used_bytes(solution: Solution, region: Region) -> int:
    """Return the flash or RAM of a solution, rounded up to whole bytes."""
    return math.ceil(solution.memory.flash_bytes if region == "flash" else solution.memory.ram_bytes)
