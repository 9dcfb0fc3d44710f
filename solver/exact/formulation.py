"""The integer program whose solution is an optimal choice of bits, and its conversion to an allocation.

The groups are the activation tensors, the weight tensors, then the indicator variables. A weight tensor that several
layers share is one group; its cost is the sum of the layers' sensitivities. The rows are, in this order:

    RAM of each step    the live tensors, and the stack that only some bits need; a pairwise term for each output that
                        may overwrite an input
    arena cuts          bits that the arena cannot hold together (`arena_cuts.py`)
    implications        bits of a tensor that force an indicator variable ON or OFF
    flash               weights, parameters and code that is linked once, minus what folding saves
    latency             a pairwise term for each layer: cycles by the bits of its input and of its weights
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from network.allocation import BITS, WIDEST_BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.sensitivity.table import SensitivityTable
from solver.exact.arena_cuts import ArenaCut
from solver.exact.choices import Choices, shared_activation_bits
from solver.exact.program import IntArray, Program, integer_costs
from solver.exact.program_builder import FORCED_OFF, FORCED_ON, ProgramBuilder, any_of, at_least, exactly
from solver.exact.shared_weights import shared_weight_bits, summed_rows
from solver.problem import NOTHING, CodeFeature, Cycles, Problem, Sizes, WeightTensor, plus

FLASH_ROW = "flash"
LATENCY_ROW = "latency"


@dataclass(frozen=True, slots=True, eq=False)
class Formulation:
    """The integer program of an allocation problem, with the meaning of its groups and of its costs.

    Attributes:
        program: The program. Its groups are the activation tensors, the weight tensors, then the indicator variables.
        cost_unit: Sensitivity that a cost of 1 stands for.
        activation_count: Number of groups that are activation tensors.
        weight_count: Number of groups that are weight tensors.
    """

    program: Program
    cost_unit: float
    activation_count: int
    weight_count: int


def formulate(
    problem: Problem, table: SensitivityTable, choices: Choices, arena_cuts: Collection[ArenaCut] = ()
) -> Formulation:
    """Formulate an allocation problem (bits under flash, RAM and latency limits) as an integer program.

    Args:
        problem: The allocation problem.
        table: Sensitivities; those of an activation tensor include all tensors that share its bits.
        choices: The scheme of the weights and the allowed bits.
        arena_cuts: Bits that the arena cannot hold together.
    """
    group_of = {name: group for group, name in enumerate(problem.activations)}
    layer_group = _weight_groups(problem)
    allowed = shared_activation_bits(choices, problem.same_bits, problem.fixed)
    sensitivities = [_allowed_costs(table.activations[name], allowed[name]) for name in problem.activations]
    for indices in problem.weight_tensors.values():
        readers = [problem.weights[index].layer for index in indices]
        sensitivities.append(_allowed_costs(summed_rows(table, readers), shared_weight_bits(choices, readers)))
    costs, cost_unit = integer_costs(np.array(sensitivities))
    builder = ProgramBuilder((*group_of, *problem.weight_tensors), costs)
    code = {each.name: builder.add_indicator(each.name) for each in problem.features}
    stack = {each.name: builder.add_indicator(each.name) for each in problem.ram_features}
    _add_ram(builder, problem, group_of, stack)
    _add_arena_cuts(builder, arena_cuts, group_of, stack)
    scheme = Scheme(choices.weights, Folding.ICN)
    flash = _flash_entries(problem, scheme, group_of, layer_group)
    flash += [(code[each.name], (each.size, 0, 0)) for each in problem.features]
    for feature in (*problem.features, *problem.ram_features):
        _add_implications(builder, feature, (code | stack)[feature.name], group_of, layer_group)
    if not choices.weights.is_per_channel:
        flash += _add_folding(builder, problem, scheme, group_of, layer_group)
    builder.add_row(FLASH_ROW, problem.flash_limit, flash)
    if problem.cycles is not None:
        _add_latency(builder, problem.cycles, group_of, layer_group)
    return Formulation(builder.program(), cost_unit, len(problem.activations), len(problem.weight_tensors))


def allocation_of(problem: Problem, formulation: Formulation, weights: WeightScheme, choices: IntArray) -> Allocation:
    """Return the bits and quantization schemes of all tensors that a solution of the integer program stands for.

    Args:
        problem: The allocation problem.
        formulation: The exact program of the problem.
        weights: Scheme of the weights.
        choices: Choice of each group, int64 [n].
    """
    chosen = [BITS[choice] for choice in choices.tolist()[: formulation.activation_count + formulation.weight_count]]
    own_bits = dict(zip(problem.activations, chosen, strict=False))
    weight_bits = {layer: chosen[group] for layer, group in _weight_groups(problem).items()}
    return Allocation(
        weight_bits=weight_bits,
        activation_bits={tensor: own_bits[own] for tensor, own in problem.same_bits.items()},
        schemes={
            tensor.layer: scheme_under(
                weights,
                weight_bits[tensor.layer],
                own_bits[tensor.output],
                folding_pays=_folding_pays(tensor, weights),
            )
            for tensor in problem.weights
        },
    )


def _weight_groups(problem: Problem) -> dict[str, int]:
    """Return the group of each layer's weight tensor; layers that share one have the same group."""
    groups = {owner: len(problem.activations) + index for index, owner in enumerate(problem.weight_tensors)}
    return {tensor.layer: groups[tensor.owner] for tensor in problem.weights}


def scheme_under(weights: WeightScheme, weight_bits: Bits, output_bits: Bits, *, folding_pays: bool) -> Scheme:
    """Return the quantization scheme of a layer's weights, with the place into which its batch norm is folded.

    Batch norm is folded into weights that are quantized per layer if the weights and the output have 8 bits, as in
    MixPL, and if the folded layer is not larger. Every other layer uses ICN.

    Args:
        weights: Scheme of the weights.
        weight_bits: Bits of the weights.
        output_bits: Bits of the layer's output tensor.
        folding_pays: Whether the folded layer needs at most as many bytes.
    """
    folds = folding_pays and not weights.is_per_channel and min(weight_bits, output_bits) == WIDEST_BITS
    return Scheme(weights, Folding.WEIGHTS if folds else Folding.ICN)


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
    problem: Problem, scheme: Scheme, group_of: Mapping[str, int], layer_group: Mapping[str, int]
) -> list[tuple[int, Sizes]]:
    """Return the size in bits of flash that each weight tensor and each activation tensor contributes."""
    by_tensor = dict(problem.parameters)
    by_group: dict[int, Sizes] = {}
    for tensor in problem.weights:
        parameters = tensor.parameters[scheme]
        group = layer_group[tensor.layer]
        by_group[group] = plus(by_group.get(group, NOTHING), plus(tensor.sizes, (parameters.constant,) * 3))
        for name, sizes in ((tensor.input, parameters.by_input), (tensor.output, parameters.by_output)):
            if sizes != NOTHING:
                by_tensor[name] = plus(by_tensor.get(name, NOTHING), sizes)
    return [*by_group.items(), *((group_of[name], sizes) for name, sizes in by_tensor.items())]


def _add_implications(
    builder: ProgramBuilder,
    feature: CodeFeature,
    indicator: int,
    group_of: Mapping[str, int],
    layer_group: Mapping[str, int],
) -> None:
    """Add the bits of tensors that force the indicator variable of a feature ON."""
    bits_of_group: dict[int, list[Bits]] = {}
    for layer, bits in sorted(feature.weights):
        bits_of_group.setdefault(layer_group[layer], []).append(bits)
    for tensor, bits in sorted(feature.activations):
        bits_of_group.setdefault(group_of[tensor], []).append(bits)
    for group, needing in bits_of_group.items():
        name = f"group {group} with {' or '.join(map(str, needing))} bits => {feature.name}"
        builder.add_implication(name, indicator, FORCED_ON, group, any_of(needing))


def _add_folding(
    builder: ProgramBuilder,
    problem: Problem,
    scheme: Scheme,
    group_of: Mapping[str, int],
    layer_group: Mapping[str, int],
) -> list[tuple[int, Sizes]]:
    """Add an indicator variable for each layer that folding batch norm makes smaller; return its entries in flash.

    It is OFF if the layer's weights or output have fewer than 8 bits.
    """
    folded = Scheme(scheme.weights, Folding.WEIGHTS)
    flash: list[tuple[int, Sizes]] = []
    for tensor in problem.weights:
        saved = _saved_by_folding(tensor, scheme, folded) if folded in tensor.parameters else 0
        if saved <= 0:
            continue
        indicator = builder.add_indicator(f"fold '{tensor.layer}'")
        flash.append((indicator, (-saved, 0, 0)))
        for group in (layer_group[tensor.layer], group_of[tensor.output]):
            name = f"group {group} with fewer than 8 bits => '{tensor.layer}' is not folded"
            builder.add_implication(name, indicator, FORCED_OFF, group, (0, 1, 1))
    return flash


def _add_latency(
    builder: ProgramBuilder, cycles: Cycles, group_of: Mapping[str, int], layer_group: Mapping[str, int]
) -> None:
    """Add a constraint on the cycles of all layers with weights.

    There is one pairwise term for each input and weight tensor of a layer; layers that have both in common share it.
    """
    inputs = dict.fromkeys(group_of[layer.tensor] for layer in cycles.layers)
    groups = [*inputs, *dict.fromkeys(layer_group[layer.layer] for layer in cycles.layers)]
    row = builder.add_row(LATENCY_ROW, cycles.limit, [(group, NOTHING) for group in groups])
    tables: dict[tuple[int, int], IntArray] = {}
    for layer in cycles.layers:
        pair = group_of[layer.tensor], layer_group[layer.layer]
        tables[pair] = tables.get(pair, 0) + np.array(layer.cycles, dtype=np.int64)
    for (read, weights), table in tables.items():
        builder.add_pairwise_term(row, read, weights, table)


def _folding_pays(tensor: WeightTensor, weights: WeightScheme) -> bool:
    """Return whether folding batch norm into a layer's weights is possible and does not make the layer larger."""
    folded = Scheme(weights, Folding.WEIGHTS)
    if folded not in tensor.parameters:
        return False
    return _saved_by_folding(tensor, Scheme(weights, Folding.ICN), folded) >= 0


def _saved_by_folding(tensor: WeightTensor, icn: Scheme, folded: Scheme) -> int:
    """Return by how many bits folding batch norm makes the parameters of a layer with 8-bit weights smaller.

    Raises:
        ValueError: If that depends on the bits of the layer's input.
    """
    before, after = tensor.parameters[icn], tensor.parameters[folded]
    if before.by_input != after.by_input:
        raise ValueError(
            f"the bytes that folding batch norm saves in layer '{tensor.layer}' depend on the bits of its input; "
            "the exact program supports only a constant"
        )
    return before.constant - after.constant


def _allowed_costs(row: Mapping[Bits, float], allowed: Collection[Bits]) -> list[float]:
    """Return the sensitivity of a tensor at 8, 4 and 2 bits; infinite for bits that are not allowed."""
    return [row[bits] if bits in allowed else np.inf for bits in BITS]
