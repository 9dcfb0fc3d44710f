"""Arena cuts: the arena has no plan for any bits that a cut forbids."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import network.memory.deployed
from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, Bits
from network.arena.plan import ArenaPlan, LiveTensor
from network.budget import Budget
from network.layers import Activation, Add, Shape
from network.memory.accounting import Accounting
from network.network import Network
from solver.exact.arena_cuts import ArenaCut, arena_cut
from solver.exact.choices import Choices
from solver.exact.formulation import formulate
from solver.exact.indicator_search import solve_exactly
from solver.exact.milp import highs, pulp_backend, solve_integer_program
from solver.exact.order_search import search_orders
from solver.options import Method
from solver.problem_building import problem_of
from tests.builders import network_of, question_of
from tests.solver.enumeration import minimum_by_enumeration
from tests.solver.instances import (
    BOOKS,
    budget_between,
    chains,
    graphs,
    pointwise,
    random_table,
)

PLANNING = [book for book in BOOKS if book.name == "deployed"]
IN_PLACE = PLANNING[2]


@settings(max_examples=200, deadline=None)
@given(st.one_of(graphs(most=7), chains()), st.sampled_from(PLANNING), st.floats(0.3, 1.0), st.integers(0, 2**32 - 1))
def test_forbidden_bits_do_not_fit(network: Network, accounting: Accounting, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kept = {*network.input_names, *network.outputs}

    def random_bits() -> dict[str, Bits]:
        return {tensor: 8 if tensor in kept else BITS[rng.integers(0, 3)] for tensor in network.tensors}

    bits = random_bits()
    plan = accounting.arena(network, bits)
    assert plan is not None
    arena_bytes = int(share * plan.arena_bytes) - 1
    cut = arena_cut(network, accounting, bits, arena_bytes)
    assert cut is not None
    assert all(cut.bits[tensor] == bits[tensor] for tensor in cut.bits)
    if not cut.is_proven:
        return
    for _ in range(30):
        others = random_bits()
        for tensor, least in cut.bits.items():
            more = [each for each in BITS if each >= least]
            others[tensor] = least if tensor in cut.exactly else more[rng.integers(0, len(more))]
        other_plan = accounting.arena(network, others)
        assert other_plan is not None
        assert other_plan.arena_bytes > arena_bytes


def test_tensors_that_may_overwrite_each_other_are_cut_at_exactly_their_bits() -> None:
    """The ReLU r overwrites a at 8 bits each, 256 bytes; at 8 and 4 bits they need 384, in addition to the 256 of x.

    The largest other step, of a pointwise convolution, needs 256 + 256 bytes, and 72 of scratch memory.
    """
    network = network_of(
        [
            pointwise("x", "input", 4),
            pointwise("a", "x", 4),
            Activation(name="r", inputs=("a",), output="r"),
            Add(name="sum", inputs=("x", "r"), output="sum"),
            pointwise("z", "sum", 4),
        ],
        Shape(1, 8, 8),
    )
    parted: dict[str, Bits] = {"input": 8, "x": 8, "a": 8, "r": 4, "sum": 8, "z": 8}
    assert arena_cut(network, IN_PLACE, parted | {"r": 8}, 584) is None
    cut = arena_cut(network, IN_PLACE, parted, 584)
    assert cut is not None
    assert cut.is_proven
    assert dict(cut.bits) == {"x": 8, "a": 8, "r": 4}
    assert {"a", "r"} <= cut.exactly


@pytest.mark.parametrize("backend", ["native", "highs", "pulp:PULP_CBC_CMD"])
def test_all_backends_keep_a_cut(backend: str) -> None:
    network = network_of([pointwise("a", "input", 2), pointwise("b", "a", 2), pointwise("z", "b", 2)], Shape(2, 2, 2))
    problem = problem_of(question_of(network, Budget(10**6, 10**6), Method.EXACT, IN_PLACE))
    table = random_table(network, 0)

    def chosen(cut: ArenaCut) -> list[int] | None:
        program = formulate(problem, table, Choices(), [cut]).program
        if backend == "native":
            solution = solve_exactly(program)
        else:
            solution = solve_integer_program(program, highs if backend == "highs" else pulp_backend(), 20.0)
        return None if solution.choices is None else solution.choices[1:3].tolist()

    assert chosen(ArenaCut({"a": 4, "b": 8}, frozenset({"a"}), is_proven=True)) == [0, 0]
    assert chosen(ArenaCut({"a": 4, "b": 8}, frozenset(), is_proven=True)) != [0, 0]
    assert chosen(ArenaCut({}, frozenset(), is_proven=True)) is None


@pytest.mark.parametrize("seed", range(12))
def test_cuts_lead_to_the_optimum(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A planner that never reuses memory makes the arena larger than each step: the optimum then requires cuts."""
    whole = network_of(
        [
            pointwise("a", "input", 4),
            Activation(name="r", inputs=("a",), output="r"),
            pointwise("b", "r", 4),
            Add(name="sum", inputs=("b", "r"), output="sum"),
        ],
        Shape(1, 3, 3),
    )

    def plan_without_reuse(tensors: list[LiveTensor], *, alignment_bytes: int, enough_bytes: int) -> ArenaPlan:
        del alignment_bytes, enough_bytes
        top, offsets = 0, {}
        for each in tensors:
            offsets[each.name], top = top, top + each.size_bytes
        return ArenaPlan(offsets, top, top)

    monkeypatch.setattr(network.memory.deployed, "plan_arena", plan_without_reuse)
    table = random_table(whole, seed)
    for share in (0.2, 0.5, 0.8):
        for accounting in PLANNING:
            budget = budget_between(whole, accounting, DEFAULT_WEIGHT_SCHEME, share, 0.7)
            solution = search_orders(question_of(whole, budget, Method.EXACT, accounting, table))
            best = minimum_by_enumeration(whole, budget, accounting, table, Choices())
            assert solution.objective == pytest.approx(best, rel=1e-9)
            assert solution.bound == pytest.approx(best, rel=1e-9)
