"""The exact program's solution: branch and bound over the switches, everything else part by part.

A switch joins tensors that nothing else joins: the code of a 4-bit kernel makes every layer's bits depend on every
other's. So switches are decided first. In a node some are on, some are off, and the rest are taken at their better
half: whatever they would cost is left out, whatever they would save is counted, and what they forbid is allowed. That
program falls apart (`parts.py`), and no solution of the node is better. If its choices do with the switches as they
were taken, the node is solved; if not, the switch that lied the most is decided both ways. Nodes are taken by their
bounds, the lowest first.

Where nothing falls apart the whole goes to HiGHS at once: under a latency ceiling, which joins all tensors for good,
and with a switch for every layer (folding), too many to branch on.
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from solver.exact.decomposition import has_wide_part_with_pairs, solve_parts
from solver.exact.knapsack import LEAST_GAIN
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import CHOICES, DEFAULT_TIME_LIMIT_SECONDS, OFF, ON, Answer, FloatArray, IntArray, Program

MOST_SWITCHES: Final = 16
"""As many are branched on; kernels have a dozen."""


def solve_exactly(program: Program, time_limit_seconds: float = DEFAULT_TIME_LIMIT_SECONDS) -> Answer:
    """The least-cost choices that keep every row, and a bound that no choices are below.

    Args:
        program: with or without switches.
        time_limit_seconds: after which the best answer so far is given; an answer found in time does not depend on it.
    """
    if not len(program.switches):
        return solve_parts(program, time_limit_seconds)
    deadline = time.perf_counter() + time_limit_seconds
    if len(program.switches) > MOST_SWITCHES:
        answer = solve_integer_program(program, highs, time_limit_seconds / 2)
        if answer.choices is not None or answer.bound == np.inf:
            return answer
    return _SwitchSearch(program, deadline).run()


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """Switches that are decided: ON, OFF, or -1 for the rest, [switches]."""

    decided: IntArray

    def with_switch(self, switch: int, choice: int) -> _Node:
        decided = self.decided.copy()
        decided[switch] = choice
        return _Node(decided)


class _SwitchSearch:
    def __init__(self, program: Program, deadline: float) -> None:
        self._program = program
        self._deadline = deadline
        switch_of = np.full(len(program.groups), -1, dtype=np.int64)
        switch_of[program.switches] = np.arange(len(program.switches))
        entry_rows = program.entry_rows()
        is_link = np.zeros(len(program.limits), dtype=bool)
        is_link[program.links] = True
        first_entries = program.row_starts[program.links]
        self._link_switch = switch_of[program.entry_groups[first_entries]]
        self._link_group = program.entry_groups[first_entries + 1]
        self._link_switch_sizes = program.entry_sizes[first_entries]
        self._link_group_sizes = program.entry_sizes[first_entries + 1]
        self._link_limits = program.limits[program.links]
        # What switches take of the rows that are no links.
        in_row = ~is_link[entry_rows] & (switch_of[program.entry_groups] >= 0)
        self._taken_row = entry_rows[in_row]
        self._taken_switch = switch_of[program.entry_groups[in_row]]
        self._taken_sizes = program.entry_sizes[in_row][:, [ON, OFF]]
        self._plain = _without(program, switch_of >= 0, is_link)
        self._plain_rows = np.flatnonzero(~is_link)
        self._position = np.cumsum(~is_link) - 1
        self._tensors = np.flatnonzero(switch_of < 0)
        self._best = Answer(None, np.inf, np.inf)

    def run(self) -> Answer:
        counter = itertools.count()
        root = _Node(np.full(len(self._program.switches), -1, dtype=np.int64))
        if has_wide_part_with_pairs(self._plain_of(root)):
            return solve_integer_program(self._program, highs, self._deadline - time.perf_counter())
        queue: list[tuple[float, int, _Node]] = [(-np.inf, next(counter), root)]
        broken_row: int | None = None
        while queue:
            bound, _, node = heapq.heappop(queue)
            if bound > self._best.objective - LEAST_GAIN:
                break
            if bound > -np.inf and time.perf_counter() > self._deadline:
                return replace(self._best, bound=min(bound, self._best.objective))
            answer = self._relaxed(node)
            if answer.choices is None:
                if bound == -np.inf and answer.broken_row is not None:
                    broken_row = int(self._plain_rows[answer.broken_row])
                continue
            bound = max(bound, answer.bound)
            branch_on, completed = self._complete(node, answer.choices)
            if branch_on is None:
                self._offer(completed)
                continue
            self._dive(completed)
            for choice in (ON, OFF):
                heapq.heappush(queue, (bound, next(counter), node.with_switch(branch_on, choice)))
        return replace(self._best, bound=self._best.objective, broken_row=broken_row)

    def _relaxed(self, node: _Node) -> Answer:
        """The best choices of the tensors when undecided switches are taken at their better half."""
        plain = self._plain_of(node)
        if not np.isfinite(plain.costs).any(axis=1).all():
            return Answer(None, np.inf, np.inf)
        return solve_parts(plain, max(self._deadline - time.perf_counter(), 1.0))

    def _plain_of(self, node: _Node) -> Program:
        """The program of the tensors alone, with the switches of a node taken into its costs and limits."""
        costs = self._plain.costs.copy()
        decided = node.decided[self._link_switch]
        known = decided >= 0
        of_switch = self._link_switch_sizes[known, decided[known]]
        barred = self._link_group_sizes[known] + of_switch[:, None] > self._link_limits[known][:, None]
        groups = self._link_group[known]
        for choice in range(CHOICES):
            costs[groups[barred[:, choice]], choice] = np.inf
        choice_of = node.decided[self._taken_switch]
        rows = np.arange(len(choice_of))
        taken = np.where(
            choice_of >= 0, self._taken_sizes[rows, np.maximum(choice_of, 0)], self._taken_sizes.min(axis=1)
        )
        limits = self._plain.limits.copy()
        np.subtract.at(limits, self._position[self._taken_row], taken)
        return replace(self._plain, costs=costs, limits=limits)

    def _complete(self, node: _Node, tensor_choices: IntArray) -> tuple[int | None, IntArray]:
        """Switches as the tensors' choices need them: the one that was taken the most amiss, and all choices.

        None where every switch is as it was taken.
        """
        choices = np.zeros(len(self._program.groups), dtype=np.int64)
        choices[self._tensors] = tensor_choices
        of_group = self._link_group_sizes[np.arange(len(self._link_group)), choices[self._link_group]]
        off_allowed = np.ones(len(node.decided), dtype=bool)
        on_allowed = np.ones(len(node.decided), dtype=bool)
        off_allowed[self._link_switch[of_group + self._link_switch_sizes[:, OFF] > self._link_limits]] = False
        on_allowed[self._link_switch[of_group + self._link_switch_sizes[:, ON] > self._link_limits]] = False
        sizes = np.zeros((len(node.decided), 2), dtype=np.int64)
        np.add.at(sizes, self._taken_switch, self._taken_sizes)
        prefers_on = sizes[:, ON] < sizes[:, OFF]
        switch = np.where(on_allowed & (prefers_on | ~off_allowed), ON, OFF)
        switch = np.where(node.decided >= 0, node.decided, switch)
        choices[self._program.switches] = switch
        lie = np.where(node.decided >= 0, 0, sizes[np.arange(len(switch)), switch] - sizes.min(axis=1))
        worst = int(lie.argmax()) if len(lie) else 0
        return (worst if lie[worst] > 0 else None), choices

    def _dive(self, completed: IntArray) -> None:
        """A solution near by: the switches as they were needed, the tensors chosen again."""
        if (self._program.row_sizes(completed) <= self._program.limits).all():
            self._offer(completed)
        answer = self._relaxed(_Node(completed[self._program.switches]))
        if answer.choices is not None:
            choices = completed.copy()
            choices[self._tensors] = answer.choices
            self._offer(choices)

    def _offer(self, choices: IntArray) -> None:
        if (self._program.row_sizes(choices) > self._program.limits).any():
            return
        objective = self._program.objective(choices)
        if objective < self._best.objective:
            self._best = Answer(choices, objective, -np.inf)


def _without(program: Program, is_switch: np.ndarray, is_link: np.ndarray) -> Program:
    """The program of the tensors alone: no switches and no links."""
    entry_rows = program.entry_rows()
    kept = ~is_link[entry_rows] & ~is_switch[program.entry_groups]
    renumbered = np.cumsum(~is_switch) - 1
    rows = np.flatnonzero(~is_link)
    new_row = np.cumsum(~is_link) - 1
    lengths = np.bincount(entry_rows[kept], minlength=len(program.limits))[rows]
    costs: FloatArray = program.costs[~is_switch]
    return Program(
        groups=tuple(name for name, switch in zip(program.groups, is_switch.tolist(), strict=True) if not switch),
        costs=costs,
        row_names=tuple(program.row_names[row] for row in rows.tolist()),
        limits=program.limits[rows],
        row_starts=np.concatenate(([0], np.cumsum(lengths))),
        entry_groups=renumbered[program.entry_groups[kept]],
        entry_sizes=program.entry_sizes[kept],
        pair_rows=new_row[program.pair_rows],
        pair_groups=renumbered[program.pair_groups],
        pair_sizes=program.pair_sizes,
    )
