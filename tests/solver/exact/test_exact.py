"""The exact program against brute force, against general solvers, and against the rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from network.allocation import WeightScheme
from network.budget import Budget
from network.errors import RequestError
from network.layers import Shape
from network.memory.accounting import Accounting
from network.memory.books import ACCOUNTINGS, accounting_named
from network.network import Network
from solver.exact.choices import Choices, check_choices
from solver.exact.order_search import search_orders
from solver.fit import fit
from solver.options import Method
from solver.orders import all_orders
from tests.builders import network_of, question_of
from tests.solver.instances import (
    BOOK_NAMES,
    BOOKS,
    best_by_trying,
    branches,
    budget_between,
    chains,
    graphs,
    pointwise,
    random_choices,
    random_latency,
    random_table,
)

ANY_BOOK = st.sampled_from(BOOKS)
SCHEMES = st.sampled_from(list(WeightScheme))
SHARES = st.floats(-0.1, 1.05)
SMALL_ENOUGH_TO_TRY = 8


# `assume` passes over networks that are too large to try: 2,000 are really tried.
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    st.one_of(graphs(most=5), chains(most=3)),
    ANY_BOOK,
    SCHEMES,
    SHARES,
    SHARES,
    st.integers(0, 10**6),
    st.sampled_from((False, False, False, True)),
    st.one_of(st.none(), st.none(), st.none(), st.floats(0.0, 0.7)),
)
def test_agrees_with_brute_force(
    network: Network,
    accounting: Accounting,
    weights: WeightScheme,
    ram_share: float,
    flash_share: float,
    seed: int,
    pins: bool,
    latency_share: float | None,
) -> None:
    orders = all_orders(network, 20)
    assume(orders is not None and len(network.tensors) + len(network.weight_layers) <= SMALL_ENOUGH_TO_TRY)
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    choices = random_choices(network, weights, seed) if pins else Choices(weights)
    try:
        check_choices(choices, network, accounting.same_bits(network))
    except RequestError:  # tensors that share their bits, and none that both may have
        assume(False)
    latency = None if latency_share is None else random_latency(network, latency_share, seed)
    solution = fit(
        question_of(network, budget, Method.EXACT, accounting, table, choices=choices, latency=latency)
    )  # the validator judges it
    best = best_by_trying(network, budget, accounting, table, choices, latency)
    if math.isinf(best):
        assert solution.certificate is not None
        return
    if latency is not None:
        assert solution.cycles is not None
        assert solution.cycles <= latency.most_cycles
    assert solution.objective == pytest.approx(best, rel=1e-9)
    assert solution.gap == pytest.approx(0, abs=1e-9)


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.one_of(graphs(most=20), chains(most=25)), ANY_BOOK, SCHEMES, SHARES, SHARES, st.integers(0, 10**6))
def test_agrees_with_general_solvers(
    network: Network, accounting: Accounting, weights: WeightScheme, ram_share: float, flash_share: float, seed: int
) -> None:
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    answers = [
        search_orders(
            question_of(
                network,
                budget,
                Method.EXACT,
                accounting,
                table,
                choices=Choices(weights=weights),
                backend=backend,
                chooses_schedule=False,
            )
        )
        for backend in ("native", "pulp:PULP_CBC_CMD")
    ]
    ours, theirs = answers
    assert (ours.allocation is None) == (theirs.allocation is None)
    if ours.allocation is not None:
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-6)


@pytest.mark.parametrize("accounting", BOOKS, ids=BOOK_NAMES)
@pytest.mark.parametrize("ram_share", [0.3, 0.6, 1.0])
def test_a_graph_with_too_many_orders_to_try(accounting: Accounting, ram_share: float) -> None:
    """9 branches have 9! orders and more: those of least peak are tried, and the bound holds for all."""
    network = branches(9)
    table = random_table(network, 1)
    whole = fit(question_of(network, Budget(2**30, 2**30), Method.EXACT, accounting, table))
    budget = Budget(2**30, int(whole.memory.ram_bytes * ram_share))
    solution = fit(question_of(network, budget, Method.EXACT, accounting, table))  # the validator judges it
    assert solution.objective is not None
    assert solution.bound is not None
    assert solution.bound <= solution.objective
    assert solution.memory.ram_bytes <= budget.ram_bytes
    least = fit(question_of(network, Budget(2**30, 1), Method.EXACT, accounting, table)).certificate
    assert least is not None
    assert least.budget == "ram"
    assert 0 < (least.least_bytes or 0) <= budget.ram_bytes


@pytest.mark.parametrize("book", sorted(ACCOUNTINGS))
def test_a_fold_for_every_layer_is_no_matter_of_branching(book: str) -> None:
    """Switches for 40 layers: branching on them ended at the time limit, with gaps of a sixth."""
    layers = [pointwise(f"l{i}", f"l{i - 1}" if i else "input", 24 + i % 7) for i in range(40)]
    network = network_of(layers, Shape(4, 8, 8))
    accounting, weights = accounting_named(book), WeightScheme.PER_LAYER_ASYM_PACT
    table = random_table(network, 0)
    budget = budget_between(network, accounting, weights, 0.7, 0.9)
    answers = [
        fit(question_of(network, budget, Method.EXACT, accounting, table, choices=Choices(weights), backend=backend))
        for backend in ("native", "pulp:PULP_CBC_CMD")
    ]
    assert answers[0].gap == pytest.approx(0, abs=1e-9)
    assert answers[0].objective == pytest.approx(answers[1].objective, rel=1e-6)
