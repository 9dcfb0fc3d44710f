"""Exact solution of the integer program: branch and bound over indicator variables, decomposition of the rest.

An indicator variable joins tensors that no other constraint joins: because of the code of a 4-bit kernel, or of its
stack, the bits of each layer depend on those of all others. So the search branches on indicator variables. In a node,
some of them are fixed to ON or OFF and the others are relaxed: each contributes the smaller of its two sizes, and its
implications are ignored. The tensors are then solved by decomposition (with exclusions: by `exclusion_search.py`), and
the result is a lower bound for the node.

    best = none; queue = {node without fixed variables}
    while the queue has a node whose bound is below the cost of best:
        take the node with the lowest bound
        solve its relaxation; discard the node if it has no solution
        complete the solution: give each relaxed variable the value that the choices of the tensors imply
        if the completed solution keeps all limits:
            the node is solved; keep the completed solution if it is the best
        else:
            try to find a solution near the completed one, and keep it if it is the best
            branch on the variable that adds most to the rows that exceed their limits: one node with ON, one with OFF

HiGHS solves programs as a whole that do not decompose: those with a latency ceiling, which joins all tensors, and those
with more indicator variables than the search can branch on.
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from solver.exact.decomposition import has_wide_component_with_pairwise_terms
from solver.exact.exclusion_search import solve_with_exclusions
from solver.exact.knapsack_core import MIN_GAIN
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import OFF, ON, BoolArray, Float64Array, IntArray, Program, ProgramSolution
from solver.options import DEFAULT_TIME_LIMIT_SECONDS

MAX_BRANCHING_INDICATORS: Final = 16
"""Largest number of indicator variables that the search branches on; a network uses about a dozen kernels."""

_RELAXED: Final = -1
"""Value of an indicator variable that a node does not fix."""


def solve_exactly(program: Program, time_limit_seconds: float = DEFAULT_TIME_LIMIT_SECONDS) -> ProgramSolution:
    """Solve an integer program exactly: choices of minimum summed cost within all limits, with a lower bound.

    Args:
        program: A program, with or without indicator variables.
        time_limit_seconds: Number of seconds after which the best solution so far is returned. A solution that is found
            within the limit does not depend on it.
    """
    if not len(program.indicators):
        return solve_with_exclusions(program, time_limit_seconds)
    deadline = time.perf_counter() + time_limit_seconds
    if len(program.indicators) > MAX_BRANCHING_INDICATORS:
        solution = solve_integer_program(program, highs, time_limit_seconds / 2)
        if solution.choices is not None or solution.bound == np.inf:
            return solution
    return _IndicatorSearch(program, deadline).run()


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """Node of the branch-and-bound tree: the indicator variables that are fixed to ON or OFF.

    Attributes:
        values: ON, OFF or _RELAXED for each indicator variable, int64 [indicators].
    """

    values: IntArray

    def with_value(self, indicator: int, value: int) -> _Node:
        """Return a node of the branch-and-bound tree that fixes one more indicator variable to ON or OFF."""
        values = self.values.copy()
        values[indicator] = value
        return _Node(values)


class _IndicatorSearch:
    """Branch and bound over the indicator variables of one integer program.

    Indicator variables are numbered by their position in `program.indicators`. The tensor program is the program
    without indicator variables and implications.
    """

    def __init__(self, program: Program, deadline: float) -> None:
        self._program = program
        self._deadline = deadline
        indicator_of = np.full(len(program.groups), -1, dtype=np.int64)
        indicator_of[program.indicators] = np.arange(len(program.indicators))
        entry_rows = program.entry_rows()
        is_implication = np.zeros(len(program.limits), dtype=bool)
        is_implication[program.implications] = True
        first_entries = program.row_starts[program.implications]
        self._implication_indicator = indicator_of[program.entry_groups[first_entries]]
        self._implication_group = program.entry_groups[first_entries + 1]
        self._implication_indicator_sizes = program.entry_sizes[first_entries]
        self._implication_group_sizes = program.entry_sizes[first_entries + 1]
        self._implication_limits = program.limits[program.implications]
        # Entries of indicator variables in rows that are not implications.
        is_own = ~is_implication[entry_rows] & (indicator_of[program.entry_groups] >= 0)
        self._indicator_entry_row = entry_rows[is_own]
        self._indicator_entry = indicator_of[program.entry_groups[is_own]]
        self._indicator_entry_sizes = program.entry_sizes[is_own][:, [ON, OFF]]
        self._tensor_program = _without_indicators(program, indicator_of >= 0, is_implication)
        self._tensor_program_rows = np.flatnonzero(~is_implication)
        self._row_in_tensor_program = np.cumsum(~is_implication) - 1
        self._tensors = np.flatnonzero(indicator_of < 0)
        self._best = ProgramSolution(None, np.inf, np.inf)

    def run(self) -> ProgramSolution:
        """Search for the optimum of the program until the lower bound proves it, or until the time limit."""
        counter = itertools.count()
        root = _Node(np.full(len(self._program.indicators), _RELAXED, dtype=np.int64))
        if has_wide_component_with_pairwise_terms(self._relaxation_of(root)):
            return solve_integer_program(self._program, highs, self._deadline - time.perf_counter())
        queue: list[tuple[float, int, _Node]] = [(-np.inf, next(counter), root)]
        broken_row: int | None = None
        while queue:
            bound, _, node = heapq.heappop(queue)
            if bound > self._best.objective - MIN_GAIN:
                break
            if bound > -np.inf and time.perf_counter() > self._deadline:
                return replace(self._best, bound=min(bound, self._best.objective))
            relaxed = self._solve_relaxation(node)
            if relaxed.choices is None:
                if bound == -np.inf and relaxed.broken_row is not None:
                    broken_row = int(self._tensor_program_rows[relaxed.broken_row])
                continue
            bound = max(bound, relaxed.bound)
            most_violated, completed = self._complete(node, relaxed.choices)
            if most_violated is None:
                self._offer(completed)
                continue
            self._search_near(completed)
            for value in (ON, OFF):
                heapq.heappush(queue, (bound, next(counter), node.with_value(most_violated, value)))
        return replace(self._best, bound=self._best.objective, broken_row=broken_row)

    def _solve_relaxation(self, node: _Node) -> ProgramSolution:
        """Solve the relaxation of a branch-and-bound node, and return one choice for each tensor."""
        relaxation = self._relaxation_of(node)
        if not np.isfinite(relaxation.costs).any(axis=1).all():
            return ProgramSolution(None, np.inf, np.inf)
        return solve_with_exclusions(relaxation, max(self._deadline - time.perf_counter(), 1.0))

    def _relaxation_of(self, node: _Node) -> Program:
        """Return the relaxation of a branch-and-bound node: an integer program without indicator variables.

        A fixed indicator variable is subtracted from the limits, and forbids the choices of tensors that its
        implications exclude (infinite cost). A relaxed one subtracts the smaller of its sizes and forbids nothing.
        """
        costs = self._tensor_program.costs.copy()
        values = node.values[self._implication_indicator]
        is_fixed = values >= 0
        indicator_sizes = self._implication_indicator_sizes[is_fixed, values[is_fixed]]
        sums = self._implication_group_sizes[is_fixed] + indicator_sizes[:, None]
        is_excluded = sums > self._implication_limits[is_fixed][:, None]
        groups = self._implication_group[is_fixed]
        for choice in range(costs.shape[1]):
            costs[groups[is_excluded[:, choice]], choice] = np.inf
        entry_values = node.values[self._indicator_entry]
        entries = np.arange(len(entry_values))
        sizes = np.where(
            entry_values >= 0,
            self._indicator_entry_sizes[entries, np.maximum(entry_values, 0)],
            self._indicator_entry_sizes.min(axis=1),
        )
        limits = self._tensor_program.limits.copy()
        np.subtract.at(limits, self._row_in_tensor_program[self._indicator_entry_row], sizes)
        return replace(self._tensor_program, costs=costs, limits=limits)

    def _complete(self, node: _Node, tensor_choices: IntArray) -> tuple[int | None, IntArray]:
        """Give each relaxed indicator variable the value (ON or OFF) that the choices of the tensors imply.

        Of two values that are both possible, the variable gets the one of smaller size.

        Args:
            node: The node whose relaxation was solved.
            tensor_choices: Choice of each tensor, int64 [tensors].

        Returns:
            The indicator variable whose sizes in rows that exceed their limits are most above those that the relaxation
            counted, None if there is none; and the choice of each group, int64 [n].
        """
        choices = np.zeros(len(self._program.groups), dtype=np.int64)
        choices[self._tensors] = tensor_choices
        group_choices = choices[self._implication_group]
        group_sizes = self._implication_group_sizes[np.arange(len(group_choices)), group_choices]
        sums = group_sizes[:, None] + self._implication_indicator_sizes
        off_allowed = np.ones(len(node.values), dtype=bool)
        on_allowed = np.ones(len(node.values), dtype=bool)
        off_allowed[self._implication_indicator[sums[:, OFF] > self._implication_limits]] = False
        on_allowed[self._implication_indicator[sums[:, ON] > self._implication_limits]] = False
        sizes = np.zeros((len(node.values), 2), dtype=np.int64)
        np.add.at(sizes, self._indicator_entry, self._indicator_entry_sizes)
        prefers_on = sizes[:, ON] < sizes[:, OFF]
        values = np.where(on_allowed & (prefers_on | ~off_allowed), ON, OFF)
        values = np.where(node.values >= 0, node.values, values)
        choices[self._program.indicators] = values
        exceeds = (self._program.row_sizes(choices) > self._program.limits)[self._indicator_entry_row]
        added = self._indicator_entry_sizes[np.arange(len(exceeds)), values[self._indicator_entry]]
        added = added - self._indicator_entry_sizes.min(axis=1)
        violation = np.zeros(len(values), dtype=np.int64)
        np.add.at(violation, self._indicator_entry, np.where(exceeds, added, 0))
        violation[node.values >= 0] = 0
        worst = int(violation.argmax()) if len(violation) else 0
        return (worst if violation[worst] > 0 else None), choices

    def _search_near(self, completed: IntArray) -> None:
        """Keep completed choices if they are feasible, and search for better ones with the same indicator values.

        Args:
            completed: Choice of each group, int64 [n].
        """
        if (self._program.row_sizes(completed) <= self._program.limits).all():
            self._offer(completed)
        solution = self._solve_relaxation(_Node(completed[self._program.indicators]))
        if solution.choices is not None:
            choices = completed.copy()
            choices[self._tensors] = solution.choices
            self._offer(choices)

    def _offer(self, choices: IntArray) -> None:
        """Keep choices that satisfy every constraint if they cost less than the best ones so far."""
        if (self._program.row_sizes(choices) > self._program.limits).any():
            return
        objective = self._program.objective(choices)
        if objective < self._best.objective:
            self._best = ProgramSolution(choices, objective, -np.inf)


def _without_indicators(program: Program, is_indicator: BoolArray, is_implication: BoolArray) -> Program:
    """Return an integer program without its indicator variables and implications.

    Args:
        program: The integer program.
        is_indicator: Whether each group is an indicator variable, bool [n].
        is_implication: Whether each row is an implication, bool [m].
    """
    entry_rows = program.entry_rows()
    kept = ~is_implication[entry_rows] & ~is_indicator[program.entry_groups]
    new_group = np.cumsum(~is_indicator) - 1
    rows = np.flatnonzero(~is_implication)
    new_row = np.cumsum(~is_implication) - 1
    lengths = np.bincount(entry_rows[kept], minlength=len(program.limits))[rows]
    costs: Float64Array = program.costs[~is_indicator]
    return Program(
        groups=tuple(name for name, own in zip(program.groups, is_indicator.tolist(), strict=True) if not own),
        costs=costs,
        row_names=tuple(program.row_names[row] for row in rows.tolist()),
        limits=program.limits[rows],
        row_starts=np.concatenate(([0], np.cumsum(lengths))),
        entry_groups=new_group[program.entry_groups[kept]],
        entry_sizes=program.entry_sizes[kept],
        exclusions=new_row[program.exclusions],
        pairwise_rows=new_row[program.pairwise_rows],
        pairwise_groups=new_group[program.pairwise_groups],
        pairwise_sizes=program.pairwise_sizes,
    )
