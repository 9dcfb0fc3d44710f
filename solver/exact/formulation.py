"""The integer program whose solution is an optimal choice of bits, and its conversion to an allocation.

The groups are the activation tensors, the weight tensors, then the indicator variables. The choices of an activation
tensor are its bits; those of a weight tensor are its bits and its scheme (`weight_options.py`). A weight tensor that
several layers share is one group; its cost is the sum of the layers' sensitivities. The rows are, in this order:

    RAM of each step    the live tensors, and the stack that only some bits need; a pairwise term for each output that
                        may overwrite an input
    arena cuts          bits that the arena cannot hold together (`arena_cuts.py`)
    implications        a choice of a tensor that forces an indicator variable ON
    exclusions          a choice of a weight tensor that needs an output of 8 bits
    flash               weights, parameters and code that is linked once
    latency             a pairwise term for each layer: cycles by the bits of its input and of its weights

Weights with folded batch norm need an output of 8 bits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from network.allocation import BITS, WIDEST_BITS, Allocation, Bits
from network.sensitivity.table import SensitivityTable
from solver.exact.arena_cuts import ArenaCut
from solver.exact.choices import Choices, shared_activation_bits
from solver.exact.linking_rows import add_exclusions, add_implications
from solver.exact.program import CHOICES, Float64Array, IntArray, Program, integer_costs
from solver.exact.program_builder import ProgramBuilder, at_least, exactly
from solver.exact.weight_options import Options, WeightOption, all_options, scheme_under, useful_options
from solver.problem import CHOICE_OF_BITS, NOTHING, Cycles, Problem, Sizes, plus

FLASH_ROW = "flash"
LATENCY_ROW = "latency"


@dataclass(frozen=True, slots=True, eq=False)
class Formulation:
    """The integer program of an allocation problem, with the meaning of its groups and of its costs.

    Attributes:
        program: The program. Its groups are the activation tensors, the weight tensors, then the indicator variables.
        cost_unit: Sensitivity that a cost of 1 stands for.
        activation_count: Number of groups that are activation tensors.
        options: Options that the choices of each weight tensor stand for.
        all_options: Options of each weight tensor, with those that are left out of the program.
    """

    program: Program
    cost_unit: float
    activation_count: int
    options: Options
    all_options: Options

    @property
    def weight_count(self) -> int:
        """Number of groups that are weight tensors."""
        return len(self.options)

    def chosen_options(self, choices: IntArray) -> tuple[WeightOption, ...]:
        """Return the option of each weight tensor that a solution of the integer program stands for.

        Args:
            choices: Choice of each group, int64 [n].
        """
        own = choices.tolist()[self.activation_count : self.activation_count + self.weight_count]
        return tuple(options[choice] for options, choice in zip(self.options, own, strict=True))


def formulate(
    problem: Problem, table: SensitivityTable, choices: Choices, arena_cuts: Collection[ArenaCut] = ()
) -> Formulation:
    """Formulate an allocation problem (bits under flash, RAM and latency limits) as an integer program.

    Args:
        problem: The allocation problem.
        table: Sensitivities; those of an activation tensor include all tensors that share its bits.
        choices: The allowed schemes of the weights and the allowed bits.
        arena_cuts: Bits that the arena cannot hold together.
    """
    group_of = {name: group for group, name in enumerate(problem.activations)}
    layer_group = _weight_groups(problem)
    allowed = shared_activation_bits(choices, problem.same_bits, problem.fixed)
    every = tuple(
        all_options(problem, layers, table, choices, may_fold=WIDEST_BITS in allowed[problem.weights[layers[0]].output])
        for layers in problem.weight_tensors.values()
    )
    options = tuple(map(useful_options, every))
    costs, cost_unit = integer_costs(_costs(problem, table, allowed, options))
    builder = ProgramBuilder((*group_of, *problem.weight_tensors), costs)
    bits_of = {len(group_of) + index: tuple(option.bits for option in own) for index, own in enumerate(options)}
    code = {each.name: builder.add_indicator(each.name) for each in problem.features}
    stack = {each.name: builder.add_indicator(each.name) for each in problem.ram_features}
    _add_ram(builder, problem, group_of, stack)
    _add_arena_cuts(builder, arena_cuts, group_of, stack)
    flash = _flash_entries(problem, options, group_of)
    flash += [(code[each.name], (each.size, 0, 0)) for each in problem.features]
    for feature in (*problem.features, *problem.ram_features):
        add_implications(builder, feature, (code | stack)[feature.name], group_of, layer_group, bits_of)
    add_exclusions(builder, problem, options, group_of, allowed)
    builder.add_row(FLASH_ROW, problem.flash_limit, flash)
    if problem.cycles is not None:
        _add_latency(builder, problem.cycles, group_of, layer_group, bits_of)
    return Formulation(builder.program(), cost_unit, len(problem.activations), options, every)


def allocation_of(problem: Problem, formulation: Formulation, choices: IntArray) -> Allocation:
    """Return the bits and quantization schemes of all tensors that a solution of the integer program stands for.

    Args:
        problem: The allocation problem.
        formulation: The exact program of the problem.
        choices: Choice of each group, int64 [n].
    """
    return allocation_with(problem, formulation, choices, formulation.chosen_options(choices))


def allocation_with(
    problem: Problem, formulation: Formulation, choices: IntArray, options: tuple[WeightOption, ...]
) -> Allocation:
    """Return the allocation of the activation bits in a solution of the integer program, and of the given options.

    Args:
        problem: The allocation problem.
        formulation: The exact program of the problem.
        choices: Choice of each group, int64 [n].
        options: Option of each weight tensor.
    """
    own_bits = {
        name: BITS[choice]
        for name, choice in zip(problem.activations, choices.tolist()[: formulation.activation_count], strict=True)
    }
    first = formulation.activation_count
    option_of = {layer: options[group - first] for layer, group in _weight_groups(problem).items()}
    return Allocation(
        weight_bits={layer: option.bits for layer, option in option_of.items()},
        activation_bits={tensor: own_bits[own] for tensor, own in problem.same_bits.items()},
        schemes={
            tensor.layer: scheme_under(
                tensor, option_of[tensor.layer].scheme.weights, option_of[tensor.layer].bits, own_bits[tensor.output]
            )
            for tensor in problem.weights
        },
    )


def _weight_groups(problem: Problem) -> dict[str, int]:
    """Return the group of each layer's weight tensor; layers that share one have the same group."""
    groups = {owner: len(problem.activations) + index for index, owner in enumerate(problem.weight_tensors)}
    return {tensor.layer: groups[tensor.owner] for tensor in problem.weights}


def _costs(
    problem: Problem, table: SensitivityTable, allowed: Mapping[str, Collection[Bits]], options: Options
) -> Float64Array:
    """Return the sensitivity of each choice of each tensor, float64 [tensors, choices]; infinite if it is not allowed.

    Args:
        problem: The allocation problem.
        table: Sensitivities of all tensors.
        allowed: Name of an activation tensor -> its allowed bits.
        options: Options of each weight tensor.
    """
    first = len(problem.activations)
    costs = np.full((first + len(options), max(CHOICES, *map(len, options))), np.inf)
    for group, name in enumerate(problem.activations):
        for choice, bits in enumerate(BITS):
            if bits in allowed[name]:
                costs[group, choice] = table.activations[name][bits]
    for group, own in enumerate(options, start=first):
        costs[group, : len(own)] = [option.cost for option in own]
    return costs


def _add_ram(builder: ProgramBuilder, problem: Problem, group_of: Mapping[str, int], stack: Mapping[str, int]) -> None:
    """Add one constraint for each step of the schedule: the RAM of the step must not exceed its limit.

    Args:
        builder: Builder of the program.
        problem: The allocation problem.
        group_of: Name of each activation tensor -> its group.
        stack: Name of each RAM feature -> its indicator variable.
    """
    shared = [(stack[each.name], (each.size, 0, 0)) for each in problem.ram_features]
    for step in problem.steps:
        entries = [*((group_of[name], sizes) for name, sizes in step.tensors.items()), *shared]
        row = builder.add_row(f"RAM at '{step.layer}'", step.limit, entries)
        for overwritten in step.overwrites:
            builder.add_pairwise_term(row, group_of[overwritten], group_of[step.output], -np.diag(step.saved))


def _add_arena_cuts(
    builder: ProgramBuilder, arena_cuts: Collection[ArenaCut], group_of: Mapping[str, int], stack: Mapping[str, int]
) -> None:
    """Add a constraint for each set of bits that the arena cannot hold together: at least one must not be chosen.

    Or the stack must be smaller, by one of the RAM features of the cut.
    """
    for number, cut in enumerate(arena_cuts):
        entries: list[tuple[int, Sizes]] = [
            (group_of[name], exactly(bits) if name in cut.exactly else at_least(bits))
            for name, bits in cut.bits.items()
        ]
        entries += [(stack[name], (1, 0, 0)) for name in sorted(cut.ram_features)]
        builder.add_row(f"arena cut {number}", len(entries) - 1, entries)


def _flash_entries(
    problem: Problem, options: Options, group_of: Mapping[str, int]
) -> list[tuple[int, tuple[int, ...]]]:
    """Return the size in bits of flash that each weight tensor and each activation tensor contributes."""
    by_tensor = dict(problem.parameters)
    for tensor in problem.weights:
        parameters = next(iter(tensor.parameters.values()))  # the terms by bits are the same for all schemes
        for name, sizes in ((tensor.input, parameters.by_input), (tensor.output, parameters.by_output)):
            if sizes != NOTHING:
                by_tensor[name] = plus(by_tensor.get(name, NOTHING), sizes)
    return [
        *((group, tuple(each.size for each in own)) for group, own in enumerate(options, start=len(group_of))),
        *((group_of[name], sizes) for name, sizes in by_tensor.items()),
    ]


def _add_latency(
    builder: ProgramBuilder,
    cycles: Cycles,
    group_of: Mapping[str, int],
    layer_group: Mapping[str, int],
    bits_of: Mapping[int, tuple[Bits, ...]],
) -> None:
    """Add a constraint on the cycles of all layers with weights.

    There is one pairwise term for each input and weight tensor of a layer; layers that have both in common share it.

    Args:
        builder: Builder of the program.
        cycles: Cycles of the layers, and their limit.
        group_of: Name of an activation tensor -> its group.
        layer_group: Name of a layer -> group of its weight tensor.
        bits_of: Group of a weight tensor -> bits of its choices.
    """
    inputs = dict.fromkeys(group_of[layer.tensor] for layer in cycles.layers)
    groups = [*inputs, *dict.fromkeys(layer_group[layer.layer] for layer in cycles.layers)]
    row = builder.add_row(LATENCY_ROW, cycles.limit, [(group, NOTHING) for group in groups])
    tables: dict[tuple[int, int], IntArray] = {}
    for layer in cycles.layers:
        pair = group_of[layer.tensor], layer_group[layer.layer]
        columns = [CHOICE_OF_BITS[bits] for bits in bits_of[pair[1]]]
        tables[pair] = tables.get(pair, 0) + np.array(layer.cycles, dtype=np.int64)[:, columns]
    for (read, weights), table in tables.items():
        builder.add_pairwise_term(row, read, weights, table)
