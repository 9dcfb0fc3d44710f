"""The rules MixPL and MixPC of arXiv 1905.13082 (section 5), extended from chains to graphs of layers.

A *cut* halves the bits of a tensor. Activations: all tensors start with 8 bits.

    repeat a forward pass over the steps of the schedule, then a backward pass:
        for each step, while its live tensors exceed the RAM budget:
            candidate = of the live tensors that may be cut, the one with the most bits;
                        of several, the one with the most bytes;
                        of several, the output of the step, else the one written last
            forward:   cut the candidate if it is the output of the step, else go to the next step
            backward:  cut the candidate if it is not the output of the step, else go to the next step
    until a pass finds no candidate: no step exceeds the budget, or only steps without a tensor that may be cut

In a chain, the live tensors of a step are the input and the output of its layer, and this is the rule of the paper. In
a graph, tensors that wait for a later layer are alive too; the backward pass cuts them like inputs. Inputs and outputs
of the network are never cut. For each step that exceeds the budget, one of the two passes can cut, so each two passes
cut a tensor or are the last ones. A step in which the output overwrites an input of the same bits is smaller by one
tensor; a cut of one of the two can make the step larger, and the passes continue.

Weights: all tensors start with 8 bits.

    while packed weights and parameters exceed the flash budget:
        candidates = the weight tensors with more than 2 bits
        of the candidates with bytes > max(bytes of the candidates) - 5 % of the bytes of all weight tensors,
        cut the one closest to the input

A weight tensor that several layers share is one candidate, closest to the input where its first reader is.

All sizes are whole numbers of bits, so that no rounding can decide.
"""

from __future__ import annotations

from network.allocation import NARROWEST_BITS, WIDEST_BITS, Bits, Folding, Scheme, WeightScheme, halved
from solver.options import Method
from solver.problem import CHOICE_OF_BITS, CodeFeature, Problem, RamStep
from solver.rules.max_tree import MaxTree


def scheme_of(method: Method, weight_bits: Bits, output_bits: Bits, *, is_shared: bool = False) -> Scheme:
    """Return the quantization scheme of a layer's weights under MixPL or MixPC, the rules of arXiv 1905.13082.

    MixPC quantizes weights per channel and uses ICN. MixPL quantizes weights per layer; it folds batch norm into the
    weights if weights and output have 8 bits, and uses ICN otherwise.

    Args:
        method: MixPL or MixPC.
        weight_bits: Bits of the layer's weights.
        output_bits: Bits of the layer's output tensor.
        is_shared: Whether other layers read the same weights; batch norm is then not folded into them.
    """
    if method is Method.MIXPC:
        return Scheme(WeightScheme.PER_CHANNELS_ASYM_MIN_MAX, Folding.ICN)
    narrow = min(weight_bits, output_bits) < WIDEST_BITS
    return Scheme(WeightScheme.PER_LAYER_ASYM_PACT, Folding.ICN if narrow or is_shared else Folding.WEIGHTS)


def narrowest_activations(problem: Problem) -> dict[str, Bits]:
    """Return the bits of activation tensors if the network's inputs and outputs have 8 bits and all others 2."""
    return {name: WIDEST_BITS if name in problem.fixed else NARROWEST_BITS for name in problem.activations}


def cut_activations(problem: Problem, *, reserved: int = 0) -> dict[str, Bits]:
    """Return the bits of activation tensors by MixPL or MixPC: halve bits until each step keeps its RAM limit.

    The tensors of a step that exceeds its limit with 2 bits everywhere get 2 bits.

    Args:
        problem: The allocation problem.
        reserved: Size in bits that is subtracted from the limit of each step.
    """
    bits: dict[str, Bits] = dict.fromkeys(problem.activations, WIDEST_BITS)
    written = {name: index for index, name in enumerate(problem.activations)}
    # A cut makes a step larger only if an output then has other bits than the input that it overwrote. Without such
    # steps, a step that keeps its limit at 8 bits always keeps it.
    may_grow = problem.has_steps_in_place
    steps = tuple(step for step in problem.steps if may_grow or _exceeds(step, bits, reserved))
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
    """Return whether a step of the schedule needs more RAM than its limit minus a reserved size."""
    return step.size(bits) > step.limit - reserved


def _tensor_to_cut(step: RamStep, bits: dict[str, Bits], fixed: frozenset[str], written: dict[str, int]) -> str | None:
    """Return the live tensor whose bits MixPL or MixPC halves next; None if no live tensor may be halved.

    Args:
        step: The step of the schedule.
        bits: Name of each activation tensor -> its bits.
        fixed: Names of the tensors that are never cut.
        written: Name of each activation tensor -> its position in the order in which tensors are written.
    """
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
    """Return the bits of each layer's weights by MixPL or MixPC, and whether they fit the flash budget.

    If they do not fit, all bits are 2. A weight tensor that several layers share is one candidate.

    Args:
        problem: The allocation problem.
        method: MixPL or MixPC.
        activation_bits: Name of each activation tensor -> its bits.
    """
    flash = _Flash(problem, method, activation_bits)
    candidates = MaxTree(flash.tensor_sizes)
    while flash.total > problem.flash_limit:
        if candidates.largest == MaxTree.EMPTY:
            return flash.bits, False
        # size > largest - weights / 20, in whole numbers; a candidate has a size of at least 1.
        threshold = max((20 * candidates.largest - flash.weights) // 20 + 1, 1)
        index = candidates.leftmost_at_least(threshold)
        bits = flash.halve_tensor(index)
        candidates.change(index, flash.tensor_sizes[index] if bits > NARROWEST_BITS else MaxTree.EMPTY)
    return flash.bits, True


class _Flash:
    """Size of a network's flash while MixPL or MixPC halves the bits of weight tensors, updated after each cut.

    Attributes:
        bits: Bits of each layer's weights.
        sizes: Size in bits of each layer's weights.
        tensor_sizes: Size in bits of each weight tensor, summed over the layers that read it.
        weights: Summed size in bits of all weight tensors.
        total: Size in bits of the weights, parameters and features.
    """

    def __init__(self, problem: Problem, method: Method, activation_bits: dict[str, Bits]) -> None:
        self._problem, self._method, self._activation_bits = problem, method, activation_bits
        self.bits: list[Bits] = [WIDEST_BITS] * len(problem.weights)
        self.sizes = [tensor.sizes[0] for tensor in problem.weights]
        self._readers = tuple(problem.weight_tensors.values())
        self._is_shared = {index for indices in self._readers if len(indices) > 1 for index in indices}
        self._parameters = [self._parameters_of(index) for index in range(len(self.bits))]
        self._features: dict[tuple[str, Bits], list[CodeFeature]] = {}
        for feature in problem.features:
            for pair in feature.weights:
                self._features.setdefault(pair, []).append(feature)
        self._users = {
            feature.name: sum((tensor.layer, WIDEST_BITS) in feature.weights for tensor in problem.weights)
            + sum(activation_bits[tensor] == bits for tensor, bits in feature.activations)
            for feature in problem.features
        }
        self.tensor_sizes = [sum(self.sizes[index] for index in indices) for indices in self._readers]
        self.weights = sum(self.sizes)
        needed = sum(feature.size for feature in problem.features if self._users[feature.name])
        others = sum(sizes[CHOICE_OF_BITS[activation_bits[tensor]]] for tensor, sizes in problem.parameters.items())
        self.total = self.weights + sum(self._parameters) + others + needed

    def halve_tensor(self, tensor: int) -> Bits:
        """Halve the bits of a weight tensor for all layers that read it, and return the new bits."""
        indices = self._readers[tensor]
        for index in indices:
            self._halve(index)
        self.tensor_sizes[tensor] = sum(self.sizes[index] for index in indices)
        return self.bits[indices[0]]

    def _halve(self, index: int) -> None:
        """Halve the bits of a layer's weights, and update the size of the network's flash."""
        tensor = self._problem.weights[index]
        self._count_users(tensor.layer, self.bits[index], -1)
        self.bits[index] = halved(self.bits[index])
        self._count_users(tensor.layer, self.bits[index], 1)
        size, parameters = tensor.sizes[CHOICE_OF_BITS[self.bits[index]]], self._parameters_of(index)
        self.weights += size - self.sizes[index]
        self.total += size - self.sizes[index] + parameters - self._parameters[index]
        self.sizes[index], self._parameters[index] = size, parameters

    def _count_users(self, layer: str, bits: Bits, more: int) -> None:
        """Update how many tensors need code for certain bits, and the flash size if code is added or removed.

        Args:
            layer: Name of the layer whose weights now have, or no longer have, these bits.
            bits: The bits.
            more: 1 if they have them now, -1 if they no longer have them.
        """
        for feature in self._features.get((layer, bits), ()):
            before = self._users[feature.name]
            self._users[feature.name] += more
            self.total += feature.size * (bool(before + more) - bool(before))

    def _parameters_of(self, index: int) -> int:
        """Return the size in bits of a layer's parameters, given the index of its weight tensor."""
        tensor = self._problem.weights[index]
        read, written = self._activation_bits[tensor.input], self._activation_bits[tensor.output]
        scheme = scheme_of(self._method, self.bits[index], written, is_shared=index in self._is_shared)
        return tensor.parameters[scheme].total(read, written)
