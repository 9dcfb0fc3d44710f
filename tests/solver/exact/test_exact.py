"""The exact program, compared with full enumeration and with general solvers."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from network.allocation import WEIGHT_SCHEMES, WeightScheme
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
from tests.solver.enumeration import minimum_by_enumeration
from tests.solver.instances import (
    BOOK_NAMES,
    BOOKS,
    branches,
    budget_between,
    chains,
    graphs,
    pointwise,
    random_choices,
    random_latency,
    random_table,
    with_shared_weights,
)

ANY_BOOK = st.sampled_from(BOOKS)
SCHEMES = st.sampled_from(list(WeightScheme))
SHARES = st.floats(-0.1, 1.05)
MAX_ENUMERATED_TENSORS = 8


# `assume` discards networks that are too large to enumerate; 2,000 others are enumerated.
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
def test_the_optimum_is_that_of_full_enumeration(
    network: Network,
    accounting: Accounting,
    weights: WeightScheme,
    ram_share: float,
    flash_share: float,
    seed: int,
    restricts_bits: bool,
    latency_share: float | None,
) -> None:
    orders = all_orders(network, 20)
    assume(orders is not None and len(network.tensors) + len(network.weight_layers) <= MAX_ENUMERATED_TENSORS)
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    choices = random_choices(network, weights, seed) if restricts_bits else Choices((weights,))
    try:
        check_choices(choices, network, accounting.same_bits(network))
    except RequestError:  # no bits are allowed for all of the tensors that share them
        assume(False)
    latency = None if latency_share is None else random_latency(network, latency_share, seed)
    solution = fit(
        question_of(network, budget, Method.EXACT, accounting, table, choices=choices, latency=latency)
    )  # `fit` validates the solution
    best = minimum_by_enumeration(network, budget, accounting, table, choices, latency)
    if math.isinf(best):
        assert solution.certificate is not None
        return
    if latency is not None:
        assert solution.cycles is not None
        assert solution.cycles <= latency.most_cycles
    assert solution.objective == pytest.approx(best, rel=1e-9)
    assert solution.gap == pytest.approx(0, abs=1e-9)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    st.one_of(graphs(most=5), chains(most=3)),
    st.sampled_from((BOOKS[0], *BOOKS)),
    st.lists(SCHEMES, min_size=2, unique=True),
    SHARES,
    SHARES,
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from((False, False, False, True)),
    st.sampled_from((None, None, None, 0.3)),
)
def test_the_optimum_over_schemes_is_that_of_full_enumeration(
    network: Network,
    accounting: Accounting,
    schemes: list[WeightScheme],
    ram_share: float,
    flash_share: float,
    seed: int,
    has_schemes: bool,
    shares_weights: bool,
    latency_share: float | None,
) -> None:
    orders = all_orders(network, 20)
    assume(orders is not None and len(network.tensors) + len(network.weight_layers) <= MAX_ENUMERATED_TENSORS)
    network = with_shared_weights(network, seed) if shares_weights else network
    table = random_table(network, seed, has_schemes=has_schemes)
    budget = budget_between(network, accounting, schemes[0], ram_share, flash_share)
    choices = Choices(tuple(scheme for scheme in WEIGHT_SCHEMES if scheme in schemes))
    latency = None if latency_share is None else random_latency(network, latency_share, seed)
    solution = fit(question_of(network, budget, Method.EXACT, accounting, table, choices=choices, latency=latency))
    best = minimum_by_enumeration(network, budget, accounting, table, choices, latency)
    if math.isinf(best):
        assert solution.certificate is not None
        return
    assert solution.objective == pytest.approx(best, rel=1e-9)
    assert solution.gap == pytest.approx(0, abs=1e-9)


@settings(max_examples=150, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.one_of(graphs(most=20), chains(most=25)), ANY_BOOK, SCHEMES, SHARES, SHARES, st.integers(0, 10**6))
def test_the_optimum_is_that_of_general_solvers(
    network: Network, accounting: Accounting, weights: WeightScheme, ram_share: float, flash_share: float, seed: int
) -> None:
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    solutions = [
        search_orders(
            question_of(
                network,
                budget,
                Method.EXACT,
                accounting,
                table,
                choices=Choices((weights,)),
                backend=backend,
                chooses_schedule=False,
            )
        )
        for backend in ("native", "pulp:PULP_CBC_CMD")
    ]
    ours, theirs = solutions
    assert (ours.allocation is None) == (theirs.allocation is None)
    if ours.allocation is not None:
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-6)


@pytest.mark.parametrize("accounting", BOOKS, ids=BOOK_NAMES)
@pytest.mark.parametrize("ram_share", [0.3, 0.6, 1.0])
def test_a_graph_with_too_many_orders(accounting: Accounting, ram_share: float) -> None:
    """Nine branches have at least 9! orders: those of the smallest peak are tried, and the bound holds for all."""
    network = branches(9)
    table = random_table(network, 1)
    whole = fit(question_of(network, Budget(2**30, 2**30), Method.EXACT, accounting, table))
    budget = Budget(2**30, int(whole.memory.ram_bytes * ram_share))
    solution = fit(question_of(network, budget, Method.EXACT, accounting, table))  # `fit` validates the solution
    assert solution.objective is not None
    assert solution.bound is not None
    assert solution.bound <= solution.objective
    assert solution.memory.ram_bytes <= budget.ram_bytes
    certificate = fit(question_of(network, Budget(2**30, 1), Method.EXACT, accounting, table)).certificate
    assert certificate is not None
    assert certificate.budget == "ram"
    assert 0 < (certificate.least_bytes or 0) <= budget.ram_bytes


@pytest.mark.parametrize("book", sorted(ACCOUNTINGS))
def test_a_network_that_can_fold_every_layer_is_solved_to_optimality(book: str) -> None:
    """The program has 40 indicator variables. Branching on them stopped at the time limit, with gaps of one sixth."""
    layers = [pointwise(f"l{i}", f"l{i - 1}" if i else "input", 24 + i % 7) for i in range(40)]
    network = network_of(layers, Shape(4, 8, 8))
    accounting, weights = accounting_named(book), WeightScheme.PER_LAYER_ASYM_PACT
    table = random_table(network, 0)
    budget = budget_between(network, accounting, weights, 0.7, 0.9)
    solutions = [
        fit(question_of(network, budget, Method.EXACT, accounting, table, choices=Choices((weights,)), backend=backend))
        for backend in ("native", "pulp:PULP_CBC_CMD")
    ]
    assert solutions[0].gap == pytest.approx(0, abs=1e-9)
    assert solutions[0].objective == pytest.approx(solutions[1].objective, rel=1e-6)
