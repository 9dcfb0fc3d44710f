"""From a problem and a table of sensitivities to the exact program."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from network.allocation import BITS, WIDEST_BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.sensitivity.table import SensitivityTable
from solver.exact.arena_cuts import ArenaCut
from solver.exact.choices import Choices, own_activation_bits
from solver.exact.program import CHOICES, IntArray, Program, whole_costs
from solver.problem import NOTHING, Cycles, Problem, Sizes, WeightTensor, plus

__all__ = ["Choices", "Formulation", "allocation_of", "formulate", "scheme_under"]

FLASH_ROW = "flash"
LATENCY_ROW = "latency"


@dataclass(frozen=True, slots=True, eq=False)
class Formulation:
    """The program, and how its groups are read.

    Attributes:
        program: groups are the activation tensors, then the weight tensors, then the switches.
        worth: what a whole cost stands for.
        activations: how many groups are activation tensors.
        weights: how many are weight tensors.
    """

    program: Program
    worth: float
    activations: int
    weights: int


def formulate(
    problem: Problem, table: SensitivityTable, choices: Choices, arena_cuts: Collection[ArenaCut] = ()
) -> Formulation:
    """The exact program of a problem.

    Args:
        problem: tensors, steps, weights, features.
        table: sensitivities of the tensors that have bits of their own, by name.
        choices: what is allowed.
        arena_cuts: tensors with bits that no arena holds together.
    """
    group_of = {name: group for group, name in enumerate(problem.activations)}
    weights_start = len(group_of)
    allowed = own_activation_bits(choices, problem.same_bits, problem.fixed)
    costs = [
        _costs(
            table.activations[name],
            allowed[name],
        )
        for name in problem.activations
    ] + [
        _costs(table.weights[tensor.layer], choices.allowed_weight_bits.get(tensor.layer, BITS))
        for tensor in problem.weights
    ]
    whole, worth = whole_costs(np.array(costs))
    rows = _Rows()
    for step in problem.steps:
        row = rows.add(
            f"RAM at '{step.layer}'", step.limit, [(group_of[name], sizes) for name, sizes in step.tensors.items()]
        )
        for onto in step.overwrites:
            rows.add_pair(row, group_of[onto], group_of[step.output], -np.diag(step.saved))
    for number, cut in enumerate(arena_cuts):
        entries = [
            (group_of[name], _only(bits) if name in cut.exactly else _at_least(bits)) for name, bits in cut.bits.items()
        ]
        rows.add(f"arena cut {number}", len(entries) - 1, entries)
    scheme = Scheme(choices.weights, Folding.ICN)
    flash = _flash_entries(problem, scheme, group_of, weights_start)
    switches = _Switches(first=weights_start + len(problem.weights))
    layer_group = {tensor.layer: weights_start + index for index, tensor in enumerate(problem.weights)}
    for feature in problem.features:
        askers = [layer_group[layer] for layer in sorted(feature.layers)]
        askers += [group_of[tensor] for tensor in sorted(feature.tensors)]
        asks = _only(feature.bits)
        switch = switches.add(feature.part)
        flash.append((switch, (feature.size, 0, 0)))
        for asker in askers:
            rows.add_link(f"{feature.part} <- {asker}", switch, (0, 1, 0), asker, asks)
    if not choices.weights.is_per_channel:
        folded = Scheme(choices.weights, Folding.WEIGHTS)
        for index, tensor in enumerate(problem.weights):
            saved = _saved_by_folding(tensor, scheme, folded)
            if saved <= 0:
                continue
            switch = switches.add(f"fold '{tensor.layer}'")
            flash.append((switch, (-saved, 0, 0)))
            for group in (weights_start + index, group_of[tensor.output]):
                rows.add_link(f"fold '{tensor.layer}' <- {group}", switch, (1, 0, 0), group, (0, 1, 1))
    rows.add(FLASH_ROW, problem.flash_limit, flash)
    if problem.cycles is not None:
        _add_latency(rows, problem.cycles, group_of, layer_group)
    names = (*problem.activations, *(tensor.layer for tensor in problem.weights), *switches.names)
    switch_costs = np.tile([0.0, 0.0, np.inf], (len(switches.names), 1))
    program = rows.program(names, np.concatenate((whole, switch_costs)), switches.groups)
    return Formulation(program, worth, len(problem.activations), len(problem.weights))


def _flash_entries(
    problem: Problem, scheme: Scheme, group_of: Mapping[str, int], weights_start: int
) -> list[tuple[int, Sizes]]:
    """Return what each weight tensor and each activation tensor contributes to the flash of the network."""
    by_tensor = dict(problem.parameters)
    flash = []
    for index, tensor in enumerate(problem.weights):
        parameters = tensor.parameters[scheme]
        flash.append((weights_start + index, plus(tensor.sizes, (parameters.constant,) * 3)))
        for name, sizes in ((tensor.input, parameters.by_input), (tensor.output, parameters.by_output)):
            if sizes != NOTHING:
                by_tensor[name] = plus(by_tensor.get(name, NOTHING), sizes)
    return flash + [(group_of[name], sizes) for name, sizes in by_tensor.items()]


def _add_latency(rows: _Rows, cycles: Cycles, group_of: Mapping[str, int], layer_group: Mapping[str, int]) -> None:
    """A row of pairs alone: what a layer reads, and its weights."""
    read = dict.fromkeys(group_of[layer.tensor] for layer in cycles.layers)
    groups = [*read, *(layer_group[layer.layer] for layer in cycles.layers)]
    row = rows.add(LATENCY_ROW, cycles.limit, [(group, NOTHING) for group in groups])
    for layer in cycles.layers:
        rows.add_pair(row, group_of[layer.tensor], layer_group[layer.layer], np.array(layer.cycles, dtype=np.int64))


def allocation_of(problem: Problem, formulation: Formulation, weights: WeightScheme, choices: IntArray) -> Allocation:
    """The choices of the formulation's groups as an allocation."""
    chosen = [BITS[choice] for choice in choices.tolist()[: formulation.activations + formulation.weights]]
    own_bits = dict(zip(problem.activations, chosen, strict=False))
    weight_bits = {
        tensor.layer: bits for tensor, bits in zip(problem.weights, chosen[formulation.activations :], strict=True)
    }
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


def _folding_pays(tensor: WeightTensor, weights: WeightScheme) -> bool:
    if weights.is_per_channel:
        return False
    return _saved_by_folding(tensor, Scheme(weights, Folding.ICN), Scheme(weights, Folding.WEIGHTS)) >= 0


def _saved_by_folding(tensor: WeightTensor, icn: Scheme, folded: Scheme) -> int:
    """Return by how much folding makes the parameters smaller, with 8 bits of weights and output.

    Raises:
        ValueError: If that depends on the bits of the layer's input.
    """
    before, after = tensor.parameters[icn], tensor.parameters[folded]
    if before.by_input != after.by_input:
        raise ValueError(f"what folding saves in layer '{tensor.layer}' depends on the bits of its input")
    return before.constant - after.constant


def scheme_under(weights: WeightScheme, weight_bits: Bits, output_bits: Bits, *, folding_pays: bool) -> Scheme:
    """Per layer, a layer with 8 bits on both sides is folded, as in MixPL, unless that takes more bytes; else ICN."""
    folds = folding_pays and not weights.is_per_channel and min(weight_bits, output_bits) == WIDEST_BITS
    return Scheme(weights, Folding.WEIGHTS if folds else Folding.ICN)


class _Switches:
    def __init__(self, first: int) -> None:
        self._first = first
        self.names: list[str] = []

    def add(self, name: str) -> int:
        self.names.append(name)
        return self._first + len(self.names) - 1

    @property
    def groups(self) -> IntArray:
        return np.arange(self._first, self._first + len(self.names))


class _Rows:
    """Rows as they are added, then as arrays."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._limits: list[int] = []
        self._starts = [0]
        self._groups: list[int] = []
        self._sizes: list[Sizes] = []
        self._links: list[int] = []
        self._pairs: list[tuple[int, tuple[int, int], IntArray]] = []

    def add(self, name: str, limit: int, entries: list[tuple[int, Sizes]]) -> int:
        self._names.append(name)
        self._limits.append(limit)
        for group, sizes in entries:
            self._groups.append(group)
            self._sizes.append(sizes)
        self._starts.append(len(self._groups))
        return len(self._names) - 1

    def add_pair(self, row: int, first: int, second: int, sizes: IntArray) -> None:
        self._pairs.append((row, (first, second), sizes))

    def add_link(self, name: str, switch: int, of_switch: Sizes, group: int, of_group: Sizes) -> None:
        self._links.append(len(self._names))
        self.add(name, 1, [(switch, of_switch), (group, of_group)])

    def program(self, groups: tuple[str, ...], costs: np.ndarray, switches: IntArray) -> Program:
        return Program(
            groups=groups,
            costs=costs,
            row_names=tuple(self._names),
            limits=np.array(self._limits, dtype=np.int64),
            row_starts=np.array(self._starts, dtype=np.int64),
            entry_groups=np.array(self._groups, dtype=np.int64),
            entry_sizes=np.array(self._sizes, dtype=np.int64).reshape(-1, CHOICES),
            switches=switches,
            links=np.array(self._links, dtype=np.int64),
            pair_rows=np.array([row for row, _, _ in self._pairs], dtype=np.int64),
            pair_groups=np.array([groups for _, groups, _ in self._pairs], dtype=np.int64).reshape(-1, 2),
            pair_sizes=np.array([sizes for _, _, sizes in self._pairs], dtype=np.int64).reshape(-1, CHOICES, CHOICES),
        )


def _costs(row: Mapping[Bits, float], allowed: Collection[Bits]) -> list[float]:
    return [row[bits] if bits in allowed else np.inf for bits in BITS]


def _only(bits: Bits) -> Sizes:
    widest, middle, narrowest = (int(each == bits) for each in BITS)
    return widest, middle, narrowest


def _at_least(bits: Bits) -> Sizes:
    widest, middle, narrowest = (int(each >= bits) for each in BITS)
    return widest, middle, narrowest
