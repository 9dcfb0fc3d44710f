"""The problem that every method solves: which tensors may get fewer bits, and what they take where.

Built once from a network, a budget and a rule book; the methods see no layer, no shape and no byte rule. Sizes are
whole numbers of bits (the paper's book keeps fractions of a byte), for 8, 4 and 2 bits in that order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from network.allocation import BITS, WIDEST_BITS, Bits, Folding, Scheme, WeightScheme
from network.devices.latency import Latency, layer_cycles
from network.layers import Layer, WeightLayer
from network.memory.accounting import Accounting, LayerBits
from network.memory.measure import bytes_saved_in_place
from network.memory.report import Region
from network.memory.steps import Occupant, Step
from network.network import Network
from solver.question import Question

BITS_PER_BYTE: Final = 8
CHOICE_OF_BITS: Final[Mapping[Bits, int]] = {bits: choice for choice, bits in enumerate(BITS)}

SCHEMES: Final = tuple(
    Scheme(weights, folding)
    for weights in WeightScheme
    for folding in Folding
    if folding is Folding.ICN or not weights.is_per_channel
)
"""What a layer can be given: channels with factors of their own gain nothing by folding."""

Sizes = tuple[int, int, int]
"""In bits, at 8, 4 and 2 bits."""

NOTHING: Final[Sizes] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class ParameterSize:
    """Size of a layer's parameters, as a sum of terms that depend on the bits of one activation tensor each.

    Attributes:
        constant: The term that depends on no bits.
        by_input: The term of the layer's first input tensor, 0 at 8 bits.
        by_output: The term of the layer's output tensor, 0 at 8 bits.
    """

    constant: int
    by_input: Sizes = NOTHING
    by_output: Sizes = NOTHING

    def total(self, input_bits: Bits, output_bits: Bits) -> int:
        """Return the size in bits."""
        return self.constant + self.by_input[CHOICE_OF_BITS[input_bits]] + self.by_output[CHOICE_OF_BITS[output_bits]]


@dataclass(frozen=True, slots=True)
class WeightTensor:
    """A weight tensor whose bits are to be chosen.

    Attributes:
        layer: Name of the layer that reads it.
        input: Name of the activation tensor that the layer reads.
        output: Name of the activation tensor that the layer writes.
        sizes: Size of the packed weights.
        parameters: Scheme -> size of the layer's parameters.
    """

    layer: str
    input: str
    output: str
    sizes: Sizes
    parameters: Mapping[Scheme, ParameterSize]


@dataclass(frozen=True, slots=True)
class RamStep:
    """A step of the schedule.

    Attributes:
        layer: the layer that runs.
        output: the tensor that it writes.
        tensors: what is alive, by name, the output included; each tensor once.
        limit: what they may take in all: the budget less what the step and the network take beside.
        own: what the layer itself reads and writes; the other tensors wait.
        overwrites: what the output lies on where both have the same bits. In one order it is one tensor at most; in the
            program of all orders, each that some order would choose.
        saved: what the step then takes less, by those bits.
        candidates: what the output could lie on, were this layer its last reader, in the layer's order.
    """

    layer: str
    output: str
    tensors: Mapping[str, Sizes]
    limit: int
    own: tuple[str, ...]
    overwrites: tuple[str, ...] = ()
    saved: Sizes = NOTHING
    candidates: tuple[str, ...] = ()

    def taken(self, activation_bits: Mapping[str, Bits]) -> int:
        """What the tensors take under these bits."""
        taken = sum(sizes[CHOICE_OF_BITS[activation_bits[tensor]]] for tensor, sizes in self.tensors.items())
        bits = activation_bits[self.output]
        in_place = sum(activation_bits[tensor] == bits for tensor in self.overwrites)
        return taken - in_place * self.saved[CHOICE_OF_BITS[bits]]


@dataclass(frozen=True, slots=True)
class CodeFeature:
    """Flash that is taken once, if any of its askers has these bits.

    Attributes:
        part: what it is.
        size: in bits.
        bits: at which askers ask.
        layers: askers by their weight tensor.
        tensors: askers among activation tensors.
    """

    part: str
    size: int
    bits: Bits
    layers: frozenset[str]
    tensors: frozenset[str]


@dataclass(frozen=True, slots=True)
class LayerCycles:
    """Cycles of a layer with weights.

    Attributes:
        layer: the layer, by its weight tensor.
        tensor: what it reads.
        cycles: by the bits of what it reads, then of its weights.
    """

    layer: str
    tensor: str
    cycles: tuple[Sizes, Sizes, Sizes]


@dataclass(frozen=True, slots=True)
class Cycles:
    """What a latency ceiling leaves.

    Attributes:
        limit: what the layers may take: the ceiling less the cycles of layers without weights.
        layers: those with weights, in layer order.
    """

    limit: int
    layers: tuple[LayerCycles, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Bits to choose under a budget.

    Attributes:
        activations: the tensors that have bits of their own, in the order in which they are written, the input first.
        fixed: those of them that keep 8 bits: the network's input and its outputs.
        steps: what takes RAM when.
        weights: in layer order.
        flash_limit: What weights, parameters that depend on bits, and features may take: the budget less what is
            always taken.
        parameters: Activation tensor -> size of the parameters of layers without weights that depend on its bits.
        features: what is taken once where bits ask for it.
        same_bits: every tensor of the network -> the one of `activations` whose bits it has.
        keeps_input: the network's input, the first of the activations, lives to the end in every order.
        cycles: of the layers, where they have a ceiling.
    """

    activations: tuple[str, ...]
    fixed: frozenset[str]
    steps: tuple[RamStep, ...]
    weights: tuple[WeightTensor, ...]
    flash_limit: int
    parameters: Mapping[str, Sizes]
    features: tuple[CodeFeature, ...]
    same_bits: Mapping[str, str]
    keeps_input: bool = False
    cycles: Cycles | None = None

    @property
    def has_steps_in_place(self) -> bool:
        """Whether more bits can take less: an output that lies on its input does so only at the same bits."""
        return any(step.overwrites for step in self.steps)

    @property
    def has_candidates(self) -> bool:
        """Whether an output lies on its input in some order."""
        return any(step.candidates for step in self.steps)


def problem_of(question: Question) -> Problem:
    """Build the problem of a question: of its network in the given order, its budget, rule book and latency ceiling.

    Raises:
        InvalidNetwork: the network has no layer with weights.
        RequestError: the core's speeds lack a kernel of the network.
    """
    network, budget, accounting = question.network, question.budget, question.accounting
    latency = question.latency
    same_bits = accounting.same_bits(network)
    always = accounting.always_shared(network)
    shared_ram = sum(each.size_bytes for each in always if each.region is Region.RAM)
    shared_flash = sum(each.size_bytes for each in always if each.region is Region.FLASH)
    weighted = network.weight_layers
    constant, by_tensor = _parameters_without_weights(question, same_bits)
    return Problem(
        activations=tuple(tensor for tensor, source in same_bits.items() if tensor == source),
        fixed=frozenset(same_bits[tensor] for tensor in (network.input, *network.outputs)),
        steps=tuple(_ram_step(step, accounting, budget.ram_bytes - shared_ram) for step in accounting.steps(network)),
        weights=tuple(
            WeightTensor(
                layer.name,
                same_bits[layer.inputs[0]],
                same_bits[layer.output],
                _sizes(partial(accounting.weight_bytes, network, layer)),
                {scheme: _parameter_size(question, layer, scheme, is_last=layer is weighted[-1]) for scheme in SCHEMES},
            )
            for layer in weighted
        ),
        flash_limit=BITS_PER_BYTE * (budget.flash_bytes - shared_flash) - constant,
        parameters=by_tensor,
        features=tuple(
            CodeFeature(
                feature.shared.part,
                BITS_PER_BYTE * feature.shared.size_bytes,
                feature.bits,
                frozenset(feature.layers),
                frozenset(same_bits[tensor] for tensor in feature.tensors),
            )
            for feature in accounting.features(network)
        ),
        same_bits=same_bits,
        keeps_input=not accounting.reuses_input,
        cycles=None if latency is None else _cycles(network, latency, same_bits),
    )


def _parameter_size(question: Question, layer: Layer, scheme: Scheme | None, *, is_last: bool) -> ParameterSize:
    """Split the size of a layer's parameters into its terms.

    Raises:
        ValueError: If the rule book counts parameters that are not a sum of such terms: the exact program has none
            other.
    """

    def size(input_bits: Bits, output_bits: Bits) -> int:
        bits = LayerBits(input_bits, output_bits)
        taken_bytes = question.accounting.parameter_bytes(question.network, layer, scheme, bits, is_last=is_last)
        return BITS_PER_BYTE * taken_bytes

    constant = size(WIDEST_BITS, WIDEST_BITS)
    by_input = _sizes_of(lambda bits: size(bits, WIDEST_BITS) - constant)
    by_output = _sizes_of(lambda bits: size(WIDEST_BITS, bits) - constant)
    split = ParameterSize(constant, by_input, by_output)
    if any(size(read, written) != split.total(read, written) for read in BITS for written in BITS):
        raise ValueError(
            f"the parameters of layer '{layer.name}' do not split into terms of its input's and its output's bits"
        )
    return split


def _parameters_without_weights(question: Question, same_bits: Mapping[str, str]) -> tuple[int, dict[str, Sizes]]:
    """Return the size of the parameters of layers without weights: the constant part, and the rest by tensor."""
    constant, by_tensor = 0, dict[str, Sizes]()
    for layer in question.network.layers:
        if isinstance(layer, WeightLayer):
            continue
        split = _parameter_size(question, layer, None, is_last=False)
        constant += split.constant
        for tensor, sizes in ((layer.inputs[0], split.by_input), (layer.output, split.by_output)):
            if sizes != NOTHING:
                own = same_bits[tensor]
                by_tensor[own] = plus(by_tensor.get(own, NOTHING), sizes)
    return constant, by_tensor


def plus(sizes: Sizes, more: Sizes) -> Sizes:
    """Add sizes at 8, 4 and 2 bits."""
    return sizes[0] + more[0], sizes[1] + more[1], sizes[2] + more[2]


def _cycles(network: Network, latency: Latency, same_bits: Mapping[str, str]) -> Cycles:
    def table(layer: WeightLayer) -> tuple[Sizes, Sizes, Sizes]:
        def of(input_bits: Bits) -> Sizes:
            wide, middle, narrow = (layer_cycles(network, layer, input_bits, bits, latency.speed) for bits in BITS)
            return wide, middle, narrow

        return of(8), of(4), of(2)

    others = sum(
        layer_cycles(network, layer, WIDEST_BITS, None, latency.speed)
        for layer in network.layers
        if not isinstance(layer, WeightLayer)
    )
    return Cycles(
        latency.most_cycles - others,
        tuple(LayerCycles(layer.name, same_bits[layer.inputs[0]], table(layer)) for layer in network.weight_layers),
    )


def _ram_step(step: Step, accounting: Accounting, ram_bytes: int) -> RamStep:
    return RamStep(
        layer=step.layer,
        output=step.output.tensor,
        tensors={each.tensor: _occupant_sizes(each, accounting) for each in step.live},
        limit=BITS_PER_BYTE * (ram_bytes - step.scratch_bytes),
        own=tuple(dict.fromkeys(each.tensor for each in (*step.inputs, step.output))),
        overwrites=() if step.overwrites is None else (step.overwrites,),
        saved=_sizes(partial(bytes_saved_in_place, step, accounting)),
        candidates=() if step.in_place is None else step.in_place.candidates,
    )


def _occupant_sizes(occupant: Occupant, accounting: Accounting) -> Sizes:
    return _sizes(partial(accounting.activation_bytes, occupant))


def _sizes(size_bytes: Callable[[Bits], float]) -> Sizes:
    return _sizes_of(lambda bits: int(BITS_PER_BYTE * size_bytes(bits)))


def _sizes_of(size: Callable[[Bits], int]) -> Sizes:
    widest, middle, narrowest = (size(bits) for bits in BITS)
    return widest, middle, narrowest
