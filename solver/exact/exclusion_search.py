"""Exact solution of integer programs with exclusions (folding): a price for flash, then a search over the rest.

An exclusion joins a weight tensor and the output of its layer. Without exclusions, flash and the RAM of the steps would
be separate components. With a price for flash, exclusions need no search at all (`flash_price.py`): the result is a
lower bound, usually very close to the optimum, and it tells for each single choice by how much it raises the bound. So
the program is solved in these steps:

    search for the price with the largest bound
    keep the activation tensors of the priced solutions on both sides of this price, and fill flash with weights:
        a knapsack with few states; keep the best solution
    search for a better solution over the few choices whose bound is below the cost of the best (`exclusion_core.py`)

HiGHS solves programs as a whole that do not have this form (if cycles, or steps with too many tensors, join the tensors
too), and those where too many choices are left.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import numpy as np

from solver.exact.components import row_size_bounds
from solver.exact.decomposition import dynamic_programs, solve_by_decomposition
from solver.exact.exclusion_core import better_solution
from solver.exact.flash_price import Exclusions, FlashPricing
from solver.exact.knapsack import solve_knapsack
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import IntArray, Program, ProgramSolution
from solver.options import DEFAULT_TIME_LIMIT_SECONDS

STATES: Final = 200
"""Largest number of states of a knapsack whose solution need not be optimal."""


def solve_with_exclusions(program: Program, time_limit_seconds: float = DEFAULT_TIME_LIMIT_SECONDS) -> ProgramSolution:
    """Solve an integer program without indicator variables exactly: choices of minimum summed cost, with a lower bound.

    Args:
        program: A program, with or without exclusions.
        time_limit_seconds: Number of seconds after which the best solution so far is returned.
    """
    deadline = time.perf_counter() + time_limit_seconds
    pricing = _pricing(program)
    if pricing is None:
        return solve_by_decomposition(program, time_limit_seconds)
    found = pricing.search(program.costs)
    if found.best is None:
        return ProgramSolution(None, np.inf, np.inf)
    bound = float(np.ceil(found.best.bound))
    best = ProgramSolution(None, np.inf, np.inf)
    for solution in (found.within, found.above):
        if solution is None or bound >= best.objective:
            continue
        if best.choices is None or (solution.choices != best.choices)[pricing.joined_groups].any():
            best = min(best, _with_activations_of(program, pricing, solution.choices), key=lambda each: each.objective)
    if bound < best.objective:
        better = better_solution(program, pricing, found.best.price, best.objective)
        if better is None:
            better = solve_integer_program(program, highs, deadline - time.perf_counter())
        if better.objective < best.objective:
            best = better
        bound = max(bound, better.bound)
    return replace(best, bound=min(bound, best.objective))


def _pricing(program: Program) -> FlashPricing | None:
    """Return the pricing of an integer program; None if no exclusion can bind, or if the program has another form.

    Args:
        program: The integer program.
    """
    if not len(program.exclusions):
        return None
    lower, upper = row_size_bounds(program)
    is_exclusion = np.zeros(len(program.limits), dtype=bool)
    is_exclusion[program.exclusions] = True
    binding = upper > program.limits
    if not (binding & is_exclusion).any() or (lower > program.limits).any():
        return None
    exclusions = Exclusions.of(program, np.flatnonzero(binding & is_exclusion))
    weights, outputs = exclusions.weights, exclusions.activations
    if len(np.unique(weights)) < len(weights) or np.isin(weights, outputs).any():
        return None
    rows = np.flatnonzero(binding & ~is_exclusion)
    own = np.isin(program.entry_rows(), rows) & np.isin(program.entry_groups, weights)
    priced = np.unique(program.entry_rows()[own])
    if len(priced) > 1 or np.isin(priced, program.pairwise_rows).any():
        return None
    components = dynamic_programs(program, np.setdiff1d(rows, priced))
    if components is None:
        return None
    return FlashPricing(program, exclusions, int(priced[0]) if len(priced) else None, components)


def _with_activations_of(program: Program, pricing: FlashPricing, choices: IntArray) -> ProgramSolution:
    """Return a good solution of an integer program with the given choices of all activation tensors.

    Args:
        program: The integer program.
        pricing: The program with a price for its flash row.
        choices: Choice of each group, int64 [n]; they keep all limits except that of the priced row.
    """
    own = pricing.exclusions
    is_excluded = own.activation_excluded[np.arange(len(own.weights)), choices[own.activations]]
    costs = program.costs.copy()
    costs[own.weights] = np.where(is_excluded[:, None] & own.weight_excluded, np.inf, costs[own.weights])
    free = np.setdiff1d(np.flatnonzero(pricing.sizes.any(axis=1)), pricing.joined_groups)
    room = pricing.limit - int(pricing.sizes[pricing.joined_groups, choices[pricing.joined_groups]].sum())
    smallest = np.where(np.isfinite(costs), pricing.sizes, np.iinfo(np.int64).max)[free].min(axis=1)
    if smallest.sum() > room:
        return ProgramSolution(None, np.inf, np.inf)
    solution = choices.copy()
    solution[free] = solve_knapsack(costs[free], pricing.sizes[free], room, STATES).choices
    return ProgramSolution(solution, program.objective(solution), -np.inf)
