"""Intervals that contain the values of activation tensors, and the choice of tensors that share one
quantization range.
"""

from __future__ import annotations

from collections.abc import Mapping

from network.allocation import Allocation, Bits, Folding
from network.errors import InvalidNetwork, RequestError
from network.layers import (
    LINEAR,
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    Concat,
    Layer,
    MaxPool,
    Pad,
    WeightLayer,
)
from network.network import Network


def intervals(network: Network) -> dict[str, ActivationFunction]:
    """Return, for each activation tensor of a network, an interval that contains all of its values, by tensor name.

    The interval follows from the activation function of the layer that writes the tensor and from the intervals of the
    layer's inputs. For example, the output of a pool after a ReLU has no negative values, so no codes are spent on
    them.
    """
    known = dict.fromkeys(network.input_names, LINEAR)
    for layer in network.layers:
        known[layer.output] = _interval(layer, tuple(known[tensor] for tensor in layer.inputs))
    return known


def shared_ranges(network: Network, bits: Mapping[str, Bits]) -> dict[str, str]:
    """Map each activation tensor to the tensor whose quantization range it uses: itself, or the input of the layer that
    writes it.

    A max pool and a pad copy codes from their input. If input and output have the same bits and the same interval, the
    output uses the input's range, so that no value is rounded a second time.

    Args:
        network: The network.
        bits: Number of bits (8, 4 or 2) of each activation tensor, by tensor name.
    """
    known = intervals(network)
    owner = {name: name for name in network.input_names}
    for layer in network.layers:
        owner[layer.output] = layer.output
        if isinstance(layer, MaxPool | Pad):
            (source,) = layer.inputs
            if bits[source] == bits[layer.output] and known[source] == known[layer.output]:
                owner[layer.output] = owner[source]
    return owner


def check_allocation(network: Network, allocation: Allocation) -> None:
    """Reject a bit allocation that lacks the bits or the quantization scheme of any tensor of the network, or has
    different ones for layers that share a weight tensor.

    Raises:
        RequestError: If an entry is missing, or if layers that share a weight tensor have different bits or schemes or
            fold batch norm into it. The message names the tensors or layers.
    """
    layers = [layer.name for layer in network.weight_layers]
    for what, names, decided in (
        ("activation_bits", network.tensors, allocation.activation_bits),
        ("weight_bits", layers, allocation.weight_bits),
        ("schemes", layers, allocation.schemes),
    ):
        missing = [name for name in names if name not in decided]
        if missing:
            raise RequestError(
                f"the bit allocation lacks the {what} of {', '.join(missing)[:200]}; expected {len(names)} "
                f"entries in {what}: add the missing ones"
            )
    for names in network.weight_owners.sharing.values():
        choices = {(allocation.weight_bits[name], allocation.schemes[name]) for name in names}
        if len(choices) > 1 or allocation.schemes[names[0]].folding is not Folding.ICN:
            raise RequestError(
                f"the layers {', '.join(map(repr, names[:5]))} share one weight tensor; expected the same bits and "
                "scheme for all of them, and batch norm that is not folded into the weights (ICN)"
            )


def _interval(layer: Layer, inputs: tuple[ActivationFunction, ...]) -> ActivationFunction:
    own = layer.activation
    match layer:
        case WeightLayer():
            return own
        case Add():
            low, high = sum(each.low for each in inputs), sum(each.high for each in inputs)
        case Concat():
            low, high = min(each.low for each in inputs), max(each.high for each in inputs)
        case MaxPool() | AveragePool() | Pad() | Activation():
            low, high = inputs[0].low, inputs[0].high
        case _:
            raise InvalidNetwork(
                f"layer '{layer.name}' is of kind '{layer.kind}', which training does not support; remove the "
                "layer or replace it by a supported kind (docs/operators.md)"
            )
    try:
        return ActivationFunction(max(low, own.low), min(high, own.high))
    except InvalidNetwork:
        return own  # the intersection is the single point 0: the tensor is 0 everywhere, any interval contains it
