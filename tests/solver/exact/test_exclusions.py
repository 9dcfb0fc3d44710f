"""Programs with exclusions (folding), compared with full enumeration and with HiGHS."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import solver.exact.alternatives
import solver.exact.exclusion_search
from network.allocation import DEFAULT_WEIGHT_SCHEME
from network.layers import Add, Layer, Shape
from network.memory.books import accounting_named
from network.network import Network
from network.sensitivity.from_weights import weight_sensitivity
from solver.exact.decomposition import dynamic_programs
from solver.exact.exclusion_search import solve_with_exclusions
from solver.exact.flash_price import Exclusions, FlashPricing
from solver.exact.formulation import formulate
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import Program
from solver.options import Method
from solver.problem_building import problem_of
from tests.builders import network_of, question_of
from tests.solver.instances import budget_between, pointwise, random_table

PAPER = accounting_named("paper")
CHOICES_OF_WEIGHTS = 4
RAM_ROWS = 3


def random_program(activations: int, weights: int, seed: int, *, sized_activations: bool) -> Program:
    """Return a program with RAM rows, exclusions of about two thirds of the weight tensors, and flash."""
    rng = np.random.default_rng(seed)
    groups = activations + weights
    costs = rng.integers(0, 60, (groups, CHOICES_OF_WEIGHTS)).astype(float)
    costs[:activations] = np.sort(costs[:activations], axis=1)
    costs[:activations, 3] = np.inf
    costs[activations:][rng.random((weights, CHOICES_OF_WEIGHTS)) < 0.1] = np.inf
    costs[~np.isfinite(costs).any(axis=1), 0] = 5.0
    rows: list[tuple[np.ndarray, np.ndarray, int]] = []
    for _ in range(RAM_ROWS):
        own = np.sort(rng.permutation(activations)[: rng.integers(1, activations + 1)])
        sizes = rng.integers(1, 30, (len(own), 1)) * np.array([8, 4, 2, 0])
        rows.append((own, sizes, int(sizes[:, 0].sum() * rng.uniform(0.3, 1.1))))
    first = len(rows)
    for weight in range(activations, groups):
        if rng.random() < 0.66:
            own = np.array([weight, rng.integers(0, activations)])
            folded = (rng.random(CHOICES_OF_WEIGHTS) < 0.4).astype(np.int64)
            rows.append((own, np.stack((folded, np.array([0, 1, 1, 0]))), 1))
    flash = np.arange(0 if sized_activations else activations, groups)
    sizes = rng.integers(1, 60, (len(flash), CHOICES_OF_WEIGHTS))
    rows.append((flash, sizes, int(sizes.max(axis=1).sum() * rng.uniform(0.3, 1.05))))
    return Program(
        groups=tuple(f"g{index}" for index in range(groups)),
        costs=costs,
        row_names=tuple(f"r{index}" for index in range(len(rows))),
        limits=np.array([limit for _, _, limit in rows], dtype=np.int64),
        row_starts=np.cumsum([0, *(len(own) for own, _, _ in rows)]),
        entry_groups=np.concatenate([own for own, _, _ in rows]),
        entry_sizes=np.concatenate([own for _, own, _ in rows]),
        exclusions=np.arange(first, len(rows) - 1),
        pairwise_sizes=np.zeros((0, CHOICES_OF_WEIGHTS, CHOICES_OF_WEIGHTS), dtype=np.int64),
    )


def minimum_by_enumeration(program: Program) -> float:
    choices = np.array(list(itertools.product(range(CHOICES_OF_WEIGHTS), repeat=len(program.groups))))
    costs = program.costs[np.arange(len(program.groups)), choices].sum(axis=1)
    kept = np.isfinite(costs)
    for row, limit in enumerate(program.limits.tolist()):
        own = range(program.row_starts[row], program.row_starts[row + 1])
        kept &= sum(program.entry_sizes[entry, choices[:, program.entry_groups[entry]]] for entry in own) <= limit
    return float(costs[kept].min(initial=np.inf))


@settings(max_examples=250, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_the_optimum_is_that_of_enumeration(activations: int, weights: int, seed: int, sized: bool) -> None:
    program = random_program(activations, weights, seed, sized_activations=sized)
    best = minimum_by_enumeration(program)
    found = solve_with_exclusions(program)
    assert found.objective == found.bound == best
    if found.choices is not None:
        assert (program.row_sizes(found.choices) <= program.limits).all()
        assert program.objective(found.choices) == best


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.integers(4, 12), st.integers(0, 2**32 - 1), st.booleans())
def test_larger_programs_agree_with_highs(activations: int, weights: int, seed: int, sized: bool) -> None:
    program = random_program(activations, weights, seed, sized_activations=sized)
    found = solve_with_exclusions(program)
    assert found.objective == found.bound
    assert found.objective == pytest.approx(solve_integer_program(program, highs, 20.0).objective)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32 - 1), st.floats(0, 5))
def test_a_price_gives_lower_bounds_for_each_choice(activations: int, weights: int, seed: int, price: float) -> None:
    program = random_program(activations, weights, seed, sized_activations=True)
    flash = len(program.limits) - 1
    components = dynamic_programs(program, np.arange(RAM_ROWS))
    assert components is not None
    pricing = FlashPricing(program, Exclusions.of(program, program.exclusions), flash, components)
    price = round(price * 16) / 16
    solution = pricing.solve(program.costs, price)
    if solution is None:  # no choices keep the limits of RAM
        assert minimum_by_enumeration(program) == np.inf
        return
    bounds = pricing.least_bounds(program.costs, price)
    assert solution.bound == bounds[0].min()
    assert solution.excess == program.row_sizes(solution.choices)[flash] - program.limits[flash]
    joined = np.isin(np.arange(len(program.groups)), pricing.exclusions.weights)
    for group, choice in np.argwhere(np.isfinite(program.costs) & ~joined[:, None]).tolist():
        costs = program.costs.copy()
        costs[group, np.arange(costs.shape[1]) != choice] = np.inf
        assert bounds[group, choice] <= minimum_by_enumeration(replace(program, costs=costs))


def deep_network(blocks: int, *, is_residual: bool) -> Network:
    rng = np.random.default_rng(blocks)
    layers: list[Layer] = [pointwise("stem", "input", 32)]
    source = "stem"
    for block in range(blocks):
        layers.append(pointwise(f"a{block}", source, int(rng.integers(8, 200))))
        layers.append(pointwise(f"b{block}", f"a{block}", 32))
        if is_residual:
            layers.append(Add(name=f"c{block}", inputs=(f"b{block}", source), output=f"c{block}"))
        source = layers[-1].output
    return network_of(layers, Shape(3, 8, 8))


@pytest.mark.parametrize("is_residual", [False, True])
@pytest.mark.parametrize("table", ["random", "weights"])
def test_deep_networks_need_no_general_solver(is_residual: bool, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The price of flash leaves so few choices that they are enumerated: HiGHS would need seconds to minutes."""
    network = deep_network(100, is_residual=is_residual)
    sensitivities = random_table(network, 1, has_schemes=True) if table == "random" else weight_sensitivity(network)
    budget = budget_between(network, PAPER, DEFAULT_WEIGHT_SCHEME, 0.5, 0.5)
    question = question_of(network, budget, Method.EXACT, PAPER, sensitivities, chooses_schedule=False)
    program = formulate(problem_of(question), sensitivities, question.choices).program
    assert len(program.exclusions) > 100

    def no_general_solver(*_: object) -> None:
        pytest.fail("a general solver was called")

    monkeypatch.setattr(solver.exact.exclusion_search, "solve_integer_program", no_general_solver)
    found = solve_with_exclusions(program)
    assert found.choices is not None
    assert found.objective == found.bound
    assert (program.row_sizes(found.choices) <= program.limits).all()


def test_the_general_solver_takes_over_if_too_many_choices_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver.exact.alternatives, "MAX_LABELS", 1)
    compared = 0
    for seed in range(30):
        program = random_program(3, 3, seed, sized_activations=True)
        compared += solve_with_exclusions(program).objective == minimum_by_enumeration(program)
    assert compared == 30
