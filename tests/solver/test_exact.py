"""The exact program against brute force, against general solvers, and against the rules."""

from __future__ import annotations

import math

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from network.accounting import ACCOUNTINGS, accounting_named
from network.allocation import WeightScheme
from network.network import Network
from solver.exact_fit import fit_exactly
from solver.exact_options import ExactOptions
from solver.fit import fit
from solver.formulation import Choices
from solver.orders import all_orders
from solver.solution import Method
from tests.solver.instances import best_by_trying, budget_between, chains, graphs, random_table

BOOKS = st.sampled_from(sorted(ACCOUNTINGS))
SCHEMES = st.sampled_from(list(WeightScheme))
SHARES = st.floats(-0.1, 1.05)
SMALL_ENOUGH_TO_TRY = 8


@settings(max_examples=2000, deadline=None)
@given(st.one_of(graphs(most=5), chains(most=3)), BOOKS, SCHEMES, SHARES, SHARES, st.integers(0, 10**6))
def test_agrees_with_brute_force(
    network: Network, book: str, weights: WeightScheme, ram_share: float, flash_share: float, seed: int
) -> None:
    orders = all_orders(network, 20)
    if orders is None or len(network.tensors) + len(network.weight_layers) > SMALL_ENOUGH_TO_TRY:
        return
    accounting = accounting_named(book)
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    options = ExactOptions(choices=Choices(weights=weights))
    solution = fit(network, budget, Method.EXACT, accounting, table, options)  # the validator judges it
    best = best_by_trying(network, budget, accounting, table, weights)
    if math.isinf(best):
        assert solution.certificate is not None
        assert solution.certificate.missing_bytes > 0
        return
    assert solution.objective == pytest.approx(best, rel=1e-9)
    assert solution.gap == pytest.approx(0, abs=1e-9)


@settings(max_examples=200, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.one_of(graphs(most=20), chains(most=25)), BOOKS, SCHEMES, SHARES, SHARES, st.integers(0, 10**6))
def test_agrees_with_general_solvers(
    network: Network, book: str, weights: WeightScheme, ram_share: float, flash_share: float, seed: int
) -> None:
    accounting = accounting_named(book)
    table = random_table(network, seed)
    budget = budget_between(network, accounting, weights, ram_share, flash_share)
    answers = [
        fit_exactly(
            network,
            budget,
            accounting,
            table,
            ExactOptions(choices=Choices(weights=weights), backend=backend, chooses_schedule=False),
        )
        for backend in ("native", "pulp:PULP_CBC_CMD")
    ]
    ours, theirs = answers
    assert (ours.allocation is None) == (theirs.allocation is None)
    if ours.allocation is not None:
        assert ours.objective == pytest.approx(theirs.objective, rel=1e-6)
