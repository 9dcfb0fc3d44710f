"""A latency ceiling in networks of realistic size, and where it is rejected."""

from __future__ import annotations

import time

import pytest

from network.allocation import DEFAULT_WEIGHT_SCHEME, Allocation, Bits
from network.budget import Budget
from network.devices.core_speeds import SPEEDS
from network.devices.latency import Latency, network_cycles
from network.errors import RequestError
from network.layers import Add, Layer, Shape
from network.memory.books import accounting_named
from network.network import Network
from solver.exact.choices import Choices
from solver.exact.formulation import formulate
from solver.exact.milp import highs, pulp_backend, solve_integer_program
from solver.fit import fit
from solver.options import Method
from solver.problem_building import problem_of
from solver.validator import violations
from tests.builders import mobilenet_v1, network_of, question_of
from tests.solver.instances import budget_between, depthwise, pointwise, random_latency, random_table


def residual(count: int) -> Network:
    """Return a network of `count` layers in which every third layer adds the output of the one three layers before."""
    layers: list[Layer] = [pointwise("l0", "input", 16, kernel=3)]
    skipped = "l0"
    for index in range(1, count):
        name, last = f"l{index}", f"l{index - 1}"
        if index % 3 == 0:
            layers.append(Add(name=name, inputs=(last, skipped), output=name))
            skipped = name
        else:
            layers.append(depthwise(name, last, 16) if index % 4 == 1 else pointwise(name, last, 16, kernel=3))
    return network_of(layers, Shape(3, 16, 16))


@pytest.mark.parametrize("book", ["paper", "deployed"])
@pytest.mark.parametrize("network", [residual(60), mobilenet_v1(0.25, 96, 10)], ids=["residual", "mobilenet"])
def test_a_ceiling_on_60_layers_is_solved_to_optimality_in_seconds(network: Network, book: str) -> None:
    accounting = accounting_named(book)
    table = random_table(network, 5)
    budget = budget_between(network, accounting, DEFAULT_WEIGHT_SCHEME, 0.7, 0.6)
    free = fit(question_of(network, budget, Method.EXACT, accounting, table))
    assert free.allocation is not None
    assert free.objective is not None
    least = random_latency(network, 0.0, 5)
    taken = network_cycles(network, free.allocation, least.speed)
    latency = Latency(least.speed, least.most_cycles + (taken - least.most_cycles) // 2)
    started = time.perf_counter()
    solution = fit(question_of(network, budget, Method.EXACT, accounting, table, latency=latency))
    assert time.perf_counter() - started < 30
    assert solution.cycles is not None
    assert solution.cycles <= latency.most_cycles
    assert solution.gap == pytest.approx(0, abs=1e-9)
    assert solution.objective is not None
    assert solution.objective > free.objective


def test_a_ceiling_that_cannot_bind_changes_nothing() -> None:
    network = mobilenet_v1(0.25, 64, 10)
    accounting = accounting_named("deployed")
    table = random_table(network, 2)
    budget = budget_between(network, accounting, DEFAULT_WEIGHT_SCHEME, 0.5, 0.5)
    free = fit(question_of(network, budget, Method.EXACT, accounting, table))
    kept = fit(
        question_of(network, budget, Method.EXACT, accounting, table, latency=Latency(SPEEDS["cortex-m4"], 2**50))
    )
    assert kept.allocation == free.allocation
    assert kept.allocation is not None
    assert kept.cycles == network_cycles(network, kept.allocation, SPEEDS["cortex-m4"])
    assert free.cycles is None


def test_the_rules_do_not_support_a_ceiling() -> None:
    network = mobilenet_v1(0.25, 64, 10)
    with pytest.raises(RequestError, match="mixpc does not support a latency ceiling"):
        fit(
            question_of(
                network,
                Budget(10**6, 10**6),
                Method.MIXPC,
                accounting_named("paper"),
                latency=Latency(SPEEDS["cortex-m4"], 10),
            )
        )


def test_the_validator_checks_the_ceiling_and_the_allowed_bits() -> None:
    network = network_of([pointwise("a", "input", 4), pointwise("b", "a", 4)], Shape(4, 2, 2))
    accounting = accounting_named("paper")
    solution = fit(question_of(network, Budget(10**6, 10**6), Method.EXACT, accounting, random_table(network, 0)))
    allocation = solution.allocation
    assert isinstance(allocation, Allocation)
    cycles = network_cycles(network, allocation, SPEEDS["cortex-m7"])

    def judged(choices: Choices | None = None, latency: Latency | None = None) -> str:
        ample = Budget(10**6, 10**6)
        table = random_table(network, 0)
        question = question_of(network, ample, Method.EXACT, accounting, table, choices=choices, latency=latency)
        return "; ".join(violations(question, solution))

    assert judged(Choices(), Latency(SPEEDS["cortex-m7"], cycles)) == ""
    assert judged(None, Latency(SPEEDS["cortex-m7"], cycles - 1)) == (
        f"the network needs {cycles} cycles, but the latency ceiling is {cycles - 1}"
    )
    assert judged(Choices(allowed_weight_bits={"a": (4, 2)})) == "weights 'a' has 8 bits, which are not allowed"
    narrow: tuple[Bits, ...] = (2,)
    assert judged(Choices(allowed_activation_bits={"a": narrow})) == "tensor 'a' has 8 bits, which are not allowed"


def test_general_solvers_find_the_same_optimum_under_a_ceiling() -> None:
    network = residual(12)
    accounting = accounting_named("deployed")
    budget = budget_between(network, accounting, DEFAULT_WEIGHT_SCHEME, 0.8, 0.6)
    problem = problem_of(
        question_of(network, budget, Method.EXACT, accounting, latency=random_latency(network, 0.4, 1))
    )
    program = formulate(problem, random_table(network, 1), Choices()).program
    ours, theirs = (solve_integer_program(program, backend, 20.0) for backend in (highs, pulp_backend()))
    assert ours.choices is not None
    assert ours.objective == theirs.objective
