"""Why nothing fits: the least flash and the least RAM that would do, and the layer that decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from network.allocation import BITS, Allocation
from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory import Accounting, MemoryReport, measure
from network.network import Network
from network.sensitivity import SensitivityTable
from solver.formulation import Choices, allocation_of, formulate
from solver.integer_program import highs, solve_integer_program
from solver.orders import orders_to_try
from solver.problem import BITS_PER_BYTE, problem_of
from solver.program import IntArray
from solver.solution import Certificate, flash_certificate

TIME_LIMIT_SECONDS = 20.0


def least_that_would_do(
    network: Network, budget: Budget, accounting: Accounting, choices: Choices
) -> tuple[Certificate, MemoryReport]:
    """The certificate of a budget that nothing fits, and the report of the bits that come closest.

    Where even the fewest bits in the best order exceed RAM, RAM is what is short. Otherwise flash is: its least under
    this RAM is found by an integer program that minimises flash.
    """
    ram_report = _least_ram(network, accounting, choices)
    if ram_report.ram_bytes > budget.ram_bytes:
        ample = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
        flash_bytes = _least_flash(network, ample, accounting, choices).flash_bytes
        certificate = Certificate(
            "ram", ram_report.peak_layer, ram_report.ram_bytes, budget.ram_bytes, other_least_bytes=flash_bytes
        )
        return certificate, ram_report
    flash_report = _least_flash(network, Budget(MAX_BUDGET_BYTES, budget.ram_bytes), accounting, choices)
    return flash_certificate(flash_report, budget, other_least_bytes=ram_report.ram_bytes), flash_report


def _least_ram(network: Network, accounting: Accounting, choices: Choices) -> MemoryReport:
    allocation = _fewest_bits(network, accounting, choices)
    problem = problem_of(network, Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES), accounting)
    orders, _ = orders_to_try(network, problem, [allocation.activation_bits])
    return min((measure(order, allocation, accounting) for order in orders), key=lambda report: report.ram_bytes)


def _fewest_bits(network: Network, accounting: Accounting, choices: Choices) -> Allocation:
    problem = problem_of(network, Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES), accounting)
    formulation = formulate(problem, _zero_table(network), choices)
    fewest = np.array(
        [max(np.flatnonzero(np.isfinite(row)).tolist(), default=0) for row in formulation.program.costs], dtype=np.int64
    )
    return allocation_of(problem, formulation, choices.weights, accounting.same_bits(network), fewest)


def _least_flash(network: Network, budget: Budget, accounting: Accounting, choices: Choices) -> MemoryReport:
    problem = problem_of(network, budget, accounting)
    formulation = formulate(problem, _zero_table(network), choices)
    program = formulation.program
    flash = program.row_names.index("flash")
    entries = slice(program.row_starts[flash], program.row_starts[flash + 1])
    sizes = np.zeros_like(program.costs)
    sizes[program.entry_groups[entries]] = program.entry_sizes[entries] / BITS_PER_BYTE
    sizes -= sizes.min(axis=1, keepdims=True)  # what is saved counts as what is not spent
    by_size = replace(program, costs=np.where(np.isfinite(program.costs), sizes, np.inf))
    answer = solve_integer_program(by_size, highs, TIME_LIMIT_SECONDS)
    found: IntArray | None = answer.choices
    if found is None:  # out of time: the fewest bits everywhere would do as well
        return measure(network, _fewest_bits(network, accounting, choices), accounting)
    allocation = allocation_of(problem, formulation, choices.weights, accounting.same_bits(network), found)
    return measure(network, allocation, accounting)


def _zero_table(network: Network) -> SensitivityTable:
    zeros = dict.fromkeys(BITS, 0.0)
    return SensitivityTable(
        "none",
        {layer.name: zeros for layer in network.weight_layers},
        dict.fromkeys(network.tensors, zeros),
    )
