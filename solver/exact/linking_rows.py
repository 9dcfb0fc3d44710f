"""The rows of the integer program that link choices of two groups: implications and exclusions."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from network.allocation import BITS, WIDEST_BITS, Bits
from solver.exact.program_builder import FORCED_ON, ProgramBuilder, any_of
from solver.exact.weight_options import Options
from solver.problem import CodeFeature, Problem


def add_implications(
    builder: ProgramBuilder,
    feature: CodeFeature,
    indicator: int,
    group_of: Mapping[str, int],
    layer_group: Mapping[str, int],
    bits_of: Mapping[int, tuple[Bits, ...]],
) -> None:
    """Add the bits of tensors that force the indicator variable of a feature ON.

    Args:
        builder: Builder of the program.
        feature: Code or stack that some bits need.
        indicator: The indicator variable of the feature.
        group_of: Name of an activation tensor -> its group.
        layer_group: Name of a layer -> group of its weight tensor.
        bits_of: Group of a weight tensor -> bits of its choices.
    """
    bits_of_group: dict[int, list[Bits]] = {}
    for layer, bits in sorted(feature.weights):
        bits_of_group.setdefault(layer_group[layer], []).append(bits)
    for tensor, bits in sorted(feature.activations):
        bits_of_group.setdefault(group_of[tensor], []).append(bits)
    for group, needing in bits_of_group.items():
        name = f"group {group} with {' or '.join(map(str, needing))} bits => {feature.name}"
        builder.add_implication(name, indicator, FORCED_ON, group, any_of(needing, bits_of.get(group, BITS)))


def add_exclusions(
    builder: ProgramBuilder,
    problem: Problem,
    options: Options,
    group_of: Mapping[str, int],
    allowed: Mapping[str, Collection[Bits]],
) -> None:
    """Add an exclusion for each layer that may fold batch norm: folded weights exclude an output of fewer than 8 bits.

    Args:
        builder: Builder of the program.
        problem: The allocation problem.
        options: Options of each weight tensor.
        group_of: Name of an activation tensor -> its group.
        allowed: Name of an activation tensor -> its allowed bits.
    """
    for own, (layer, *_), group in zip(
        options, problem.weight_tensors.values(), range(len(group_of), len(group_of) + len(options)), strict=True
    ):
        tensor = problem.weights[layer]
        is_folded = tuple(int(option.is_folded) for option in own)
        if not any(is_folded) or min(allowed[tensor.output]) == WIDEST_BITS:
            continue
        name = f"'{tensor.layer}' is folded => its output has 8 bits"
        builder.add_exclusion(name, group, is_folded, group_of[tensor.output], (0, 1, 1))
