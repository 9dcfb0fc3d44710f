"""Conversion of a question (network, budget, options) to an allocation problem with the sizes of every tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from network.allocation import BITS, WIDEST_BITS, Bits, Folding, Scheme, WeightScheme
from network.devices.latency import Latency, layer_cycles
from network.layers import WeightLayer
from network.memory.accounting import Accounting
from network.memory.measure import bytes_saved_in_place
from network.memory.report import Region
from network.memory.steps import Occupant, Step
from network.network import Network
from solver.options import Method
from solver.parameter_sizes import parameter_size
from solver.problem import (
    BITS_PER_BYTE,
    NOTHING,
    CodeFeature,
    Cycles,
    LayerCycles,
    Problem,
    RamStep,
    Sizes,
    WeightTensor,
    plus,
    sizes_of,
)
from solver.question import Question

_SCHEME_OF_RULE: Final[Mapping[Method, WeightScheme]] = {
    Method.MIXPL: WeightScheme.PER_LAYER_ASYM_PACT,
    Method.MIXPC: WeightScheme.PER_CHANNELS_ASYM_MIN_MAX,
}


def problem_of(question: Question) -> Problem:
    """Return the allocation problem of a question (network, budget, options), in the given order of the layers.

    Args:
        question: The network, the budget and the options.

    Raises:
        InvalidNetwork: If the network has no layer with weights.
        RequestError: If the speeds of the core lack a kernel of the network.
        ValueError: If the accounting counts parameters of a layer that are not a sum of one term by the bits of its
            input and one by the bits of its output.
    """
    network, budget, accounting = question.network, question.budget, question.accounting
    latency = question.latency
    same_bits = accounting.same_bits(network)
    always = accounting.always_shared(network)
    shared_ram = sum(each.size_bytes for each in always if each.region is Region.RAM)
    shared_flash = sum(each.size_bytes for each in always if each.region is Region.FLASH)
    weighted = network.weight_layers
    owners = network.weight_owners
    constant, by_tensor = _parameters_without_weights(question, same_bits)
    return Problem(
        activations=tuple(tensor for tensor, source in same_bits.items() if tensor == source),
        fixed=frozenset(same_bits[tensor] for tensor in (*network.input_names, *network.outputs)),
        steps=tuple(_ram_step(step, accounting, budget.ram_bytes - shared_ram) for step in accounting.steps(network)),
        weights=tuple(
            WeightTensor(
                layer.name,
                owners.of[layer.name],
                same_bits[layer.inputs[0]],
                same_bits[layer.output],
                _sizes(partial(accounting.weight_bytes, network, layer)),
                {
                    scheme: parameter_size(accounting, network, layer, scheme, is_last=layer is weighted[-1])
                    for scheme in _schemes_of(question, is_shared=owners.is_shared(layer.name))
                },
            )
            for layer in weighted
        ),
        flash_limit=BITS_PER_BYTE * (budget.flash_bytes - shared_flash) - constant,
        parameters=by_tensor,
        features=_features(question, Region.FLASH, same_bits),
        same_bits=same_bits,
        reuses_input=accounting.reuses_input,
        cycles=None if latency is None else _cycles(network, latency, same_bits),
        ram_features=_features(question, Region.RAM, same_bits),
    )


def _features(question: Question, region: Region, same_bits: Mapping[str, str]) -> tuple[CodeFeature, ...]:
    """Return the flash or RAM that is needed once if a tensor has certain bits; parts of one name are numbered."""
    features = [each for each in question.accounting.features(question.network) if each.shared.region is region]
    names = [each.shared.part for each in features]
    return tuple(
        CodeFeature(
            f"{name} {1 + names[:index].count(name)}" if names.count(name) > 1 else name,
            BITS_PER_BYTE * feature.shared.size_bytes,
            feature.weights,
            frozenset((same_bits[tensor], bits) for tensor, bits in feature.activations),
        )
        for index, (name, feature) in enumerate(zip(names, features, strict=True))
    )


def _schemes_of(question: Question, *, is_shared: bool) -> tuple[Scheme, ...]:
    """Return the quantization schemes that a layer's weights can have under the method that chooses bits.

    With weights quantized per channel, folding saves nothing, so ICN is used. Batch norm is not folded into weights
    that several layers share, because each layer has its own.

    Args:
        question: The network, the budget and the options.
        is_shared: Whether other layers read the same weights.
    """
    rule = _SCHEME_OF_RULE.get(question.method)
    found = []
    for weights in question.options.schemes if rule is None else (rule,):
        found.append(Scheme(weights, Folding.ICN))
        if not weights.is_per_channel and not is_shared:
            found.append(Scheme(weights, Folding.WEIGHTS))
    return tuple(found)


def _parameters_without_weights(question: Question, same_bits: Mapping[str, str]) -> tuple[int, dict[str, Sizes]]:
    """Return the parameter size of all layers without weights: the constant part, and the rest by tensor."""
    constant, by_tensor = 0, dict[str, Sizes]()
    for layer in question.network.layers:
        if isinstance(layer, WeightLayer):
            continue
        split = parameter_size(question.accounting, question.network, layer, None, is_last=False)
        constant += split.constant
        for tensor, sizes in ((layer.inputs[0], split.by_input), (layer.output, split.by_output)):
            if sizes != NOTHING:
                own = same_bits[tensor]
                by_tensor[own] = plus(by_tensor.get(own, NOTHING), sizes)
    return constant, by_tensor


def _cycles(network: Network, latency: Latency, same_bits: Mapping[str, str]) -> Cycles:
    """Return the cycles of each layer with weights, and the cycles that a latency ceiling leaves for them.

    Args:
        network: The network.
        latency: The latency ceiling.
        same_bits: Name of each activation tensor -> name of the tensor whose bits it has.
    """

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
    """Return a step of the schedule with the sizes of its tensors and its RAM limit.

    Args:
        step: The step of the schedule.
        accounting: The accounting that counts bytes.
        ram_bytes: The RAM budget in bytes, without the memory that the network always needs.
    """
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
    """Return the sizes in bits of an activation tensor at 8, 4 and 2 bits."""
    return _sizes(partial(accounting.activation_bytes, occupant))


def _sizes(size_bytes: Callable[[Bits], float]) -> Sizes:
    """Return the sizes in bits of a tensor at 8, 4 and 2 bits per element, from a function that returns bytes."""
    return sizes_of(lambda bits: int(BITS_PER_BYTE * size_bytes(bits)))
