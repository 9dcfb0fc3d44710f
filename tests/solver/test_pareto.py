"""The Pareto front, compared with solutions of single budgets."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from network.budget import Budget
from network.errors import RequestError
from network.memory.books import accounting_named
from solver.fit import fit
from solver.options import Method
from solver.pareto import Axis, pareto_front
from tests.builders import mobilenet_v1, question_of
from tests.solver.instances import random_table

NETWORK = mobilenet_v1(0.25, 64, 10)
TABLE = random_table(NETWORK, 3)
OPTIONS: dict[str, Any] = {}
AMPLE = Budget(10**7, 10**7)


@pytest.mark.parametrize("book", ["paper", "deployed"])
@pytest.mark.parametrize("axis", list(Axis))
def test_a_front_reaches_from_the_minimum_budget_to_the_unrestricted_optimum(book: str, axis: Axis) -> None:
    accounting = accounting_named(book)
    whole = pareto_front(
        question_of(NETWORK, AMPLE, Method.EXACT, accounting, TABLE, **OPTIONS),
        axis=axis,
        points=5 if axis is Axis.BOTH else 8,
    )
    front = whole.points
    assert whole.is_complete
    objectives = [point.solution.objective for point in front]
    assert None not in objectives
    assert objectives == sorted(objectives, reverse=True, key=lambda objective: objective or 0.0)
    assert len(set(objectives)) == len(objectives) >= 3
    assert all(point.solution.gap == 0 for point in front)
    for point in front:
        assert point.solution.memory.flash_bytes <= point.budget.flash_bytes
        assert point.solution.memory.ram_bytes <= point.budget.ram_bytes
    plenty = fit(question_of(NETWORK, AMPLE, Method.EXACT, accounting, TABLE, **OPTIONS))
    assert objectives[-1] == plenty.objective


def test_a_front_over_both_budgets_has_no_dominated_point() -> None:
    """No point dominates another, and some point has less flash and more RAM than another."""
    front = pareto_front(
        question_of(NETWORK, AMPLE, Method.EXACT, accounting_named("paper"), TABLE, **OPTIONS), axis=Axis.BOTH, points=4
    ).points
    figures = [
        (point.solution.memory.flash_bytes, point.solution.memory.ram_bytes, point.solution.objective or 0.0)
        for point in front
    ]
    assert len(figures) > 4
    for one, other in itertools.permutations(figures, 2):
        assert any(a < b for a, b in zip(one, other, strict=True))
    assert any(one[0] < other[0] and one[1] > other[1] for one, other in itertools.permutations(figures, 2))


def test_a_front_that_the_time_limit_stops_is_not_complete() -> None:
    with_short_limit = OPTIONS | {"time_limit_seconds": 1e-6}
    front = pareto_front(
        question_of(NETWORK, AMPLE, Method.EXACT, accounting_named("paper"), TABLE, **with_short_limit),
        axis=Axis.RAM,
        points=8,
    )
    assert not front.is_complete
    assert front.points == ()


@pytest.mark.parametrize(("axis", "most"), [(Axis.FLASH, 1000), (Axis.RAM, 1000), (Axis.BOTH, 31)])
def test_a_front_has_a_bounded_number_of_points(axis: Axis, most: int) -> None:
    for points in (1, most + 1):
        with pytest.raises(RequestError, match=rf"expected 2 to {most} for axis '{axis}'"):
            pareto_front(
                question_of(NETWORK, AMPLE, Method.EXACT, accounting_named("paper"), TABLE, **OPTIONS),
                axis=axis,
                points=points,
            )


@pytest.mark.parametrize("axis", [Axis.FLASH, Axis.RAM])
def test_a_front_can_end_at_the_budget_of_the_question(axis: Axis) -> None:
    accounting = accounting_named("paper")
    plenty = fit(question_of(NETWORK, AMPLE, Method.EXACT, accounting, TABLE, **OPTIONS)).memory
    budget = Budget(int(plenty.flash_bytes * 0.6), int(plenty.ram_bytes * 0.7))
    question = question_of(NETWORK, budget, Method.EXACT, accounting, TABLE, **OPTIONS)
    front = pareto_front(question, axis=axis, points=6, keeps_budget=True).points
    assert len(front) >= 2
    assert front[-1].solution.objective == fit(question).objective
    for point in front:
        assert point.budget.flash_bytes <= budget.flash_bytes
        assert point.budget.ram_bytes <= budget.ram_bytes
    free = pareto_front(question, axis=axis, points=6).points
    assert (free[-1].solution.objective or 0.0) < (front[-1].solution.objective or 0.0)


def test_a_budget_that_nothing_fits_gives_no_points() -> None:
    question = question_of(NETWORK, Budget(10, 10**7), Method.EXACT, accounting_named("paper"), TABLE, **OPTIONS)
    assert pareto_front(question, axis=Axis.FLASH, points=6, keeps_budget=True).points == ()
