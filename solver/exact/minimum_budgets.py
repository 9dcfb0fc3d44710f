"""Minimum budgets: the smallest RAM, flash and number of cycles for which some bits of a network's tensors fit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from network.allocation import BITS, Allocation
from network.budget import MAX_BUDGET_BYTES, Budget
from network.devices.latency import layer_cycles, network_cycles
from network.memory.measure import measure
from network.memory.report import MemoryReport
from network.network import Network
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices, shared_activation_bits
from solver.exact.components import row_size_bounds
from solver.exact.decomposition import solve_by_decomposition
from solver.exact.formulation import FLASH_ROW, Formulation, allocation_of, formulate
from solver.exact.indicator_search import solve_exactly
from solver.exact.milp import highs, solve_integer_program
from solver.exact.program import IntArray
from solver.exact.shared_weights import shared_weight_bits
from solver.orders import orders_to_try
from solver.problem import BITS_PER_BYTE, CHOICE_OF_BITS, Problem
from solver.problem_building import problem_of
from solver.question import Question

UNLIMITED: Final = Budget(MAX_BUDGET_BYTES, MAX_BUDGET_BYTES)
"""Budget that every network keeps: 1 TiB of flash and of RAM."""

FLASH_SECONDS: Final = 20.0
"""Time limit in seconds for the minimum flash."""


@dataclass(frozen=True, slots=True)
class MinimumRam:
    """The smallest RAM of a network that was found over all bits and orders of its layers.

    Attributes:
        order: The network, with its layers in the order of the smallest RAM.
        report: Memory report of the bits with the smallest RAM.
        may_be_smaller: Whether other bits may need less RAM, because outputs may overwrite inputs of the same bits.
    """

    order: Network
    report: MemoryReport
    may_be_smaller: bool


@dataclass(frozen=True, slots=True)
class MinimumFlash:
    """The smallest flash of a network that was found over all bits of its tensors.

    Attributes:
        report: Memory report of the bits with the smallest flash.
        is_proven: Whether it is proven that no bits need less flash; false if the time limit stopped the search.
    """

    report: MemoryReport
    is_proven: bool


@dataclass(frozen=True, slots=True)
class MinimumCycles:
    """The smallest estimated number of cycles of one inference over all bits of a network's tensors.

    Attributes:
        cycles: Estimated number of cycles of one inference.
        layer: Name of the layer with the most cycles.
    """

    cycles: int
    layer: str


def zero_table(network: Network) -> SensitivityTable:
    """Return a sensitivity table of zeros for a network, under which all bits that fit are equally good."""
    zeros = dict.fromkeys(BITS, 0.0)
    return SensitivityTable(
        "none",
        {layer.name: zeros for layer in network.weight_layers},
        dict.fromkeys(network.tensors, zeros),
    )


def minimum_ram(question: Question) -> MinimumRam:
    """Compute the minimum RAM of a network over all bits and orders of its layers.

    If no output can overwrite an input, the fewest bits of one of the stacks need the least RAM. Otherwise the largest
    step is minimized in each order, and the arena of these bits is planned.

    Args:
        question: The question; its budget and its latency ceiling are ignored.
    """
    network, accounting, choices = question.network, question.accounting, question.choices
    free = replace(question, budget=UNLIMITED, max_cycles=None)
    problem = problem_of(free)
    fewest = _fewest_bits_by_stack(network, problem, choices)
    orders, _ = orders_to_try(network, problem, [each.activation_bits for each in fewest])
    found = ((order, measure(order, each, accounting)) for order in orders for each in fewest)
    order, report = min(found, key=lambda each: each[1].ram_bytes)
    for other in orders if problem.has_candidates else ():
        allocation = _minimize_peak(replace(free, network=other), math.ceil(report.ram_bytes) - 1)
        if allocation is not None:
            smaller = measure(other, allocation, accounting)
            if smaller.ram_bytes < report.ram_bytes:
                order, report = other, smaller
    return MinimumRam(order, report, problem.has_candidates)


def minimum_flash(question: Question, ram_bytes: int = MAX_BUDGET_BYTES) -> MinimumFlash:
    """Compute the minimum flash of a network in the given order of its layers, under RAM and latency limits.

    Args:
        question: The question; its budget is ignored.
        ram_bytes: Number of bytes of RAM that the network may use.
    """
    network, accounting, choices = question.network, question.accounting, question.choices
    problem = problem_of(replace(question, budget=Budget(MAX_BUDGET_BYTES, ram_bytes)))
    formulation = formulate(problem, zero_table(network), choices)
    program = formulation.program
    flash = program.row_names.index(FLASH_ROW)
    entries = slice(program.row_starts[flash], program.row_starts[flash + 1])
    sizes = np.zeros_like(program.costs)
    sizes[program.entry_groups[entries]] = program.entry_sizes[entries] / BITS_PER_BYTE
    # Costs must be 0 or more: the size of each group is counted from its smallest one.
    sizes -= sizes.min(axis=1, keepdims=True)
    by_size = replace(program, costs=np.where(np.isfinite(program.costs), sizes, np.inf))
    solution = solve_integer_program(by_size, highs, FLASH_SECONDS)
    if solution.choices is None:
        return MinimumFlash(measure(network, _fewest_bits(network, problem, choices), accounting), is_proven=False)
    allocation = allocation_of(problem, formulation, solution.choices)
    # Sizes are multiples of 1/8 byte, so that a smaller difference is none.
    is_proven = solution.objective - solution.bound < 1 / BITS_PER_BYTE
    return MinimumFlash(measure(network, allocation, accounting), is_proven)


def minimum_cycles(question: Question) -> MinimumCycles:
    """Compute the minimum estimated number of cycles of one inference over all bits of a network's tensors.

    If each weight tensor has one reader, the bits of each activation tensor can be chosen independently, together with
    those of the weights of its readers. With shared weights, this is a lower bound, from which bisection with the exact
    program starts.

    Args:
        question: A question with a latency ceiling; its budget is ignored.
    """
    independent = _independent_minimum_cycles(question)
    return _shared_minimum_cycles(question, independent) if question.network.weight_owners.sharing else independent


def _independent_minimum_cycles(question: Question) -> MinimumCycles:
    """Compute the minimum number of cycles if each layer could choose the bits of its weights alone."""
    choices, latency = question.choices, question.latency
    problem = problem_of(replace(question, budget=UNLIMITED))
    assert problem.cycles is not None and latency is not None  # noqa: S101, PT018  # the question has a ceiling
    allowed = shared_activation_bits(choices, problem.same_bits, problem.fixed)
    # Name of a tensor -> name of each layer that reads it -> minimum cycles by the bits of the tensor.
    read: dict[str, dict[str, tuple[int, ...]]] = {}
    for layer in problem.cycles.layers:
        columns = [CHOICE_OF_BITS[bits] for bits in choices.allowed_weight_bits.get(layer.layer, BITS)]
        read.setdefault(layer.tensor, {})[layer.layer] = tuple(
            min(row[column] for column in columns) for row in layer.cycles
        )
    without_weights = latency.most_cycles - problem.cycles.limit
    layer_cycles: dict[str, int] = {}
    for tensor, rows in read.items():
        choice = min(
            (CHOICE_OF_BITS[bits] for bits in allowed[tensor]), key=lambda each: sum(row[each] for row in rows.values())
        )
        layer_cycles |= {layer: row[choice] for layer, row in rows.items()}
    slowest = max(layer_cycles, key=layer_cycles.__getitem__)
    return MinimumCycles(without_weights + sum(layer_cycles.values()), slowest)


def _shared_minimum_cycles(question: Question, independent: MinimumCycles) -> MinimumCycles:
    """Compute the minimum number of cycles if layers that share weights have the same bits, by bisection.

    Args:
        question: A question with a latency ceiling; its budget is ignored.
        independent: Minimum without that condition, a lower bound.
    """
    network, choices, latency = question.network, question.choices, question.latency
    problem = problem_of(replace(question, budget=UNLIMITED))
    assert problem.cycles is not None and latency is not None  # noqa: S101, PT018  # the question has a ceiling
    only_cycles = replace(problem, steps=(), features=(), ram_features=())
    without_weights = latency.most_cycles - problem.cycles.limit
    allocation = _fewest_bits(network, problem, choices)
    low, high = independent.cycles, network_cycles(network, allocation, latency.speed)
    while low < high:
        middle = (low + high) // 2
        limited = replace(only_cycles, cycles=replace(problem.cycles, limit=middle - without_weights))
        formulation = formulate(limited, zero_table(network), choices)
        found = solve_by_decomposition(formulation.program).choices
        if found is None:
            low = middle + 1
        else:
            allocation = allocation_of(problem, formulation, found)
            high = network_cycles(network, allocation, latency.speed)
    cycles = {
        layer.name: layer_cycles(
            network,
            layer,
            allocation.activation_bits[layer.inputs[0]],
            allocation.weight_bits[layer.name],
            latency.speed,
        )
        for layer in network.weight_layers
    }
    return MinimumCycles(high, max(cycles, key=cycles.__getitem__))


def _fewest_bits(network: Network, problem: Problem, choices: Choices) -> Allocation:
    """Return the allocation in which each tensor has the fewest bits that are allowed for it."""
    formulation = formulate(problem, zero_table(network), choices)
    fewest = np.array(
        [max(np.flatnonzero(np.isfinite(row)).tolist(), default=0) for row in formulation.program.costs], dtype=np.int64
    )
    return allocation_of(problem, formulation, fewest)


def _fewest_bits_by_stack(network: Network, problem: Problem, choices: Choices) -> list[Allocation]:
    """Return the fewest bits of each tensor, and the fewest without the last RAM feature, without the last two, ...

    Those for which a tensor has no bits left are omitted.
    """
    found = [_fewest_bits(network, problem, choices)]
    for number in range(len(problem.ram_features)):
        excluded = problem.ram_features[number:]
        weights = {name: set(choices.allowed_weight_bits.get(name, BITS)) for name in found[0].weight_bits}
        activations = {
            name: set(choices.allowed_activation_bits.get(name, BITS))
            for name in problem.same_bits
            if problem.same_bits[name] not in problem.fixed
        }
        for feature in excluded:
            for allowed, pairs in ((weights, feature.weights), (activations, feature.activations)):
                for name, bits in pairs:
                    allowed.get(name, set()).discard(bits)
        fewer = replace(choices, allowed_weight_bits=weights, allowed_activation_bits=activations)
        if all(activations.values()) and all(
            shared_weight_bits(fewer, [problem.weights[index].layer for index in readers])
            for readers in problem.weight_tensors.values()
        ):
            found.append(_fewest_bits(network, problem, fewer))
    return found


def _minimize_peak(question: Question, most_bytes: int) -> Allocation | None:
    """Return the bits for which the largest RAM of any step is smallest, by bisection over the RAM budget.

    Args:
        question: The question, with an unlimited budget.
        most_bytes: Largest RAM in bytes that is of interest.

    Returns:
        The allocation; None if the largest step needs more than `most_bytes` under all bits.
    """
    problem, choices = problem_of(question), question.choices
    formulation = formulate(replace(problem, features=()), zero_table(question.network), choices)
    found: IntArray | None = _choices_within(formulation, problem, most_bytes)
    if found is None:
        return None
    program = formulation.program
    steps = slice(0, len(problem.steps))
    room_bytes = int((program.limits[steps] - row_size_bounds(program)[0][steps]).min()) // BITS_PER_BYTE
    low, high = MAX_BUDGET_BYTES - room_bytes, most_bytes
    while low < high:
        middle = (low + high) // 2
        smaller = _choices_within(formulation, problem, middle)
        if smaller is None:
            low = middle + 1
        else:
            found, high = smaller, middle
    return allocation_of(problem, formulation, found)


def _choices_within(formulation: Formulation, problem: Problem, ram_bytes: int) -> IntArray | None:
    """Return choices of bits for which each step keeps a RAM budget; None if there are none.

    Args:
        formulation: The exact program under an unlimited budget, without code in flash.
        problem: The problem of the program.
        ram_bytes: The RAM budget in bytes.
    """
    limits = formulation.program.limits.copy()
    limits[: len(problem.steps)] -= BITS_PER_BYTE * (MAX_BUDGET_BYTES - ram_bytes)
    return solve_exactly(replace(formulation.program, limits=limits)).choices
