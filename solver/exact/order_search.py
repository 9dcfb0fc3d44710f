"""Minimum summed sensitivity over the bits of all tensors and the orders of the layers, with a lower bound.

    solve the relaxation over all orders (`order_relaxation.py`): a lower bound for each order
    for each order: all of them in a small graph; in a large one that of the file and those of smallest peak
        repeat:
            solve the exact program of the order (`formulation.py`, `indicator_search.py`)
            plan the arena for the bits found
            if the plan is larger than the arena: add a cut that forbids these bits (`arena_cuts.py`)
        until the plan fits, the order cannot be better than the best one, or the cuts or the time are used up
        stop if the solution reaches the lower bound

If the cuts are used up, the RAM that the arena needs beyond its largest step is reserved, and the program is solved
with the rest of the RAM: the solution fits, but it may not be optimal.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from network.allocation import BITS, Allocation, Bits
from network.memory.accounting import shared_memory
from network.memory.report import Region
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.arena_cuts import ArenaCut, arena_cut
from solver.exact.formulation import Formulation, formulate
from solver.exact.indicator_search import solve_exactly
from solver.exact.milp import highs, pulp_backend, solve_integer_program
from solver.exact.order_relaxation import relaxed_over_orders
from solver.exact.preferred_schemes import with_preferred_schemes
from solver.exact.program import ProgramSolution
from solver.options import HIGHS_BACKEND, NATIVE_BACKEND, LayerOrder
from solver.orders import orders_to_try
from solver.problem import Problem
from solver.problem_building import problem_of
from solver.question import Question

MAX_ARENA_CUTS: Final = 50
"""Largest number of cuts for one order."""

MAX_RESERVATIONS: Final = 10
"""Largest number of times that more RAM is reserved for the gaps in the arena of one order."""


@dataclass(frozen=True, slots=True)
class OrderSearchResult:
    """The best bits and order of the layers that a search found, with a lower bound over all bits and orders.

    Attributes:
        network: The network, with its layers in the chosen order.
        allocation: The bits of every tensor; None if none were found that fit.
        objective: Summed sensitivity of the allocation; infinite without an allocation.
        bound: Lower bound on the summed sensitivity of all bits that fit in any order; infinite if it is proven that
            no bits fit.
    """

    network: Network
    allocation: Allocation | None
    objective: float
    bound: float


def search_orders(question: Question) -> OrderSearchResult:
    """Find the bits and the order of the layers with minimum summed sensitivity, with a lower bound on it.

    Args:
        question: A question for the exact program.

    Raises:
        ValueError: If the question has no sensitivity table.
    """
    return _OrderSearch(question).run()


class _OrderSearch:
    """Search over the orders of a network's layers for the one with the best bits."""

    def __init__(self, question: Question) -> None:
        if question.sensitivity is None:
            raise ValueError("the exact program needs a sensitivity table, but the question has none")
        self._question = question
        self._table = question.sensitivity
        self._choices = question.choices
        self._shared_table = _summed_over_same_bits(self._table, question.accounting.same_bits(question.network))
        self._deadline = time.perf_counter() + question.options.time_limit_seconds
        self._best = OrderSearchResult(question.network, None, np.inf, np.inf)

    def run(self) -> OrderSearchResult:
        """Try the orders of the layers until one reaches the lower bound, or until the time limit."""
        orders, all_tried = self._orders()
        if len(orders) == 1:
            bound = self._try(orders[0])
            return replace(self._best, bound=min(bound, self._best.objective))
        relaxed_problem = relaxed_over_orders(self._question.network, self._given_problem)
        formulation = formulate(relaxed_problem, self._shared_table, self._choices)
        relaxed = self._solve(formulation)
        if relaxed.choices is None and relaxed.bound == np.inf:
            return self._best
        bound = relaxed.bound * formulation.cost_unit
        lowest_order_bound = np.inf
        for order in orders:
            lowest_order_bound = min(lowest_order_bound, self._try(order))
            if self._best.objective <= bound * (1 + 1e-12) or time.perf_counter() > self._deadline:
                break
        else:
            if all_tried:
                bound = max(bound, lowest_order_bound)
        return replace(self._best, bound=min(bound, self._best.objective))

    def _orders(self) -> tuple[list[Network], bool]:
        """Return the orders of the layers to try, and whether these are all orders that the options allow."""
        network = self._question.network
        if self._question.options.schedule is LayerOrder.GIVEN or network.is_chain:
            return [network], True
        uniform = [dict.fromkeys(self._given_problem.activations, bits) for bits in (BITS[0], BITS[1])]
        return orders_to_try(network, self._given_problem, uniform)

    @cached_property
    def _given_problem(self) -> Problem:
        """The problem of the network with its layers in the given order."""
        return problem_of(self._question)

    def _try(self, order: Network) -> float:
        """Find the best bits for one execution order of the layers, and return a lower bound on its sensitivity.

        Args:
            order: The network, with its layers in the order.
        """
        is_given = order is self._question.network
        problem = self._given_problem if is_given else problem_of(replace(self._question, network=order))
        cuts: list[ArenaCut] = []
        # After a cut that is not proven, the program may exclude bits that fit, and only the bound before it holds.
        proven_bound: float | None = None
        while True:
            formulation = formulate(problem, self._shared_table, self._choices, cuts)
            solution = self._solve(formulation)
            bound = solution.bound * formulation.cost_unit if proven_bound is None else proven_bound
            if solution.choices is None or bound >= self._best.objective:
                return bound
            allocation = self._allocation(problem, formulation, solution)
            arena_bytes = self._arena_bytes(order, allocation)
            cut = arena_cut(order, self._question.accounting, allocation.activation_bits, arena_bytes)
            if cut is None:
                if proven_bound is None:
                    objective = self._table.objective(allocation)
                    bound = objective - max(solution.objective - solution.bound, 0.0) * formulation.cost_unit
                self._offer(order, allocation, bound)
                return bound
            if not cut.is_proven and proven_bound is None:
                proven_bound = bound
            if len(cuts) == MAX_ARENA_CUTS or time.perf_counter() > self._deadline:
                self._try_with_reserve(order, bound)
                return bound
            cuts.append(replace(cut, ram_features=problem.needed_ram_features(allocation)))

    def _try_with_reserve(self, order: Network, bound: float) -> None:
        """Find bits that fit by reserving the RAM that the arena needs in addition to its largest step.

        Args:
            order: The network, with its layers in the order.
            bound: Lower bound of the order.
        """
        budget = self._question.budget
        for _ in range(MAX_RESERVATIONS):
            problem = problem_of(replace(self._question, network=order, budget=budget))
            formulation = formulate(problem, self._shared_table, self._choices)
            solution = self._solve(formulation)
            if solution.choices is None:
                return
            allocation = self._allocation(problem, formulation, solution)
            plan = self._question.accounting.arena(order, allocation.activation_bits)
            excess_bytes = 0 if plan is None else plan.arena_bytes - self._arena_bytes(order, allocation)
            if excess_bytes <= 0:
                self._offer(order, allocation, bound)
                return
            budget = replace(budget, ram_bytes=max(budget.ram_bytes - excess_bytes, 1))

    def _offer(self, order: Network, allocation: Allocation, bound: float) -> None:
        """Keep bits and an order of the layers if their summed sensitivity is the smallest so far."""
        objective = self._table.objective(allocation)
        if objective < self._best.objective:
            self._best = OrderSearchResult(order, allocation, objective, bound)

    def _solve(self, formulation: Formulation) -> ProgramSolution:
        """Solve an integer program by the backend that the user chose, within the remaining time or one second."""
        seconds = max(self._deadline - time.perf_counter(), 1.0)
        backend = self._question.options.backend
        if backend == NATIVE_BACKEND:
            return solve_exactly(formulation.program, seconds)
        solver = highs if backend == HIGHS_BACKEND else pulp_backend(backend.partition(":")[2])
        return solve_integer_program(formulation.program, solver, seconds)

    def _arena_bytes(self, order: Network, allocation: Allocation) -> int:
        """Return the number of bytes of the RAM budget that are left for the arena at given bits."""
        shared = shared_memory(order, allocation, self._question.accounting)
        return self._question.budget.ram_bytes - sum(each.size_bytes for each in shared if each.region is Region.RAM)

    def _allocation(self, problem: Problem, formulation: Formulation, solution: ProgramSolution) -> Allocation:
        """Return the bits and schemes of all tensors that a solution of the integer program stands for."""
        assert solution.choices is not None  # noqa: S101  # the caller has checked it
        return with_preferred_schemes(problem, formulation, solution.choices)


def _summed_over_same_bits(table: SensitivityTable, same_bits: Mapping[str, str]) -> SensitivityTable:
    """Return a sensitivity table in which one tensor has the summed sensitivity of all that share its bits.

    Args:
        table: The table of all tensors.
        same_bits: Name of each activation tensor -> name of the tensor whose bits it must have.
    """
    summed: dict[str, dict[Bits, float]] = {}
    for tensor, own in same_bits.items():
        row = summed.setdefault(own, dict.fromkeys(BITS, 0.0))
        for bits in BITS:
            row[bits] += table.activations[tensor][bits]
    return replace(table, activations=summed)
