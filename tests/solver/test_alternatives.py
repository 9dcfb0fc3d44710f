"""The choice between accountings of a question: code that is compiled for speed, or for size."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from network.allocation import DEFAULT_WEIGHT_SCHEME, WIDEST_BITS
from network.budget import Budget
from network.devices.core_speeds import SPEEDS
from network.devices.latency import Rates, network_cycles
from network.kernel_sizes.tables import Optimization
from network.memory.books import accountings_for, optimization_of
from network.memory.measure import measure
from network.network import Network
from solver.exact.minimum_budgets import minimum_cycles
from solver.fit import fit
from solver.options import Method, SolveOptions
from solver.prices import shadow_prices
from solver.question import Question
from solver.solution import Solution
from solver.validator import violations
from tests.builders import mobilenet_v1, question_of
from tests.solver.instances import budget_between, chains, random_table

FAST, SMALL = accountings_for("deployed", None, None)
NETWORK = mobilenet_v1(0.25, 96, 10)
TABLE = random_table(NETWORK, 1)


def choosing(network: Network, budget: Budget, seed: int = 1) -> Question:
    question = question_of(network, budget, Method.EXACT, FAST, random_table(network, seed))
    return replace(question, alternatives=(SMALL,))


def test_code_for_speed_is_preferred_to_code_for_size() -> None:
    assert (optimization_of(FAST), optimization_of(SMALL)) == (Optimization.SPEED, Optimization.SIZE)
    assert accountings_for("paper", None, None) == accountings_for("paper", None, Optimization.SPEED)
    (given_level,) = accountings_for("deployed", None, Optimization.UNROLLED)
    assert optimization_of(given_level) is Optimization.UNROLLED


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(chains(4), st.floats(-0.2, 1), st.integers(0, 9))
def test_the_sum_is_the_smaller_one_of_both_and_ties_go_to_speed(network: Network, share: float, seed: int) -> None:
    budget = budget_between(network, FAST, DEFAULT_WEIGHT_SCHEME, 1.0, share)
    question = choosing(network, budget, seed)
    fast = fit(replace(question, alternatives=()))
    small = fit(replace(question, accounting=SMALL, alternatives=()))
    chosen = fit(question)
    sums = [each.objective for each in (fast, small) if each.objective is not None]
    assert chosen.objective == (min(sums) if sums else None)
    if fast.objective is not None and chosen.objective == fast.objective:
        assert chosen.accounting is FAST
    if chosen.allocation is not None:
        assert chosen.gap == 0
        report = measure(chosen.network, chosen.allocation, chosen.accounting)
        assert (report.flash_bytes, report.ram_bytes) == (chosen.memory.flash_bytes, chosen.memory.ram_bytes)


@pytest.mark.parametrize("method", [Method.EXACT, Method.MIXPC])
def test_code_for_size_is_used_where_a_network_fits_only_with_it(method: Method) -> None:
    table = TABLE if method is Method.EXACT else None
    least = fit(question_of(NETWORK, Budget(1, 10**7), method, FAST, table)).certificate
    assert least is not None
    assert least.least_bytes is not None
    question = question_of(NETWORK, Budget(int(least.least_bytes) - 1, 10**7), method, FAST, table)
    assert fit(question).allocation is None
    chosen = fit(replace(question, alternatives=(SMALL,)))
    assert chosen.allocation is not None
    assert chosen.accounting is SMALL


def test_a_ceiling_of_latency_counts_the_cycles_of_the_code_that_is_chosen() -> None:
    """Code for size is needed to fit, and takes twice the cycles: a ceiling below them leaves no code."""
    fast = SPEEDS["cortex-m4"].compiled(Optimization.SPEED)
    halves = Rates(
        {key: rate / 2 for key, rate in fast.multiply_accumulates_per_cycle.items()},
        {key: rate / 2 for key, rate in fast.elements_per_cycle.items()},
    )
    speed = replace(fast, by_optimization={Optimization.SIZE: halves})
    least = fit(question_of(NETWORK, Budget(1, 10**7), Method.EXACT, FAST, TABLE)).certificate
    assert least is not None
    assert least.least_bytes is not None
    question = replace(
        question_of(NETWORK, Budget(int(least.least_bytes) - 1, 10**7), Method.EXACT, FAST, TABLE),
        alternatives=(SMALL,),
        speed=speed,
        max_cycles=10**12,
    )
    free = fit(question)
    assert free.accounting is SMALL
    assert free.allocation is not None
    assert free.cycles == network_cycles(free.network, free.allocation, speed.compiled(Optimization.SIZE))
    assert free.cycles > network_cycles(free.network, free.allocation, fast)
    fastest = minimum_cycles(replace(question, accounting=SMALL)).cycles
    between = replace(question, max_cycles=fastest - 1)
    assert minimum_cycles(between).cycles < fastest, "code for speed alone keeps the ceiling"
    assert fit(between).allocation is None
    assert violations(replace(question, max_cycles=free.cycles), free) == []
    (broken,) = violations(replace(question, max_cycles=free.cycles - 1), free)
    assert broken == f"the network needs {free.cycles} cycles, but the latency ceiling is {free.cycles - 1}"


def test_the_certificate_states_the_minimum_of_the_smaller_code() -> None:
    certificate = fit(choosing(NETWORK, Budget(1, 10**7))).certificate
    small = fit(question_of(NETWORK, Budget(1, 10**7), Method.EXACT, SMALL, TABLE)).certificate
    assert certificate is not None
    assert small is not None
    assert certificate.least_bytes == small.least_bytes
    assert certificate.is_proven


def test_nothing_is_solved_again_where_every_tensor_has_its_best_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.import_module("solver.fit")
    solved: list[Question] = []
    original: Callable[[Question], Solution] = entry._solved

    def counted(question: Question) -> Solution:
        solved.append(question)
        return original(question)

    monkeypatch.setattr(entry, "_solved", counted)
    chosen = fit(choosing(NETWORK, Budget(10**7, 10**7)))
    assert chosen.accounting is FAST
    assert len(solved) == 1
    eight_bits = SolveOptions(allowed_weight_bits={"*": [WIDEST_BITS]}, allowed_activation_bits={"*": [WIDEST_BITS]})
    tight = replace(choosing(NETWORK, Budget(1, 10**7)), options=eight_bits)
    assert fit(tight).allocation is None
    assert len(solved) == 3


def test_prices_compare_with_the_better_of_both() -> None:
    budget = budget_between(NETWORK, FAST, DEFAULT_WEIGHT_SCHEME, 1.0, 0.5)
    question = choosing(NETWORK, budget)
    solution = fit(question)
    prices = shadow_prices(question, solution)
    more = fit(replace(question, budget=Budget(budget.flash_bytes + 1000, budget.ram_bytes)))
    assert solution.objective is not None
    assert more.objective is not None
    assert prices.flash == pytest.approx(solution.objective - more.objective)
