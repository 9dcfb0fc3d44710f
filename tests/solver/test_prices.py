"""Shadow prices and the next improvement, compared with solutions of single budgets and with full enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from network.allocation import BITS, Allocation, WeightScheme
from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory.accounting import Accounting
from network.memory.books import accounting_named
from network.memory.measure import measure
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver import prices as searched
from solver.fit import fit
from solver.options import Method
from solver.orders import all_orders
from solver.prices import MAX_SEARCH_SOLVES, ONE_KB_BYTES, NextImprovement, shadow_prices
from solver.question import Question
from solver.solution import Solution
from tests.builders import mobilenet_v1, question_of
from tests.solver.instances import BOOKS, budget_between, chains, cheapest_schemes, graphs, random_table

NETWORK = mobilenet_v1(0.25, 64, 10)
TABLE = random_table(NETWORK, 3)
SCHEME = WeightScheme.PER_CHANNEL_SYM_LSQ
ROUNDING = 1e-8


def test_shadow_prices_are_differences_of_two_solutions() -> None:
    accounting = accounting_named("paper")
    budget = Budget(100_000, 20_000)

    def objective(more_flash: int, more_ram: int) -> float:
        more = Budget(budget.flash_bytes + more_flash, budget.ram_bytes + more_ram)
        found = fit(question_of(NETWORK, more, Method.EXACT, accounting, TABLE)).objective
        assert found is not None
        return found

    question = question_of(NETWORK, budget, Method.EXACT, accounting, TABLE)
    prices = shadow_prices(question, fit(question))
    assert prices.flash == pytest.approx(objective(0, 0) - objective(1000, 0))
    assert prices.ram == pytest.approx(objective(0, 0) - objective(0, 1000))
    assert prices.flash > 0


def figures(network: Network, accounting: Accounting, table: SensitivityTable) -> Iterator[tuple[float, float, float]]:
    """Yield flash in bytes, RAM in bytes and the objective of all bits in all orders of a small network."""
    layers = [layer.name for layer in network.weight_layers]
    for order in all_orders(network, 10_000) or ():
        same_bits = accounting.same_bits(order)
        kept = {same_bits[tensor] for tensor in (*order.input_names, *order.outputs)}
        own = [tensor for tensor in dict.fromkeys(same_bits.values()) if tensor not in kept]
        for chosen in itertools.product(BITS, repeat=len(own)):
            own_bits = {**dict.fromkeys(kept, BITS[0]), **dict(zip(own, chosen, strict=True))}
            activation_bits = {tensor: own_bits[same_bits[tensor]] for tensor in order.tensors}
            for weights in itertools.product(BITS, repeat=len(layers)):
                weight_bits = dict(zip(layers, weights, strict=True))
                schemes = cheapest_schemes(order, accounting, SCHEME, weight_bits, activation_bits)
                allocation = Allocation(weight_bits, activation_bits, schemes)
                report = measure(order, allocation, accounting)
                yield report.flash_bytes, report.ram_bytes, table.objective(allocation)


def check_improvement(
    found: NextImprovement | None, price: float, present: float, available_bytes: int, sizes: list[tuple[float, float]]
) -> None:
    """Check the price and the next improvement of one budget against (bytes, objective) of all possible bits."""

    def reduction(more_bytes: int) -> float:
        return present - min(each for size, each in sizes if size <= available_bytes + more_bytes)

    assert price == pytest.approx(reduction(ONE_KB_BYTES), rel=1e-6, abs=2 * ROUNDING * present)
    better = [size for size, objective in sizes if present - objective > ROUNDING * present]
    needed = math.ceil(min(better)) - available_bytes if better else None
    if needed is not None and needed <= ONE_KB_BYTES:
        assert found is None
        return
    assert found is not None
    assert (found.more_bytes is None) == (needed is None)
    if found.more_bytes is None or needed is None:
        assert found == NextImprovement(None, 0.0, is_proven=True)
        return
    assert found.more_bytes >= needed
    assert found.more_bytes == needed or not found.is_proven
    assert found.reduction == pytest.approx(reduction(found.more_bytes), rel=1e-6)


@settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
@given(
    st.one_of(chains(most=4), graphs(most=4)),
    st.sampled_from(range(len(BOOKS))),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 10**6),
)
def test_the_next_improvement_is_that_of_full_enumeration(
    network: Network, book: int, ram_share: float, flash_share: float, seed: int
) -> None:
    accounting, table = BOOKS[book], random_table(network, seed)
    budget = budget_between(network, accounting, SCHEME, ram_share, flash_share)
    question = question_of(network, budget, Method.EXACT, accounting, table, scheme=SCHEME)
    solution = fit(question)
    if solution.objective is None:
        return
    every = list(figures(network, accounting, table))
    found = shadow_prices(question, solution)
    in_ram = [(flash, objective) for flash, ram, objective in every if ram <= budget.ram_bytes]
    in_flash = [(ram, objective) for flash, ram, objective in every if flash <= budget.flash_bytes]
    check_improvement(found.next_flash, found.flash, solution.objective, budget.flash_bytes, in_ram)
    check_improvement(found.next_ram, found.ram, solution.objective, budget.ram_bytes, in_flash)


def tightest_ram(book: str) -> Question:
    """Return a question with the minimum RAM budget and ample flash."""
    accounting = accounting_named(book)
    certificate = fit(question_of(NETWORK, Budget(10**7, 1), Method.EXACT, accounting, TABLE)).certificate
    assert certificate is not None
    assert certificate.least_bytes is not None
    budget = Budget(10**7, math.ceil(certificate.least_bytes))
    return question_of(NETWORK, budget, Method.EXACT, accounting, TABLE)


@pytest.mark.parametrize("book", ["paper", "deployed"])
def test_a_proven_improvement_needs_all_of_its_bytes(book: str, monkeypatch: pytest.MonkeyPatch) -> None:
    question = tightest_ram(book)
    present = fit(question)
    assert present.objective is not None
    budgets: list[Budget] = []

    def counted(asked: Question) -> Solution:
        budgets.append(asked.budget)
        return fit(asked)

    monkeypatch.setattr(searched, "fit", counted)
    found = shadow_prices(question, present)
    assert len(budgets) <= 2 * (1 + MAX_SEARCH_SOLVES)
    assert found.flash == found.ram == 0
    assert found.next_flash == NextImprovement(None, 0.0, is_proven=True)
    assert found.next_ram is not None
    assert found.next_ram.is_proven
    assert found.next_ram.more_bytes is not None
    assert found.next_ram.more_bytes > ONE_KB_BYTES
    enough = question.budget.ram_bytes + found.next_ram.more_bytes

    def objective(ram_bytes: int) -> float:
        solution = fit(question_of(NETWORK, Budget(10**7, ram_bytes), Method.EXACT, question.accounting, TABLE))
        assert solution.objective is not None
        return solution.objective

    assert present.objective - objective(enough) == pytest.approx(found.next_ram.reduction)
    assert found.next_ram.reduction > 0
    assert objective(enough - 1) == present.objective


def test_a_search_that_is_stopped_states_an_upper_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    question = tightest_ram("paper")
    present = fit(question)
    whole = shadow_prices(question, present).next_ram
    monkeypatch.setattr(searched, "MAX_SEARCH_SOLVES", 1)
    stopped = shadow_prices(question, present).next_ram
    assert whole is not None
    assert stopped is not None
    assert whole.more_bytes is not None
    assert stopped.more_bytes is not None
    assert whole.is_proven
    assert not stopped.is_proven
    assert stopped.more_bytes > whole.more_bytes
    assert stopped.reduction > whole.reduction


def test_the_largest_budget_has_no_larger_one() -> None:
    budget = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
    question = question_of(NETWORK, budget, Method.EXACT, accounting_named("deployed"), TABLE)
    found = shadow_prices(question, fit(question))
    assert found.flash == found.ram == 0
    assert found.next_flash == found.next_ram == NextImprovement(None, 0.0, is_proven=True)
