"""From a problem and a table of sensitivities to the exact program."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from network.allocation import BITS, WIDEST_BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.sensitivity import SensitivityTable
from solver.problem import Problem, Sizes
from solver.program import CHOICES, IntArray, Program, whole_costs

FOLDED = Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.WEIGHTS)
NOTHING: Sizes = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Choices:
    """What the exact program may choose from.

    Attributes:
        weights: the scheme of every weight tensor; per layer, 8 bits on both sides are folded where that pays.
        allowed_weight_bits: layer -> bits that its weights may have; every other layer may have all.
        allowed_activation_bits: tensor -> bits that it may have.
    """

    weights: WeightScheme = WeightScheme.PER_CHANNELS_ASYM_MIN_MAX
    allowed_weight_bits: Mapping[str, Collection[Bits]] = field(default_factory=dict)
    allowed_activation_bits: Mapping[str, Collection[Bits]] = field(default_factory=dict)


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
    problem: Problem, table: SensitivityTable, choices: Choices, arena_cuts: Collection[Mapping[str, Bits]] = ()
) -> Formulation:
    """The exact program of a problem.

    Args:
        problem: tensors, steps, weights, features.
        table: sensitivities of the tensors that have bits of their own, by name.
        choices: what is allowed.
        arena_cuts: sets of tensors with bits that no arena holds together: at least one must be narrower.
    """
    group_of = {name: group for group, name in enumerate(problem.activations)}
    weights_start = len(group_of)
    costs = [
        _costs(
            table.activations[name],
            (WIDEST_BITS,) if name in problem.fixed else choices.allowed_activation_bits.get(name, BITS),
        )
        for name in problem.activations
    ] + [
        _costs(table.weights[tensor.layer], choices.allowed_weight_bits.get(tensor.layer, BITS))
        for tensor in problem.weights
    ]
    whole, worth = whole_costs(np.array(costs))
    rows = _Rows()
    for step in problem.steps:
        rows.add(
            f"RAM at '{step.layer}'", step.limit, [(group_of[name], sizes) for name, sizes in step.tensors.items()]
        )
    for number, cut in enumerate(arena_cuts):
        entries = [(group_of[name], _at_least(bits)) for name, bits in cut.items()]
        rows.add(f"arena cut {number}", len(cut) - 1, entries)
    scheme = Scheme(choices.weights, Folding.ICN)
    flash = [
        (weights_start + index, _plus(tensor.sizes, tensor.parameters[scheme]))
        for index, tensor in enumerate(problem.weights)
    ]
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
        for index, tensor in enumerate(problem.weights):
            saved = tensor.parameters[scheme] - tensor.parameters[FOLDED]
            if saved <= 0:
                continue
            switch = switches.add(f"fold '{tensor.layer}'")
            flash.append((switch, (-saved, 0, 0)))
            for group in (weights_start + index, group_of[tensor.output]):
                rows.add_link(f"fold '{tensor.layer}' <- {group}", switch, (1, 0, 0), group, (0, 1, 1))
    rows.add("flash", problem.flash_limit, flash)
    names = (*problem.activations, *(tensor.layer for tensor in problem.weights), *switches.names)
    switch_costs = np.tile([0.0, 0.0, np.inf], (len(switches.names), 1))
    program = rows.program(names, np.concatenate((whole, switch_costs)), switches.groups)
    return Formulation(program, worth, len(problem.activations), len(problem.weights))


def allocation_of(
    problem: Problem,
    formulation: Formulation,
    weights: WeightScheme,
    same_bits: Mapping[str, str],
    choices: IntArray,
) -> Allocation:
    """The choices of the formulation's groups as an allocation; `same_bits` as the rule book has it."""
    chosen = [BITS[choice] for choice in choices.tolist()[: formulation.activations + formulation.weights]]
    own_bits = dict(zip(problem.activations, chosen, strict=False))
    weight_bits = {
        tensor.layer: bits for tensor, bits in zip(problem.weights, chosen[formulation.activations :], strict=True)
    }
    return Allocation(
        weight_bits=weight_bits,
        activation_bits={tensor: own_bits[own] for tensor, own in same_bits.items()},
        schemes={
            tensor.layer: scheme_under(
                weights,
                weight_bits[tensor.layer],
                own_bits[tensor.output],
                folding_pays=tensor.parameters[FOLDED] <= tensor.parameters[Scheme(weights, Folding.ICN)],
            )
            for tensor in problem.weights
        },
    )


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

    def add(self, name: str, limit: int, entries: list[tuple[int, Sizes]]) -> None:
        self._names.append(name)
        self._limits.append(limit)
        for group, sizes in entries:
            self._groups.append(group)
            self._sizes.append(sizes)
        self._starts.append(len(self._groups))

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
        )


def _costs(row: Mapping[Bits, float], allowed: Collection[Bits]) -> list[float]:
    return [row[bits] if bits in allowed else np.inf for bits in BITS]


def _only(bits: Bits) -> Sizes:
    widest, middle, narrowest = (int(each == bits) for each in BITS)
    return widest, middle, narrowest


def _at_least(bits: Bits) -> Sizes:
    widest, middle, narrowest = (int(each >= bits) for each in BITS)
    return widest, middle, narrowest


def _plus(sizes: Sizes, more: int) -> Sizes:
    widest, middle, narrowest = sizes
    return widest + more, middle + more, narrowest + more
