"""Of solutions with equal sums, the documented one is chosen, in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from network.budget import Budget
from network.devices.core_speeds import SPEEDS
from network.devices.latency import Latency
from network.kernels import IN_PLACE_KERNELS
from network.layers import Activation, Add, FullyConnected, Shape
from network.memory.books import accounting_named
from network.memory.deployed import DeployedAccounting
from network.network import Network
from network.sensitivity.table import Row, SensitivityTable
from solver.fit import fit
from solver.options import Method
from tests.builders import mobilenet_v1, network_of, question_of
from tests.solver.instances import branches, depthwise, pointwise

ROOT = Path(__file__).parents[3]


def residual() -> Network:
    """Return a chain of layers with one residual add."""
    return network_of(
        [
            pointwise("a", "input", 4),
            depthwise("b", "a", 4),
            Activation(name="r", inputs=("b",), output="r"),
            pointwise("c", "r", 4),
            Add(name="sum", inputs=("c", "a"), output="sum"),
            FullyConnected(name="fc", inputs=("sum",), output="fc", output_channels=3),
        ],
        Shape(4, 6, 6),
    )


def level_table(network: Network) -> SensitivityTable:
    """Return a table with equal sensitivities for all tensors, so that many solutions have equal sums."""
    row: Row = {8: 0.0, 4: 1.0, 2: 2.0}
    return SensitivityTable(
        "level",
        dict.fromkeys((layer.name for layer in network.weight_layers), row),
        dict.fromkeys(network.tensors, row),
    )


def solutions() -> list[object]:
    """Return bits, orders and memory plans of several networks, accountings and options."""
    found: list[object] = []
    books = (accounting_named("paper"), accounting_named("deployed"), DeployedAccounting(in_place=IN_PLACE_KERNELS))
    for network in (residual(), branches(3), mobilenet_v1(0.25, 32, 10)):
        table = level_table(network)
        for book in books:
            whole = fit(question_of(network, Budget(10**7, 10**7), Method.EXACT, book, table)).memory
            budget = Budget(int(whole.flash_bytes * 0.8), int(whole.ram_bytes * 0.8))
            for latency in (None, Latency(SPEEDS["cortex-m4"], 40_000_000)):
                solution = fit(question_of(network, budget, Method.EXACT, book, table, latency=latency))
                allocation = solution.allocation
                bits = None if allocation is None else (allocation.weight_bits, allocation.activation_bits)
                found.append(
                    [
                        [layer.name for layer in solution.network.layers],
                        bits,
                        None if solution.certificate is None else solution.certificate.conflicting,
                        solution.objective,
                        {} if solution.memory.arena is None else solution.memory.arena.offsets,
                    ]
                )
    return found


def test_all_processes_choose_the_same_solution() -> None:
    """The hash seed changes the order of sets, but not the solutions."""
    script = "import json; from tests.solver.exact.test_ties import solutions; print(json.dumps(solutions()))"
    printed = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert json.loads(printed[0]) == json.loads(json.dumps(solutions()))


@pytest.mark.parametrize(
    ("ram_bytes", "expected"),
    [
        (128, [8, 8, 8, 8, 8]),
        # Of each two neighbours, one must have 4 bits: the later one keeps 8.
        (96, [8, 4, 8, 4, 8]),
    ],
)
def test_later_tensors_of_a_chain_keep_more_bits(ram_bytes: int, expected: list[int]) -> None:
    """The chain has five tensors of 64 bytes; the input and the output keep 8 bits."""
    network = network_of(
        [pointwise(f"l{index}", f"l{index - 1}" if index else "input", 4) for index in range(4)], Shape(4, 4, 4)
    )
    solution = fit(
        question_of(network, Budget(10**6, ram_bytes), Method.EXACT, accounting_named("paper"), level_table(network))
    )
    assert solution.allocation is not None
    assert list(solution.allocation.activation_bits.values()) == expected


def test_the_later_of_two_equal_tensors_of_a_chain_keeps_more_bits() -> None:
    """The chain has six tensors: l0 and l3 are next to the 8-bit input and output, and l1 and l2 are equal."""
    network = network_of(
        [pointwise(f"l{index}", f"l{index - 1}" if index else "input", 4) for index in range(5)], Shape(4, 4, 4)
    )
    solution = fit(
        question_of(network, Budget(10**6, 96), Method.EXACT, accounting_named("paper"), level_table(network))
    )
    assert solution.allocation is not None
    # l0 and l3 must have 4 bits. One of l1 and l2 can keep 8 bits: the later one.
    assert list(solution.allocation.activation_bits.values()) == [8, 4, 4, 8, 4, 8]
