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
cut something, or are the last. Where an output lies on an input of the same bits the step takes that much less, and may
take more once one of the two is cut; the walks then go on.

*Weights*, all tensors at 8 bits to begin with, while packed weights and parameters exceed the flash budget:

    the candidates: the weight tensors above 2 bits
    among those with bytes > max(bytes of the candidates) - 5 % of the bytes of all weight tensors,
    halve the bits of the one closest to the input

All counts are whole numbers of bits, so that no rounding decides anything.
"""

from __future__ import annotations

from network.allocation import NARROWEST_BITS, WIDEST_BITS, Bits, Folding, Scheme, WeightScheme, halved
from solver.options import Method
from solver.problem import CHOICE_OF_BITS, CodeFeature, Problem, RamStep
from solver.rules.max_tree import MaxTree


def scheme_of(method: Method, weight_bits: Bits, output_bits: Bits) -> Scheme:
    """The scheme that a layer has under a method (design: MixPL is ICN once a side of the layer is below 8 bits)."""
    if method is Method.MIXPC:
        return Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
    narrow = min(weight_bits, output_bits) < WIDEST_BITS
    return Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN if narrow else Folding.WEIGHTS)


def narrowest_activations(problem: Problem) -> dict[str, Bits]:
    """Every tensor that may be cut at 2 bits."""
    return {name: WIDEST_BITS if name in problem.fixed else NARROWEST_BITS for name in problem.activations}


def cut_activations(problem: Problem, *, reserved: int = 0) -> dict[str, Bits]:
    """Bits of every activation tensor by the walks above.

    Args:
        problem: a step that exceeds its limit with 2 bits everywhere is left at them.
        reserved: bits of every limit that are held back.
    """
    bits: dict[str, Bits] = dict.fromkeys(problem.activations, WIDEST_BITS)
    written = {name: index for index, name in enumerate(problem.activations)}
    # Cutting never adds, unless it parts an output from the input of the same bits that it lay on.
    can_add = problem.has_steps_in_place
    steps = tuple(step for step in problem.steps if can_add or _exceeds(step, bits, reserved))
    forward = True
    settled = False
    while not settled:
        settled = True
        for step in steps if forward else reversed(steps):
            while _exceeds(step, bits, reserved):
                tensor = _tensor_to_cut(step, bits, problem.fixed, written)
                if tensor is None:
                    break
                settled = False
                if (tensor == step.output) is not forward:
                    break
                bits[tensor] = halved(bits[tensor])
        forward = not forward
    return bits


def _exceeds(step: RamStep, bits: dict[str, Bits], reserved: int) -> bool:
    return step.taken(bits) > step.limit - reserved


def _tensor_to_cut(step: RamStep, bits: dict[str, Bits], fixed: frozenset[str], written: dict[str, int]) -> str | None:
    return max(
        (tensor for tensor in step.tensors if tensor not in fixed and bits[tensor] > NARROWEST_BITS),
        default=None,
        key=lambda tensor: (
            bits[tensor],
            step.tensors[tensor][CHOICE_OF_BITS[bits[tensor]]],
            tensor == step.output,
            written[tensor],
        ),
    )


def cut_weights(problem: Problem, method: Method, activation_bits: dict[str, Bits]) -> tuple[list[Bits], bool]:
    """Bits of every weight tensor by the rule above, and whether they fit (if not, all are at 2 bits)."""
    flash = _Flash(problem, method, activation_bits)
    candidates = MaxTree(flash.sizes)
    while flash.total > problem.flash_limit:
        if candidates.largest == MaxTree.EMPTY:
            return flash.bits, False
        # w > w_max - total / 20 in whole numbers; every candidate has bits, what has none is no candidate
        threshold = max((20 * candidates.largest - flash.weights) // 20 + 1, 1)
        index = candidates.leftmost_at_least(threshold)
        flash.halve(index)
        candidates.change(index, flash.sizes[index] if flash.bits[index] > NARROWEST_BITS else MaxTree.EMPTY)
    return flash.bits, True


class _Flash:
    """What the weights take in all, kept up to date cut by cut."""

    def __init__(self, problem: Problem, method: Method, activation_bits: dict[str, Bits]) -> None:
        self._problem, self._method, self._activation_bits = problem, method, activation_bits
        self.bits: list[Bits] = [WIDEST_BITS] * len(problem.weights)
        self.sizes = [tensor.sizes[0] for tensor in problem.weights]
        self._parameters = [self._parameters_of(index) for index in range(len(self.bits))]
        self._features = {bits: tuple(f for f in problem.features if f.bits == bits) for bits in CHOICE_OF_BITS}
        self._askers = {
            feature.part: sum(tensor.layer in feature.layers for tensor in problem.weights)
            * (feature.bits == WIDEST_BITS)
            + sum(activation_bits[tensor] == feature.bits for tensor in feature.tensors)
            for feature in problem.features
        }
        self.weights = sum(self.sizes)
        asked_for = sum(feature.size for feature in problem.features if self._askers[feature.part])
        others = sum(sizes[CHOICE_OF_BITS[activation_bits[tensor]]] for tensor, sizes in problem.parameters.items())
        self.total = self.weights + sum(self._parameters) + others + asked_for

    def halve(self, index: int) -> None:
        tensor = self._problem.weights[index]
        self._ask(self._features[self.bits[index]], tensor.layer, -1)
        self.bits[index] = halved(self.bits[index])
        self._ask(self._features[self.bits[index]], tensor.layer, 1)
        size, parameters = tensor.sizes[CHOICE_OF_BITS[self.bits[index]]], self._parameters_of(index)
        self.weights += size - self.sizes[index]
        self.total += size - self.sizes[index] + parameters - self._parameters[index]
        self.sizes[index], self._parameters[index] = size, parameters

    def _ask(self, features: tuple[CodeFeature, ...], layer: str, more: int) -> None:
        for feature in features:
            if layer in feature.layers:
                before = self._askers[feature.part]
                self._askers[feature.part] += more
                self.total += feature.size * (bool(before + more) - bool(before))

    def _parameters_of(self, index: int) -> int:
        tensor = self._problem.weights[index]
        read, written = self._activation_bits[tensor.input], self._activation_bits[tensor.output]
        return tensor.parameters[scheme_of(self._method, self.bits[index], written)].total(read, written)
