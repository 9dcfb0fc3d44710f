"""The memory of a network after its conversion: wide layers, functions for pairs, and an excess over the budget."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from api.operations.deployed_memory import deployed_solution, overflow_of
from api.operations.fit import latency_of
from deploy.building.predicted import predicted_memory
from deploy.deployment import Deployment
from deploy.emission import emit
from deploy.integer_network import IntegerNetwork
from deploy.structure import structure_of
from network.allocation import Bits
from network.budget import Budget
from network.devices.core_speeds import SPEEDS
from network.devices.latency import Rates, network_cycles
from network.kernel_functions import Form
from network.kernel_sizes.tables import Optimization
from network.layers import Shape
from network.memory.accounting import Accounting
from network.memory.books import accounting_for, accountings_for, optimization_of
from network.memory.deployed import DeployedAccounting
from network.memory.measure import measure
from solver.options import Method
from solver.question import Question
from solver.solution import Solution
from tests.deploy.emission.chip_networks import on_chip
from tests.deploy.random_networks import Builder

FAST, SMALL = accountings_for("deployed", None, None)
MUCH = Budget(10**6, 10**6)


def question_of(network: IntegerNetwork, budget: Budget, *alternatives: Accounting) -> Question:
    structure, _ = structure_of(network)
    return Question(network=structure, budget=budget, accounting=FAST, alternatives=alternatives)


def network_of(form: Form, bits: Bits = 8) -> IntegerNetwork:
    builder = Builder(np.random.default_rng(3), Shape(4, 6, 6), bits)
    last = builder.convolution(builder.convolution("input", 16, (1, 1), weight_bits=2), 16, (3, 3), weight_bits=2)
    builder.fully_connected(last, 10)
    return on_chip(builder.network(), 3, form)


def solution_of(network: IntegerNetwork, accounting: Accounting = FAST) -> Solution:
    """Return the solution of a network as the solver counts it: every layer narrow."""
    structure, allocation = structure_of(network)
    memory = measure(structure, allocation, accounting)
    return Solution(Method.EXACT, allocation, None, memory, structure, accounting)


def test_wide_layers_are_counted_as_they_are_emitted() -> None:
    network = network_of(Form.WIDE)
    solution = solution_of(network)
    deployed = deployed_solution(network, solution, question_of(network, MUCH))
    assert sum(map(int, (each.parameter_bytes for each in deployed.memory.layers))) > sum(
        each.parameter_bytes for each in solution.memory.layers
    )
    assert isinstance(deployed.accounting, DeployedAccounting)
    assert Form.WIDE in deployed.accounting.forms.values()
    predicted = predicted_memory(network, Deployment.of(deployed.accounting, None).accounting)
    assert (predicted.flash_bytes, predicted.ram_bytes) == (deployed.memory.flash_bytes, deployed.memory.ram_bytes)


def test_smaller_code_is_used_if_wide_layers_no_longer_fit() -> None:
    network = network_of(Form.WIDE)
    needed = deployed_solution(network, solution_of(network), question_of(network, MUCH)).memory
    budget = Budget(int(needed.flash_bytes) - 1, 10**6)
    deployed = deployed_solution(network, solution_of(network), question_of(network, budget, SMALL))
    assert optimization_of(deployed.accounting) is Optimization.SIZE
    assert deployed.memory.flash_bytes <= budget.flash_bytes


def test_smaller_code_is_not_used_if_it_is_too_slow() -> None:
    """The code for size takes twice the cycles; with a ceiling between both, the network has no code that fits."""
    network = network_of(Form.WIDE)
    solution = solution_of(network)
    needed = deployed_solution(network, solution, question_of(network, MUCH)).memory
    fast = SPEEDS["cortex-m4"].compiled(Optimization.SPEED)
    slow = Rates(
        {key: rate / 2 for key, rate in fast.multiply_accumulates_per_cycle.items()},
        {key: rate / 2 for key, rate in fast.elements_per_cycle.items()},
    )
    speed = replace(fast, by_optimization={Optimization.SIZE: slow})
    assert solution.allocation is not None
    cycles = network_cycles(solution.network, solution.allocation, fast)
    budget = Budget(int(needed.flash_bytes) - 1, 10**6)
    allowed = replace(question_of(network, budget, SMALL), speed=speed, max_cycles=3 * cycles)
    deployed = deployed_solution(network, solution, allowed)
    assert optimization_of(deployed.accounting) is Optimization.SIZE
    latency = latency_of(allowed, deployed)
    assert latency is not None
    assert latency.optimization is Optimization.SIZE
    assert latency.cycles == network_cycles(solution.network, solution.allocation, speed.compiled(Optimization.SIZE))
    slower = replace(allowed, max_cycles=cycles)
    closest = deployed_solution(network, solution, slower)
    assert optimization_of(closest.accounting) is Optimization.SPEED
    assert "needs 1 bytes of flash more" in (overflow_of(closest, budget, {}) or "")


def test_a_network_that_exceeds_its_budget_is_counted_by_the_closest_rules() -> None:
    network = network_of(Form.WIDE)
    free = deployed_solution(network, solution_of(network), question_of(network, MUCH))
    small = deployed_solution(network, solution_of(network, SMALL), question_of(network, MUCH))
    reasons = {"convolution0": "a reason", "convolution1": "another"}
    assert overflow_of(free, MUCH, reasons) is None
    budget = Budget(int(free.memory.flash_bytes) - 1, 10**6)
    alone = deployed_solution(network, solution_of(network), question_of(network, budget))
    assert optimization_of(alone.accounting) is Optimization.SPEED
    text = overflow_of(alone, budget, reasons)
    assert text is not None
    assert "needs 1 bytes of flash more than the budget, because 3 layers need wide constants ('" in text
    assert "'convolution0': a reason; 'convolution1': another; " in text
    assert "sums need 64 bits). All files are written" in text
    assert "train again with these layers as wide_layers" in text
    tiny = Budget(int(small.memory.flash_bytes) - 2, int(small.memory.ram_bytes) - 3)
    closest = deployed_solution(network, solution_of(network), question_of(network, tiny, SMALL))
    assert optimization_of(closest.accounting) is Optimization.SIZE
    assert closest.memory.flash_bytes == small.memory.flash_bytes
    assert "needs 2 bytes of flash and 3 bytes of RAM more" in (overflow_of(closest, tiny, reasons) or "")
    narrow = overflow_of(solution_of(network), Budget(1, 10**6), {})
    assert narrow is not None
    assert "because" not in narrow
    assert narrow.endswith("does not fit this budget: use a larger budget")


def test_the_paper_accounting_counts_no_forms() -> None:
    network = network_of(Form.WIDE)
    solution = solution_of(network, accounting_for("paper", None))
    assert deployed_solution(network, solution, question_of(network, Budget(1, 1))) is solution


def test_pairs_are_multiplied_where_the_code_fits_and_emission_uses_the_same_functions() -> None:
    network = network_of(Form.NARROW, 2)
    with_two_bits = [layer.name for layer in network.layers if network.tensors[layer.inputs[0]].bits == 2]
    deployed = deployed_solution(network, solution_of(network), question_of(network, MUCH))
    deployment = Deployment.of(deployed.accounting, None)
    assert deployment.pairs
    assert deployment.pairs <= set(with_two_bits)
    predicted = predicted_memory(network, deployment.accounting)
    assert predicted.flash_bytes == deployed.memory.flash_bytes
    assert b"net_widen_2x2" in emit(network, name="net", accounting=deployment.accounting)["net.c"]
    tight = Budget(int(deployed.memory.flash_bytes) - 1, 10**6)
    chosen = deployed_solution(network, solution_of(network), question_of(network, tight, SMALL))
    assert not Deployment.of(chosen.accounting, None).pairs
