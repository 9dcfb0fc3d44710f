"""The quantization schemes of the weights and the allowed bits of each tensor, from which the solver may choose."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from network.allocation import BITS, WEIGHT_SCHEMES, WIDEST_BITS, Bits, WeightScheme
from network.errors import RequestError
from network.names import shown
from network.network import Network


@dataclass(frozen=True, slots=True)
class Choices:
    """The quantization schemes that weight tensors may have, and the bits that each tensor of a network may have.

    Attributes:
        schemes: Schemes that each weight tensor may have, the preferred one first. With a scheme per layer, batch norm
            is folded into weights of 8 bits with an output of 8 bits, unless folding needs more bytes.
        allowed_weight_bits: Name of a layer -> bits that its weights may have; a layer that is not listed may have 8, 4
            and 2 bits.
        allowed_activation_bits: Name of an activation tensor -> bits that it may have; a tensor that is not listed may
            have 8, 4 and 2 bits. The network's inputs and outputs always have 8 bits.
    """

    schemes: tuple[WeightScheme, ...] = WEIGHT_SCHEMES
    allowed_weight_bits: Mapping[str, Collection[Bits]] = field(default_factory=dict)
    allowed_activation_bits: Mapping[str, Collection[Bits]] = field(default_factory=dict)

    @property
    def restricts_bits(self) -> bool:
        """Whether a user has listed the allowed bits of at least one tensor."""
        return bool(self.allowed_weight_bits or self.allowed_activation_bits)


def restricted_to(
    network: Network,
    *,
    weight_bits: Collection[Bits] = BITS,
    activation_bits: Collection[Bits] = BITS,
    schemes: tuple[WeightScheme, ...] = WEIGHT_SCHEMES,
) -> Choices:
    """Allow the same bits for all tensors of a network, e.g. only those for which a core has kernels.

    The network's inputs and outputs are not restricted; they always have 8 bits.

    Args:
        network: The network.
        weight_bits: Bits that each weight tensor may have.
        activation_bits: Bits that each activation tensor except the network's inputs and outputs may have.
        schemes: Schemes that each weight tensor may have, the preferred one first.
    """
    fixed = {*network.input_names, *network.outputs}
    return Choices(
        schemes,
        {layer.name: tuple(weight_bits) for layer in network.weight_layers},
        {tensor: tuple(activation_bits) for tensor in network.tensors if tensor not in fixed},
    )


def check_choices(choices: Choices, network: Network, same_bits: Mapping[str, str]) -> None:
    """Reject allowed bits that are invalid, or that contradict the network.

    Args:
        choices: The allowed schemes of the weights and the allowed bits to check.
        network: The network whose tensors the choices restrict.
        same_bits: Name of each activation tensor -> name of the tensor whose bits it must have, by the accounting.

    Raises:
        RequestError: If a layer or tensor is unknown, if a layer has no weights, if the list of bits is empty or has
            other bits than 8, 4 and 2, if 8 bits are not allowed for the network's input or an output, or if no bits
            are allowed for all of the tensors that must have the same bits, or for all of the layers that share a
            weight tensor.
    """
    layers = {layer.name for layer in network.weight_layers}
    for what, known, allowed in (
        ("layer with weights", layers, choices.allowed_weight_bits),
        ("activation tensor", set(network.tensors), choices.allowed_activation_bits),
    ):
        for name, bits in allowed.items():
            if name not in known:
                raise RequestError(
                    f"allowed bits are given for '{shown(str(name))}', but the network has no {what} of this name"
                )
            if not bits or any(type(each) is not int or each not in BITS for each in bits):
                raise RequestError(
                    f"the allowed bits of '{shown(name)}' are {list(bits)!r:.60}; expected one or more of 8, 4 and 2"
                )
    for tensor in (*network.input_names, *network.outputs):
        if WIDEST_BITS not in choices.allowed_activation_bits.get(tensor, BITS):
            raise RequestError(
                f"tensor '{shown(tensor)}' is an input or output of the network and keeps 8 bits; "
                "add 8 to its allowed bits"
            )
    fixed = {same_bits[tensor] for tensor in (*network.input_names, *network.outputs)}
    for own, bits in shared_activation_bits(choices, same_bits, fixed).items():
        if not bits:
            sharing = [tensor for tensor, source in same_bits.items() if source == own]
            raise RequestError(
                f"the tensors {' and '.join(repr(shown(tensor)) for tensor in sharing[:4])} must have the same bits, "
                "but no bits are allowed for all of them; allow the same bits for each of them"
            )
    for names in network.weight_owners.sharing.values():
        if not any(all(bits in choices.allowed_weight_bits.get(name, BITS) for name in names) for bits in BITS):
            raise RequestError(
                f"the layers {' and '.join(repr(shown(name)) for name in names[:4])} share one weight tensor, but no "
                "bits are allowed for all of them; allow the same bits for each of them, or name only one of them"
            )


def shared_activation_bits(
    choices: Choices, same_bits: Mapping[str, str], fixed: Collection[str]
) -> dict[str, tuple[Bits, ...]]:
    """Return the bits that are allowed for all activation tensors that must have the same bits, for each such set.

    One tensor of each set decides the bits, and the set is named after it.

    Args:
        choices: The allowed bits of single tensors.
        same_bits: Name of each activation tensor -> name of the tensor whose bits it must have; a tensor that decides
            bits is mapped to itself.
        fixed: Names of the tensors that decide bits and have 8.

    Returns:
        Name of each tensor that decides bits -> allowed bits, in descending order; may be empty.
    """
    allowed: dict[str, tuple[Bits, ...]] = {}
    for tensor, own in same_bits.items():
        before = allowed.get(own, (WIDEST_BITS,) if own in fixed else BITS)
        allowed[own] = tuple(bits for bits in before if bits in choices.allowed_activation_bits.get(tensor, BITS))
    return allowed
