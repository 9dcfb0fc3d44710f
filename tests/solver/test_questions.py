"""The Pareto front and the shadow prices against solving every budget."""

from __future__ import annotations

import pytest

from network.accounting import accounting_named
from network.budget import Budget
from network.errors import RequestError
from solver.exact_options import ExactOptions
from solver.fit import fit
from solver.questions import Axis, pareto_front, shadow_prices
from solver.solution import Method
from tests.builders import mobilenet_v1
from tests.solver.instances import random_table

NETWORK = mobilenet_v1(0.25, 64, 10)
TABLE = random_table(NETWORK, 3)
OPTIONS = ExactOptions()
AMPLE = Budget(10**7, 10**7)


@pytest.mark.parametrize("book", ["paper", "deployed"])
@pytest.mark.parametrize("axis", list(Axis))
def test_a_front_falls_from_the_least_that_does_to_everything(book: str, axis: Axis) -> None:
    accounting = accounting_named(book)
    front = pareto_front(NETWORK, AMPLE, accounting, TABLE, OPTIONS, axis=axis, points=8)
    objectives = [point.solution.objective for point in front]
    assert None not in objectives
    assert objectives == sorted(objectives, reverse=True, key=lambda objective: objective or 0.0)
    assert len(set(objectives)) == len(objectives) >= 3
    assert all(point.solution.gap == 0 for point in front)
    for point in front:
        assert point.solution.memory.flash_bytes <= point.budget.flash_bytes
        assert point.solution.memory.ram_bytes <= point.budget.ram_bytes
    plenty = fit(NETWORK, AMPLE, Method.EXACT, accounting, TABLE, OPTIONS)
    assert objectives[-1] == plenty.objective


def test_a_kilobyte_buys_what_solving_again_says() -> None:
    accounting = accounting_named("paper")
    budget = Budget(100_000, 20_000)

    def objective(more_flash: int, more_ram: int) -> float:
        more = Budget(budget.flash_bytes + more_flash, budget.ram_bytes + more_ram)
        found = fit(NETWORK, more, Method.EXACT, accounting, TABLE, OPTIONS).objective
        assert found is not None
        return found

    prices = shadow_prices(NETWORK, budget, accounting, TABLE, OPTIONS, objective(0, 0))
    assert prices.flash == pytest.approx(objective(0, 0) - objective(1000, 0))
    assert prices.ram == pytest.approx(objective(0, 0) - objective(0, 1000))
    assert prices.flash > 0


def test_a_front_has_a_bounded_number_of_points() -> None:
    for points in (1, 1001):
        with pytest.raises(RequestError, match=r"expected 2 to 1000"):
            pareto_front(NETWORK, AMPLE, accounting_named("paper"), TABLE, OPTIONS, axis=Axis.FLASH, points=points)
