"""The least of each budget that would do: of RAM, of flash, and of cycles."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from network.allocation import BITS, Allocation
from network.budget import MAX_BUDGET_BYTES, Budget
from network.memory.measure import measure
from network.memory.report import MemoryReport
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices, own_activation_bits
from solver.exact.components import least_and_most
from solver.exact.decomposition import solve_parts
from solver.exact.formulation import FLASH_ROW, Formulation, allocation_of, formulate
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import IntArray
from solver.orders import orders_to_try
from solver.problem import BITS_PER_BYTE, CHOICE_OF_BITS, Problem, problem_of
from solver.question import Question

AMPLE: Final = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
FLASH_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class LeastRam:
    """The order and the bits of the least RAM that was found, and their report.

    Attributes:
        order: the network in that order.
        report: of those bits.
        can_grow: more bits may take less, because outputs lie on inputs of the same bits.
    """

    order: Network
    report: MemoryReport
    can_grow: bool


@dataclass(frozen=True, slots=True)
class LeastFlash:
    """The report of the fewest bytes of flash that were found.

    Attributes:
        report: of those bits.
        is_proven: no bits take less; else the search ran out of time.
    """

    report: MemoryReport
    is_proven: bool


@dataclass(frozen=True, slots=True)
class LeastCycles:
    """The fewest cycles of any bits, and the layer that takes most of them."""

    cycles: int
    layer: str


def zero_table(network: Network) -> SensitivityTable:
    """A table to which all bits are alike."""
    zeros = dict.fromkeys(BITS, 0.0)
    return SensitivityTable(
        "none",
        {layer.name: zeros for layer in network.weight_layers},
        dict.fromkeys(network.tensors, zeros),
    )


def least_ram(question: Question) -> LeastRam:
    """Minimize RAM over bits and orders. Where no output is written onto an input, the fewest bits take the least.

    Args:
        question: The question whose budget and latency ceiling are ignored.
    """
    network, accounting, choices = question.network, question.accounting, question.choices
    free = replace(question, budget=AMPLE, max_cycles=None)
    problem = problem_of(free)
    fewest = _fewest_bits(network, problem, choices)
    orders, _ = orders_to_try(network, problem, [fewest.activation_bits])
    reports = [measure(order, fewest, accounting) for order in orders]
    best = min(range(len(orders)), key=lambda index: reports[index].ram_bytes)
    order, report = orders[best], reports[best]
    for other in orders if problem.has_candidates else ():
        allocation = _least_peak(replace(free, network=other), math.ceil(report.ram_bytes) - 1)
        if allocation is not None:
            smaller = measure(other, allocation, accounting)
            if smaller.ram_bytes < report.ram_bytes:
                order, report = other, smaller
    return LeastRam(order, report, problem.has_candidates)


def least_flash(question: Question, ram_bytes: int = MAX_BUDGET_BYTES) -> LeastFlash:
    """Minimize flash in the given order by an integer program, under a RAM budget and the question's latency ceiling.

    Args:
        question: The question whose own budget is ignored.
        ram_bytes: Bytes of RAM that the network may take.
    """
    network, accounting, choices = question.network, question.accounting, question.choices
    problem = problem_of(replace(question, budget=Budget(MAX_BUDGET_BYTES, ram_bytes)))
    formulation = formulate(problem, zero_table(network), choices)
    program = formulation.program
    flash = program.row_names.index(FLASH_ROW)
    entries = slice(program.row_starts[flash], program.row_starts[flash + 1])
    sizes = np.zeros_like(program.costs)
    sizes[program.entry_groups[entries]] = program.entry_sizes[entries] / BITS_PER_BYTE
    sizes -= sizes.min(axis=1, keepdims=True)  # what is saved counts as what is not spent
    by_size = replace(program, costs=np.where(np.isfinite(program.costs), sizes, np.inf))
    answer = solve_integer_program(by_size, highs, FLASH_SECONDS)
    if answer.choices is None:
        return LeastFlash(measure(network, _fewest_bits(network, problem, choices), accounting), is_proven=False)
    allocation = allocation_of(problem, formulation, choices.weights, answer.choices)
    # Sizes are multiples of an eighth of a byte.
    is_proven = answer.objective - answer.bound < 1 / BITS_PER_BYTE
    return LeastFlash(measure(network, allocation, accounting), is_proven)


def least_cycles(question: Question) -> LeastCycles:
    """Minimize the estimated cycles over all bits.

    Each weight tensor has one reader, so each tensor that layers read is decided independently.

    Args:
        question: A question with a latency ceiling; its budget is ignored.
    """
    choices, latency = question.choices, question.latency
    problem = problem_of(replace(question, budget=AMPLE))
    assert problem.cycles is not None and latency is not None  # noqa: S101, PT018  # the question has a ceiling
    allowed = own_activation_bits(choices, problem.same_bits, problem.fixed)
    read: dict[str, dict[str, tuple[int, ...]]] = {}  # tensor -> layer -> its fewest cycles by the tensor's bits
    for layer in problem.cycles.layers:
        columns = [CHOICE_OF_BITS[bits] for bits in choices.allowed_weight_bits.get(layer.layer, BITS)]
        read.setdefault(layer.tensor, {})[layer.layer] = tuple(
            min(row[column] for column in columns) for row in layer.cycles
        )
    total = latency.most_cycles - problem.cycles.limit
    of_layer: dict[str, int] = {}
    for tensor, rows in read.items():
        choice = min(
            (CHOICE_OF_BITS[bits] for bits in allowed[tensor]), key=lambda each: sum(row[each] for row in rows.values())
        )
        of_layer |= {layer: row[choice] for layer, row in rows.items()}
    return LeastCycles(total + sum(of_layer.values()), max(of_layer, key=of_layer.__getitem__))


def _fewest_bits(network: Network, problem: Problem, choices: Choices) -> Allocation:
    formulation = formulate(problem, zero_table(network), choices)
    fewest = np.array(
        [max(np.flatnonzero(np.isfinite(row)).tolist(), default=0) for row in formulation.program.costs], dtype=np.int64
    )
    return allocation_of(problem, formulation, choices.weights, fewest)


def _least_peak(question: Question, most_bytes: int) -> Allocation | None:
    """Return the bits whose largest step is smallest, if that takes at most `most_bytes`; found by bisection."""
    problem, choices = problem_of(question), question.choices
    formulation = formulate(replace(problem, features=()), zero_table(question.network), choices)
    found: IntArray | None = _within(formulation, problem, most_bytes)
    if found is None:
        return None
    program = formulation.program
    steps = slice(0, len(problem.steps))
    room = int((program.limits[steps] - least_and_most(program)[0][steps]).min()) // BITS_PER_BYTE
    low, high = MAX_BUDGET_BYTES - room, most_bytes
    while low < high:
        middle = (low + high) // 2
        smaller = _within(formulation, problem, middle)
        if smaller is None:
            low = middle + 1
        else:
            found, high = smaller, middle
    return allocation_of(problem, formulation, choices.weights, found)


def _within(formulation: Formulation, problem: Problem, ram_bytes: int) -> IntArray | None:
    """Choices that keep every step within so much RAM."""
    limits = formulation.program.limits.copy()
    limits[: len(problem.steps)] -= BITS_PER_BYTE * (MAX_BUDGET_BYTES - ram_bytes)
    return solve_parts(replace(formulation.program, limits=limits)).choices
