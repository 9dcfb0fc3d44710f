"""What the exact program may choose from: the scheme of the weights, and the bits that single tensors may have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from network.allocation import BITS, DEFAULT_WEIGHT_SCHEME, WIDEST_BITS, Bits, WeightScheme
from network.errors import RequestError
from network.names import shown
from network.network import Network


@dataclass(frozen=True, slots=True)
class Choices:
    """What the exact program may choose from.

    Attributes:
        weights: the scheme of every weight tensor; per layer, 8 bits on both sides are folded where that pays.
        allowed_weight_bits: layer -> bits that its weights may have; every other layer may have all.
        allowed_activation_bits: tensor -> bits that it may have; the network's input and outputs have 8 anyway.
    """

    weights: WeightScheme = DEFAULT_WEIGHT_SCHEME
    allowed_weight_bits: Mapping[str, Collection[Bits]] = field(default_factory=dict)
    allowed_activation_bits: Mapping[str, Collection[Bits]] = field(default_factory=dict)

    @property
    def restricts_bits(self) -> bool:
        return bool(self.allowed_weight_bits or self.allowed_activation_bits)


def restricted_to(
    network: Network,
    *,
    weight_bits: Collection[Bits] = BITS,
    activation_bits: Collection[Bits] = BITS,
    weights: WeightScheme = DEFAULT_WEIGHT_SCHEME,
) -> Choices:
    """Every tensor of a network restricted to these bits, e.g. to those that a core has kernels for.

    The network's input and outputs keep 8 bits all the same.
    """
    fixed = {network.input, *network.outputs}
    return Choices(
        weights,
        {layer.name: tuple(weight_bits) for layer in network.weight_layers},
        {tensor: tuple(activation_bits) for tensor in network.tensors if tensor not in fixed},
    )


def check_choices(choices: Choices, network: Network, same_bits: Mapping[str, str]) -> None:
    """Refuse choices that no network, or not this one, can have.

    Args:
        choices: what is allowed.
        network: whose tensors they speak of.
        same_bits: every tensor -> the tensor whose bits it has, as the rule book has it.

    Raises:
        RequestError: an unknown layer or tensor, a layer without weights, no bits at all or others than 8, 4 and 2, the
            network's input or an output without 8, tensors that share their bits and have none in common.
    """
    layers = {layer.name for layer in network.weight_layers}
    for what, known, allowed in (
        ("layer with weights", layers, choices.allowed_weight_bits),
        ("tensor", set(network.tensors), choices.allowed_activation_bits),
    ):
        for name, bits in allowed.items():
            if name not in known:
                raise RequestError(f"bits are given for '{shown(str(name))}', but the network has no such {what}")
            if not bits or any(type(each) is not int or each not in BITS for each in bits):
                raise RequestError(f"'{shown(name)}' may have the bits {list(bits)!r:.60}; expected some of 8, 4 and 2")
    for tensor in (network.input, *network.outputs):
        if WIDEST_BITS not in choices.allowed_activation_bits.get(tensor, BITS):
            raise RequestError(f"'{shown(tensor)}' is an input or output of the network and keeps 8 bits; allow them")
    fixed = {same_bits[tensor] for tensor in (network.input, *network.outputs)}
    for own, bits in own_activation_bits(choices, same_bits, fixed).items():
        if not bits:
            sharing = [tensor for tensor, source in same_bits.items() if source == own]
            raise RequestError(
                f"{' and '.join(repr(shown(tensor)) for tensor in sharing[:4])} have the same bits in this accounting, "
                "but no bits are allowed for all of them"
            )


def own_activation_bits(
    choices: Choices, same_bits: Mapping[str, str], fixed: Collection[str]
) -> dict[str, tuple[Bits, ...]]:
    """The bits that each tensor with bits of its own may have: those that all tensors with its bits may have.

    Args:
        choices: what is allowed.
        same_bits: every tensor -> the tensor whose bits it has.
        fixed: the tensors, of those with bits of their own, that keep 8.
    """
    allowed: dict[str, tuple[Bits, ...]] = {}
    for tensor, own in same_bits.items():
        before = allowed.get(own, (WIDEST_BITS,) if own in fixed else BITS)
        allowed[own] = tuple(bits for bits in before if bits in choices.allowed_activation_bits.get(tensor, BITS))
    return allowed
