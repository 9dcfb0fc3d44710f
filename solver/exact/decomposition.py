"""Decomposition solver for integer programs: it solves each independent component by the method that suits it.

Indicator variables are treated like other groups. They join many tensors into one component, so a program with many of
them is solved by `indicator_search.py` instead.
"""

from __future__ import annotations

import time

import numpy as np

from solver.exact.chain import Chain
from solver.exact.components import Component, components, row_size_bounds
from solver.exact.dynamic_programming import DynamicProgram, Frontier, PairwiseTerm, is_narrow
from solver.exact.knapsack import solve_knapsack
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import Float64Array, IntArray, Program, ProgramSolution
from solver.options import DEFAULT_TIME_LIMIT_SECONDS


def solve_by_decomposition(program: Program, time_limit_seconds: float = DEFAULT_TIME_LIMIT_SECONDS) -> ProgramSolution:
    """Solve an integer program by decomposition: choices of minimum summed cost within all limits, with a bound.

    Rows whose limits cannot be exceeded are left out. Each component of the rest is solved by the first method that
    suits it:

        one row without pairwise terms       multiple-choice knapsack (`knapsack.py`); optimal up to 500,000 states
        few groups open during a row         dynamic programming over the rows (`dynamic_programming.py`); optimal
        any other component                  HiGHS (`milp.py`), within the time limit

    Args:
        program: The integer program.
        time_limit_seconds: Number of seconds that all calls of HiGHS may need together.
    """
    deadline = time.perf_counter() + time_limit_seconds
    lower, upper = row_size_bounds(program)
    infeasible = np.flatnonzero(lower > program.limits)
    if len(infeasible):
        worst = int(infeasible[np.argmax((lower - program.limits)[infeasible])])
        return ProgramSolution(None, np.inf, np.inf, broken_row=worst)
    # A group in no component gets its cheapest choice; of several, the one with the most bits.
    choices = program.costs.argmin(axis=1)
    free_cost = program.costs[np.arange(len(choices)), choices]
    components_bound = 0.0
    is_constrained = np.zeros(len(choices), dtype=bool)
    for component in components(program, np.flatnonzero(upper > program.limits)):
        solution = _solve_component(program, component, deadline)
        if solution.choices is None:
            return ProgramSolution(None, np.inf, solution.bound)
        choices[component.groups] = solution.choices
        is_constrained[component.groups] = True
        components_bound += solution.bound
    bound = float(free_cost[~is_constrained].sum()) + components_bound
    return ProgramSolution(choices, program.objective(choices), bound)


def has_wide_component_with_pairwise_terms(program: Program) -> bool:
    """Return whether decomposition of an integer program leaves a component with pairwise terms to a general solver.

    Args:
        program: The integer program; its exclusions are ignored.
    """
    lower, upper = row_size_bounds(program)
    if (lower > program.limits).any():
        return False
    binding = np.setdiff1d(np.flatnonzero(upper > program.limits), program.exclusions)
    for component in components(program, binding):
        if np.isin(component.rows, program.pairwise_rows).any():
            count = _choice_count(program.costs[component.groups])
            row_groups, _ = _entries_by_row(program, component, count)
            if not is_narrow(row_groups, len(component.groups), count):
                return True
    return False


def dynamic_programs(program: Program, rows: IntArray) -> list[tuple[IntArray, int, DynamicProgram]] | None:
    """Return the dynamic programs of the components that the given constraints of an integer program form.

    Args:
        program: The integer program.
        rows: Indices of the rows, int64, ascending.

    Returns:
        Groups of each component, number of choices and the dynamic program; None if one would have too many states.
    """
    found = []
    for component in components(program, rows):
        count = _choice_count(program.costs[component.groups])
        own = _dynamic_program(program, component, count)
        if own is None:
            return None
        found.append((component.groups, count, own))
    return found


def frontiers(program: Program, rows: IntArray) -> list[tuple[IntArray, int, Frontier]] | None:
    """Return the components that the given constraints form, as `dynamic_programs` does, all as frontiers."""
    found = []
    for component in components(program, rows):
        count = _choice_count(program.costs[component.groups])
        row_groups, row_sizes = _entries_by_row(program, component, count)
        if not is_narrow(row_groups, len(component.groups), count):
            return None
        terms = _pairwise_terms_by_row(program, component)
        limits = program.limits[component.rows].tolist()
        frontier = Frontier((len(component.groups), count), row_groups, row_sizes, limits, terms)
        found.append((component.groups, count, frontier))
    return found


def _choice_count(costs: Float64Array) -> int:
    """Return the number of choices, at least 1, up to the last one that is allowed for any of the groups."""
    return int(np.flatnonzero(np.isfinite(costs).any(axis=0)).max(initial=0)) + 1


def _solve_component(program: Program, component: Component, deadline: float) -> ProgramSolution:
    """Solve one independent component of an integer program; return one choice for each group of the component.

    Args:
        program: The program that contains the component.
        component: The independent component to solve.
        deadline: Time of `time.perf_counter` at which the general solver has to stop.
    """
    # Activation tensors have fewer choices than weight tensors: a component of them alone is solved with fewer.
    choice_count = _choice_count(program.costs[component.groups])
    costs: Float64Array = program.costs[component.groups, :choice_count]
    if len(component.rows) == 1 and _pairwise_terms_by_row(program, component) is None:
        own = slice(program.row_starts[component.rows[0]], program.row_starts[component.rows[0] + 1])
        sizes = np.empty_like(program.entry_sizes, shape=costs.shape)
        sizes[np.searchsorted(component.groups, program.entry_groups[own])] = program.entry_sizes[own, :choice_count]
        found = solve_knapsack(costs, sizes, int(program.limits[component.rows[0]]))
        return ProgramSolution(found.choices, found.cost, found.bound)
    dynamic_program = _dynamic_program(program, component, choice_count)
    if dynamic_program is None:
        return solve_integer_program(
            _component_program(program, component, choice_count), highs, deadline - time.perf_counter()
        )
    choices = dynamic_program.solve(costs)
    if choices is None:
        return ProgramSolution(None, np.inf, np.inf)
    cost = float(costs[np.arange(len(costs)), choices].sum())
    return ProgramSolution(choices, cost, cost)


def _dynamic_program(program: Program, component: Component, choice_count: int) -> DynamicProgram | None:
    """Return the dynamic program of an independent component; None if it would have too many states.

    Args:
        program: The program that contains the component.
        component: The independent component.
        choice_count: Number of choices k that are kept.
    """
    row_groups, row_sizes = _entries_by_row(program, component, choice_count)
    row_pairwise_terms = _pairwise_terms_by_row(program, component)
    limits = program.limits[component.rows].tolist()
    if _is_chain(row_groups, len(component.groups)):
        return Chain(_chain_tables(row_groups, row_sizes, row_pairwise_terms), limits)
    if is_narrow(row_groups, len(component.groups), choice_count):
        return Frontier((len(component.groups), choice_count), row_groups, row_sizes, limits, row_pairwise_terms)
    return None


def _entries_by_row(program: Program, component: Component, choice_count: int) -> tuple[list[IntArray], list[IntArray]]:
    """Return the groups [entries] and the sizes [entries, k] of each row of a component.

    Groups are numbered by their position in the component.
    """
    entries = [slice(program.row_starts[row], program.row_starts[row + 1]) for row in component.rows.tolist()]
    groups = [np.searchsorted(component.groups, program.entry_groups[own]) for own in entries]
    return groups, [program.entry_sizes[own, :choice_count] for own in entries]


def _is_chain(row_groups: list[IntArray], group_count: int) -> bool:
    """Return whether the constraints of an integer program form a chain: row r has exactly the groups r and r + 1.

    Args:
        row_groups: Groups of each row.
        group_count: Number of groups.
    """
    return len(row_groups) == group_count - 1 and all(
        len(groups) == 2 and groups.min() == row and groups.max() == row + 1 for row, groups in enumerate(row_groups)
    )


def _pairwise_terms_by_row(program: Program, component: Component) -> list[list[PairwiseTerm]] | None:
    """Return the pairwise terms of each constraint of a program's component; None if no constraint has one.

    Groups are numbered by their position in the component.
    """
    if not len(program.pairwise_rows):
        return None
    rows, groups, sizes = _pairwise_terms_of(program, component, _choice_count(program.costs[component.groups]))
    if not len(rows):
        return None
    row_terms: list[list[PairwiseTerm]] = [[] for _ in component.rows]
    for row, (first, second), table in zip(rows.tolist(), groups.tolist(), sizes, strict=True):
        row_terms[row].append((first, second, table))
    return row_terms


def _pairwise_terms_of(
    program: Program, component: Component, choice_count: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the rows [t], groups [t, 2] and sizes [t, k, k] of the pairwise terms of a program's component.

    Rows and groups are numbered by their position in the component.

    Args:
        program: The program that contains the component.
        component: The independent component.
        choice_count: Number of choices k that are kept.
    """
    starts = np.searchsorted(program.pairwise_rows, component.rows, side="left")
    counts = np.searchsorted(program.pairwise_rows, component.rows, side="right") - starts
    rows = np.repeat(np.arange(len(component.rows)), counts)
    terms = np.arange(len(rows)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
    groups = np.searchsorted(component.groups, program.pairwise_groups[terms])
    return rows, groups, program.pairwise_sizes[terms, :choice_count, :choice_count]


def _chain_tables(
    row_groups: list[IntArray], row_sizes: list[IntArray], row_pairwise_terms: list[list[PairwiseTerm]] | None
) -> IntArray:
    """Return the sum of sizes of each chain constraint by the choices of its two groups, int64 [rows, k, k].

    Args:
        row_groups: Groups of each row.
        row_sizes: Size of each entry of each row, int64 [2, k] for each row.
        row_pairwise_terms: Pairwise terms of each row; None if no row has one.
    """
    sizes = np.stack([sizes[groups.argsort()] for groups, sizes in zip(row_groups, row_sizes, strict=True)])
    tables: IntArray = sizes[:, 0, :, None] + sizes[:, 1, None, :]
    for row, terms in enumerate(row_pairwise_terms or ()):
        for first, second, table in terms:
            tables[row] += table if first < second else table.T
    return tables


def _component_program(program: Program, component: Component, choice_count: int) -> Program:
    """Return an independent component of an integer program as a separate integer program.

    Args:
        program: The program that contains the component.
        component: The independent component.
        choice_count: Number of choices k that are kept.
    """
    row_groups, row_sizes = _entries_by_row(program, component, choice_count)
    pairwise_rows, pairwise_groups, pairwise_sizes = _pairwise_terms_of(program, component, choice_count)
    return Program(
        groups=tuple(program.groups[group] for group in component.groups.tolist()),
        costs=program.costs[component.groups, :choice_count],
        row_names=tuple(program.row_names[row] for row in component.rows.tolist()),
        limits=program.limits[component.rows],
        row_starts=np.cumsum([0, *(len(groups) for groups in row_groups)]),
        entry_groups=np.concatenate(row_groups),
        entry_sizes=np.concatenate(row_sizes),
        pairwise_rows=pairwise_rows,
        pairwise_groups=pairwise_groups,
        pairwise_sizes=pairwise_sizes,
    )
