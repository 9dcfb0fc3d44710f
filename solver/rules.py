"""MixPL and MixPC, the rules of arXiv 1905.13082 (section 5), and their widening from chains to graphs.

*Activations*, for the steps of the schedule, all tensors at 8 bits to begin with:

    repeat: walk the steps forward, walk them backward
      while the step's live tensors exceed the RAM budget:
        the tensor to cut: among those that may be cut, the one with the most bits;
          at equal bits the one with the most bytes; at equal bytes the step's output, else the one written last
        forward: it is the step's output? halve its bits, else leave the step undone
        backward: it is not? halve its bits, else leave the step undone
    until a walk changes nothing and leaves nothing undone

In a chain a step's live tensors are the layer's input and output, and this is the paper's rule. In a graph they are all
tensors alive during the step: a tensor that waits for a later layer is cut by the backward walk, like an input. The
network's input and outputs are never cut. At a step that does not fit, one of the two walks can cut: every two walks
cut something, or are the last.

*Weights*, all tensors at 8 bits to begin with, while packed weights and parameters exceed the flash budget:

    the candidates: the weight tensors above 2 bits
    among those with bytes > max(bytes of the candidates) - 5 % of the bytes of all weight tensors,
    halve the bits of the one closest to the input

All counts are whole numbers of bits, so that no rounding decides anything.
"""

from __future__ import annotations

from collections.abc import Callable

from network.allocation import NARROWEST_BITS, WIDEST_BITS, Bits, Folding, Scheme, WeightScheme, halved
from network.memory import Step
from solver.max_tree import MaxTree
from solver.problem import Problem
from solver.solution import Method

BITS_PER_BYTE = 8


def scheme_of(method: Method, weight_bits: Bits, output_bits: Bits) -> Scheme:
    """The scheme that a layer has under a method (design: MixPL is ICN once a side of the layer is below 8 bits)."""
    if method is Method.MIXPC:
        return Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
    narrow = min(weight_bits, output_bits) < WIDEST_BITS
    return Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN if narrow else Folding.WEIGHTS)


def narrowest_activations(problem: Problem) -> dict[str, Bits]:
    """Every tensor that may be cut at 2 bits."""
    return {name: WIDEST_BITS if name in problem.fixed else NARROWEST_BITS for name in problem.activations}


def cut_activations(problem: Problem) -> dict[str, Bits]:
    """Bits of every activation tensor by the walks above; the budget must be one that 2 bits everywhere keep."""
    bits: dict[str, Bits] = dict.fromkeys(problem.activations, WIDEST_BITS)
    budget = problem.budget.ram_bytes * BITS_PER_BYTE
    written = {name: index for index, name in enumerate(problem.activations)}
    steps = tuple(step for step in problem.steps if _exceeds(step, bits, budget))  # cutting never adds: the rest fits
    forward = True
    settled = False
    while not settled:
        settled = True
        for step in steps if forward else reversed(steps):
            while _exceeds(step, bits, budget):
                settled = False
                tensor = _tensor_to_cut(step, bits, problem.fixed, written)
                if (tensor == step.output.tensor) is not forward:
                    break
                bits[tensor] = halved(bits[tensor])
        forward = not forward
    return bits


def _exceeds(step: Step, bits: dict[str, Bits], budget: int) -> bool:
    return sum(each.elements * bits[each.tensor] for each in step.live) > budget


def _tensor_to_cut(step: Step, bits: dict[str, Bits], fixed: frozenset[str], written: dict[str, int]) -> str:
    candidates = (each for each in step.live if each.tensor not in fixed and bits[each.tensor] > NARROWEST_BITS)
    return max(
        candidates,
        key=lambda each: (
            bits[each.tensor],
            each.elements,
            each.tensor == step.output.tensor,
            written[each.tensor],
        ),
    ).tensor


def cut_weights(problem: Problem, method: Method, activation_bits: dict[str, Bits]) -> tuple[list[Bits], bool]:
    """Bits of every weight tensor by the rule above, and whether they fit (if not, all are at 2 bits)."""
    bits: list[Bits] = [WIDEST_BITS] * len(problem.weights)
    sizes = [tensor.elements * WIDEST_BITS for tensor in problem.weights]
    parameter_bits = _parameter_bits(problem, method, activation_bits)
    parameters = [parameter_bits(index, WIDEST_BITS) for index in range(len(sizes))]
    candidates = MaxTree(sizes)
    total_weights, total_parameters = sum(sizes), sum(parameters)
    while total_weights + total_parameters > problem.budget.flash_bytes * BITS_PER_BYTE:
        if candidates.largest == MaxTree.EMPTY:
            return bits, False
        # w > w_max - total / 20 in whole numbers; every candidate has bits, what has none is no candidate
        index = candidates.leftmost_at_least(max((20 * candidates.largest - total_weights) // 20 + 1, 1))
        bits[index] = halved(bits[index])
        size = problem.weights[index].elements * bits[index]
        total_weights += size - sizes[index]
        sizes[index] = size
        candidates.change(index, size if bits[index] > NARROWEST_BITS else MaxTree.EMPTY)
        parameter = parameter_bits(index, bits[index])
        total_parameters += parameter - parameters[index]
        parameters[index] = parameter
    return bits, True


def _parameter_bits(problem: Problem, method: Method, activation_bits: dict[str, Bits]) -> Callable[[int, Bits], int]:
    def parameter_bits(index: int, weight_bits: Bits) -> int:
        tensor = problem.weights[index]
        scheme = scheme_of(method, weight_bits, activation_bits[tensor.output])
        return problem.accounting.parameter_bytes(tensor.layer, scheme, is_last=tensor.is_last) * BITS_PER_BYTE

    return parameter_bits
