"""`method: exact`: the least summed sensitivity over bits and schedules, with its bound.

1. Orders of the layers: all of them in a small graph; in a large one the file's own and those of least peak.
2. For each, the exact program (`formulation.py`, `exact.py`) chooses bits.
3. The arena is planned for these bits. Where it needs more than its largest step, a cut forbids the tensors that
cannot lie
   together, and 2 is done again.

The first order that reaches the bound over all orders ends the search. That bound is the program in which a step holds
its layer's own input and output and nothing else: no order can do with less.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from network.allocation import BITS, NARROWEST_BITS, Allocation, Bits
from network.budget import Budget
from network.memory import Accounting, Region, measure
from network.network import Network
from network.sensitivity import SensitivityTable
from solver.exact import solve_exactly
from solver.exact_options import HIGHS_BACKEND, NATIVE_BACKEND, ExactOptions
from solver.formulation import Formulation, allocation_of, formulate
from solver.integer_program import (
    highs,
    pulp_backend,
    solve_integer_program,
)
from solver.orders import orders_to_try
from solver.problem import Problem, RamStep, problem_of
from solver.program import Answer
from solver.shortfall import least_that_would_do
from solver.solution import Method, Solution

MAX_ARENA_CUTS: Final = 50


@dataclass(frozen=True, slots=True)
class ExactAnswer:
    """What was found.

    Attributes:
        network: in the order in which it runs.
        allocation: the bits; None if nothing fits.
        objective: the summed sensitivity.
        bound: no bits in any order have less.
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


def exactly(
    network: Network, budget: Budget, accounting: Accounting, table: SensitivityTable, options: ExactOptions
) -> Solution:
    """`fit_exactly` as a solution: with its report, or with the certificate of what would do."""
    answer = fit_exactly(network, budget, accounting, table, options)
    if answer.allocation is None:
        certificate, report = least_that_would_do(network, budget, accounting, options.choices)
        return Solution(Method.EXACT, None, certificate, report, network)
    report = measure(answer.network, answer.allocation, accounting)
    given = {tensor: answer.allocation.activation_bits[tensor] for tensor in network.tensors}
    in_given_order = replace(answer.allocation, activation_bits=given)
    return Solution(
        Method.EXACT,
        answer.allocation,
        None,
        report,
        answer.network,
        objective=answer.objective,
        bound=answer.bound,
        given_order_ram_bytes=measure(network, in_given_order, accounting).ram_bytes,
    )


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
            self._try(orders[0])
            return self._best
        free = problem_of(self._network, self._budget, self._accounting)
        formulation = formulate(_with_least_steps(free), self._own_table, self._options.choices)
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
        problem = problem_of(self._network, self._budget, self._accounting)
        uniform = [dict.fromkeys(problem.activations, bits) for bits in (BITS[0], BITS[1])]
        return orders_to_try(self._network, problem, uniform)

    def _try(self, order: Network) -> float:
        """Keep the best bits in this order if they are the best of all; the bound of this order."""
        problem = problem_of(order, self._budget, self._accounting)
        arena_bytes = self._arena_bytes(order)
        cuts: list[dict[str, Bits]] = []
        proven_bound: float | None = None  # once a cut rests on a plan that may not be the smallest
        while True:
            formulation = formulate(problem, self._own_table, self._options.choices, cuts)
            answer = self._solve(formulation)
            bound = answer.bound * formulation.worth if proven_bound is None else proven_bound
            if answer.choices is None or bound >= self._best.objective:
                return bound
            allocation = self._allocation(order, problem, formulation, answer)
            cut = _arena_cut(order, self._accounting, allocation.activation_bits, arena_bytes)
            if cut is None:
                objective = self._table.objective(allocation.weight_bits, allocation.activation_bits)
                if proven_bound is None:
                    bound = objective - max(answer.objective - answer.bound, 0.0) * formulation.worth
                if objective < self._best.objective:
                    self._best = ExactAnswer(order, allocation, objective, bound)
                return bound
            if not cut.is_proven and proven_bound is None:
                proven_bound = bound
            if len(cuts) == MAX_ARENA_CUTS or time.perf_counter() > self._deadline:
                return bound
            cuts.append(cut.bits)

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

    def _allocation(self, order: Network, problem: Problem, formulation: Formulation, answer: Answer) -> Allocation:
        assert answer.choices is not None  # noqa: S101
        same_bits = self._accounting.same_bits(order)
        return allocation_of(problem, formulation, self._options.choices.weights, same_bits, answer.choices)


def _summed_over_same_bits(table: SensitivityTable, same_bits: Mapping[str, str]) -> SensitivityTable:
    """Tensors that share bits count as one."""
    summed: dict[str, dict[Bits, float]] = {}
    for tensor, own in same_bits.items():
        row = summed.setdefault(own, dict.fromkeys(BITS, 0.0))
        for bits in BITS:
            row[bits] += table.activations[tensor][bits]
    return SensitivityTable(table.method, table.weights, summed)


def _with_least_steps(problem: Problem) -> Problem:
    """The problem in which nothing waits: what every order needs at least."""
    return replace(
        problem,
        steps=tuple(
            RamStep(step.layer, step.output, {name: step.tensors[name] for name in step.own}, step.limit, step.own)
            for step in problem.steps
        ),
    )


@dataclass(frozen=True, slots=True)
class _ArenaCut:
    """Tensors, with their bits, that the arena does not hold together: at least one must get fewer.

    Attributes:
        bits: tensor -> bits. What an arena needs never shrinks when a tensor gets more.
        is_proven: no plan of these bits is small enough; else the planner knows of none.
    """

    bits: dict[str, Bits]
    is_proven: bool


def _arena_cut(
    order: Network, accounting: Accounting, activation_bits: Mapping[str, Bits], arena_bytes: int
) -> _ArenaCut | None:
    """The cut that forbids these bits; None if the arena holds them."""
    plan = accounting.arena(order, activation_bits)
    if plan is None or plan.arena_bytes <= arena_bytes:
        return None
    kept = {order.input, *order.outputs}
    least: dict[str, Bits] = {
        tensor: bits if tensor in kept else NARROWEST_BITS for tensor, bits in activation_bits.items()
    }
    hopeless = accounting.arena(order, least)
    if hopeless is not None and hopeless.arena_bytes > arena_bytes:
        return _ArenaCut({}, hopeless.lower_bound_bytes > arena_bytes)
    cut: dict[str, Bits] = {tensor: bits for tensor, bits in activation_bits.items() if bits != least[tensor]}
    bits_now = dict(activation_bits)
    for tensor in list(cut):  # what the rest does without
        bits_now[tensor] = NARROWEST_BITS
        smaller = accounting.arena(order, bits_now)
        if smaller is not None and smaller.arena_bytes > arena_bytes:
            del cut[tensor]
            plan = smaller
        else:
            bits_now[tensor] = activation_bits[tensor]
    return _ArenaCut(cut, plan.lower_bound_bytes > arena_bytes)
