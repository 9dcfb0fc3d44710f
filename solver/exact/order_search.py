"""`method: exact`: the least summed sensitivity over bits and schedules, with its bound.

1. Orders of the layers: all of them in a small graph; in a large one the file's own and those of least peak.
2. For each, the exact program (`formulation.py`, `exact.py`) chooses bits.
3. The arena is planned for these bits. Where it needs more than its largest step, a cut forbids what cannot lie
   together (`arena_cuts.py`), and 2 is done again.

The first order that reaches the bound over all orders ends the search. That bound is the program in which a step holds
its layer's own input and output and nothing else (`relaxation.py`): no order can do with less.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from network.allocation import BITS, Allocation, Bits
from network.budget import Budget
from network.memory.accounting import Accounting
from network.memory.report import Region
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.arena_cuts import ArenaCut, arena_cut
from solver.exact.formulation import Formulation, allocation_of, formulate
from solver.exact.indicator_search import solve_exactly
from solver.exact.milp import highs, pulp_backend, solve_integer_program
from solver.exact.options import HIGHS_BACKEND, NATIVE_BACKEND, ExactOptions
from solver.exact.order_relaxation import with_least_steps
from solver.exact.program import Answer
from solver.orders import orders_to_try
from solver.problem import Problem, problem_of

MAX_ARENA_CUTS: Final = 50
MAX_HELD_BACK: Final = 10


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """What was found.

    Attributes:
        network: in the order in which it runs.
        allocation: the bits; None if nothing fits.
        objective: the summed sensitivity.
        bound: no bits in any order have less; infinite where it is proven that nothing fits.
    """

    network: Network
    allocation: Allocation | None
    objective: float
    bound: float


def fit_exactly(
    network: Network, budget: Budget, accounting: Accounting, table: SensitivityTable, options: ExactOptions
) -> ExactAnswer:
    """The best bits and order, with a bound on both."""
    return _OrderSearch(network, budget, accounting, table, options).run()


class _OrderSearch:
    def __init__(
        self, network: Network, budget: Budget, accounting: Accounting, table: SensitivityTable, options: ExactOptions
    ) -> None:
        self._network, self._budget, self._accounting, self._options = network, budget, accounting, options
        self._table = table
        self._own_table = _summed_over_same_bits(table, accounting.same_bits(network))
        self._deadline = time.perf_counter() + options.time_limit_seconds
        self._best = ExactAnswer(network, None, np.inf, np.inf)

    def run(self) -> ExactAnswer:
        orders, all_tried = self._orders()
        if len(orders) == 1:
            bound = self._try(orders[0])
            return replace(self._best, bound=min(bound, self._best.objective))
        free = self._problem(self._network, self._budget)
        formulation = formulate(with_least_steps(self._network, free), self._own_table, self._options.choices)
        relaxed = self._solve(formulation)
        if relaxed.choices is None and relaxed.bound == np.inf:
            return self._best
        bound = relaxed.bound * formulation.worth
        least_order_bound = np.inf
        for order in orders:
            least_order_bound = min(least_order_bound, self._try(order))
            if self._best.objective <= bound * (1 + 1e-12) or time.perf_counter() > self._deadline:
                break
        else:
            if all_tried:
                bound = max(bound, least_order_bound)
        return replace(self._best, bound=min(bound, self._best.objective))

    def _orders(self) -> tuple[list[Network], bool]:
        if not self._options.chooses_schedule or self._network.is_chain:
            return [self._network], True
        problem = self._problem(self._network, self._budget)
        uniform = [dict.fromkeys(problem.activations, bits) for bits in (BITS[0], BITS[1])]
        return orders_to_try(self._network, problem, uniform)

    def _try(self, order: Network) -> float:
        """Keep the best bits in this order if they are the best of all; the bound of this order."""
        problem = self._problem(order, self._budget)
        arena_bytes = self._arena_bytes(order)
        cuts: list[ArenaCut] = []
        proven_bound: float | None = None  # once a cut rests on a plan that may not be the smallest
        while True:
            formulation = formulate(problem, self._own_table, self._options.choices, cuts)
            answer = self._solve(formulation)
            bound = answer.bound * formulation.worth if proven_bound is None else proven_bound
            if answer.choices is None or bound >= self._best.objective:
                return bound
            allocation = self._allocation(problem, formulation, answer)
            cut = arena_cut(order, self._accounting, allocation.activation_bits, arena_bytes)
            if cut is None:
                if proven_bound is None:
                    objective = self._table.objective(allocation.weight_bits, allocation.activation_bits)
                    bound = objective - max(answer.objective - answer.bound, 0.0) * formulation.worth
                self._offer(order, allocation, bound)
                return bound
            if not cut.is_proven and proven_bound is None:
                proven_bound = bound
            if len(cuts) == MAX_ARENA_CUTS or time.perf_counter() > self._deadline:
                self._try_with_less(order, bound)
                return bound
            cuts.append(cut)

    def _try_with_less(self, order: Network, bound: float) -> None:
        """Bits that fit, if not the best: with as much RAM held back as the arena needs beyond its largest step."""
        budget = self._budget
        for _ in range(MAX_HELD_BACK):
            problem = self._problem(order, budget)
            formulation = formulate(problem, self._own_table, self._options.choices)
            answer = self._solve(formulation)
            if answer.choices is None:
                return
            allocation = self._allocation(problem, formulation, answer)
            plan = self._accounting.arena(order, allocation.activation_bits)
            excess_bytes = 0 if plan is None else plan.arena_bytes - self._arena_bytes(order)
            if excess_bytes <= 0:
                self._offer(order, allocation, bound)
                return
            budget = replace(budget, ram_bytes=max(budget.ram_bytes - excess_bytes, 1))

    def _offer(self, order: Network, allocation: Allocation, bound: float) -> None:
        objective = self._table.objective(allocation.weight_bits, allocation.activation_bits)
        if objective < self._best.objective:
            self._best = ExactAnswer(order, allocation, objective, bound)

    def _problem(self, order: Network, budget: Budget) -> Problem:
        return problem_of(order, budget, self._accounting, self._options.latency)

    def _solve(self, formulation: Formulation) -> Answer:
        seconds = max(self._deadline - time.perf_counter(), 1.0)
        backend = self._options.backend
        if backend == NATIVE_BACKEND:
            return solve_exactly(formulation.program, seconds)
        solver = highs if backend == HIGHS_BACKEND else pulp_backend(backend.partition(":")[2])
        return solve_integer_program(formulation.program, solver, seconds)

    def _arena_bytes(self, order: Network) -> int:
        """What the arena may take."""
        shared = self._accounting.always_shared(order)
        return self._budget.ram_bytes - sum(each.size_bytes for each in shared if each.region is Region.RAM)

    def _allocation(self, problem: Problem, formulation: Formulation, answer: Answer) -> Allocation:
        assert answer.choices is not None  # noqa: S101
        return allocation_of(problem, formulation, self._options.choices.weights, answer.choices)


def _summed_over_same_bits(table: SensitivityTable, same_bits: Mapping[str, str]) -> SensitivityTable:
    """Tensors that share bits count as one."""
    summed: dict[str, dict[Bits, float]] = {}
    for tensor, own in same_bits.items():
        row = summed.setdefault(own, dict.fromkeys(BITS, 0.0))
        for bits in BITS:
            row[bits] += table.activations[tensor][bits]
    return SensitivityTable(table.method, table.weights, summed)
