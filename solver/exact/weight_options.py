"""The choices of a weight tensor in the integer program: bits and scheme, with their sensitivity and bytes of flash.

Of the options with equal bits, those that cannot be in a better solution are left out: another option has neither a
larger sensitivity nor more bytes. The order of the others is by descending bits, then by preference of the schemes.

A folded option needs fewer bytes, because batch norm is in the weights. As in MixPL, it is possible with one range for
the whole layer and 8 bits, if the output of the layer has 8 bits too.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from network.allocation import WIDEST_BITS, Bits, Folding, Scheme, WeightScheme
from network.sensitivity.table import SensitivityTable
from solver.exact.choices import Choices
from solver.exact.shared_weights import shared_weight_bits
from solver.problem import CHOICE_OF_BITS, Problem, WeightTensor


@dataclass(frozen=True, slots=True)
class WeightOption:
    """One choice of a weight tensor: its bits and its scheme.

    Attributes:
        bits: Bits of the weights.
        scheme: Scheme of the weights, and the place into which batch norm is folded.
        cost: Sensitivity, summed over the layers that read the weights.
        size: Size in bits of the packed weights and of the parameters of these layers, as far as they do not depend on
            the bits of activation tensors.
    """

    bits: Bits
    scheme: Scheme
    cost: float
    size: int

    @property
    def is_folded(self) -> bool:
        """Whether batch norm is folded into the weights, so that the output of the layer must have 8 bits."""
        return self.scheme.folding is Folding.WEIGHTS


Options = tuple[tuple[WeightOption, ...], ...]
"""Options of each weight tensor, in the order of its choices."""


def all_options(
    problem: Problem, layers: tuple[int, ...], table: SensitivityTable, choices: Choices, *, may_fold: bool
) -> tuple[WeightOption, ...]:
    """Return all allowed options of a weight tensor, by descending bits, then by preference of the schemes.

    Args:
        problem: The allocation problem.
        layers: Indices in `problem.weights` of the layers that read the weight tensor.
        table: Sensitivities of all tensors.
        choices: The allowed schemes and bits.
        may_fold: Whether 8 bits are allowed for the output of the layer.
    """
    readers = [problem.weights[index] for index in layers]
    rows_of = {weights: table.weight_rows(weights) for weights in choices.schemes}
    found = []
    for bits in shared_weight_bits(choices, [reader.layer for reader in readers]):
        for weights, rows in rows_of.items():
            cost = sum([rows[reader.layer][bits] for reader in readers])
            icn, folded = Scheme(weights, Folding.ICN), Scheme(weights, Folding.WEIGHTS)
            found.append(WeightOption(bits, icn, cost, sum([_size(reader, bits, icn) for reader in readers])))
            if may_fold and bits == WIDEST_BITS and folded in readers[0].parameters:
                found.append(WeightOption(bits, folded, cost, _size(readers[0], bits, folded)))
    for reader in readers:
        _check_terms_by_bits(reader)
    return tuple(found)


def useful_options(options: tuple[WeightOption, ...]) -> tuple[WeightOption, ...]:
    """Return the options of a weight tensor without those that cannot be in a better solution.

    Args:
        options: All options, by bits, then in order of preference.
    """
    useful = []
    for _, same_bits in itertools.groupby(options, key=lambda option: option.bits):
        own = list(same_bits)
        useful += [
            option
            for index, option in enumerate(own)
            if not any(_replaces(other, option, is_first=place < index) for place, other in enumerate(own))
        ]
    return tuple(useful)


def scheme_under(tensor: WeightTensor, weights: WeightScheme, weight_bits: Bits, output_bits: Bits) -> Scheme:
    """Return the quantization scheme of a layer's weights, with the place into which its batch norm is folded.

    Batch norm is folded into weights that are quantized per layer if the weights and the output have 8 bits, as in
    MixPL, and if the folded layer is not larger. Every other layer uses ICN.

    Args:
        tensor: Weight tensor of the layer.
        weights: Scheme of the weights.
        weight_bits: Bits of the weights.
        output_bits: Bits of the layer's output tensor.
    """
    icn, folded = Scheme(weights, Folding.ICN), Scheme(weights, Folding.WEIGHTS)
    is_possible = folded in tensor.parameters and min(weight_bits, output_bits) == WIDEST_BITS
    return folded if is_possible and tensor.parameters[folded].constant <= tensor.parameters[icn].constant else icn


def _replaces(other: WeightOption, option: WeightOption, *, is_first: bool) -> bool:
    """Return whether another option with the same bits is at least as good as an option wherever that is possible.

    Args:
        other: The other option.
        option: The option.
        is_first: Whether the other option is preferred if both are equally good.
    """
    if other.cost > option.cost or other.size > option.size or (other.is_folded and not option.is_folded):
        return False
    is_better = (other.cost, other.size) != (option.cost, option.size) or other.is_folded != option.is_folded
    return is_better or is_first


def _size(tensor: WeightTensor, bits: Bits, scheme: Scheme) -> int:
    """Return the size in bits of a layer's packed weights and of the constant part of its parameters."""
    return tensor.sizes[CHOICE_OF_BITS[bits]] + tensor.parameters[scheme].constant


def _check_terms_by_bits(tensor: WeightTensor) -> None:
    """Reject parameters whose terms by the bits of activation tensors depend on the scheme of the weights.

    Raises:
        ValueError: If what a scheme or folding saves depends on the bits of the layer's input, or what a scheme saves
            on those of its output.
    """
    first, *others = tensor.parameters.items()
    for scheme, parameters in others:
        is_same_by_output = scheme.folding is Folding.WEIGHTS or parameters.by_output == first[1].by_output
        if parameters.by_input != first[1].by_input or not is_same_by_output:
            raise ValueError(
                f"the bytes that the scheme {scheme.weights} ({scheme.folding}) saves in layer '{tensor.layer}' depend "
                "on the bits of its input or output; the exact program supports only a constant"
            )
