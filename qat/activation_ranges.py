"""Which range every activation tensor gets: its interval, and whose codes it may carry on unchanged."""

from __future__ import annotations

from collections.abc import Mapping

from network.allocation import Allocation, Bits
from network.errors import InvalidNetwork, RequestError
from network.layers import LINEAR, ActivationFunction, Add, Concat, Layer, MaxPool, Pad, WeightLayer
from network.network import Network


def intervals(network: Network) -> dict[str, ActivationFunction]:
    """The interval that every tensor's values lie in, by its layer's activation function and what the layer reads.

    A pool keeps the interval of its input, so that what follows a ReLU spends no codes on negative values.
    """
    known = {network.input: LINEAR}
    for layer in network.layers:
        known[layer.output] = _interval(layer, tuple(known[tensor] for tensor in layer.inputs))
    return known


def shared_ranges(network: Network, bits: Mapping[str, Bits]) -> dict[str, str]:
    """Every tensor -> the tensor whose range it has: itself, or the one whose codes it repeats.

    A max pool and a pad write codes that their input has already; with the same bits, and no narrower activation
    function, nothing is rounded a second time.
    """
    known = intervals(network)
    owner = {network.input: network.input}
    for layer in network.layers:
        owner[layer.output] = layer.output
        if isinstance(layer, MaxPool | Pad):
            (source,) = layer.inputs
            if bits[source] == bits[layer.output] and known[source] == known[layer.output]:
                owner[layer.output] = owner[source]
    return owner


def check_allocation(network: Network, allocation: Allocation) -> None:
    """Refuse an allocation that leaves a tensor undecided.

    Raises:
        RequestError: names what is missing.
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
                f"the allocation's {what} lacks {', '.join(missing)[:200]}; expected an entry for each of the "
                f"network's {len(names)}"
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
        case _:
            low, high = inputs[0].low, inputs[0].high
    try:
        return ActivationFunction(max(low, own.low), min(high, own.high))
    except InvalidNetwork:
        return own  # the tensor is zero everywhere; any interval around zero holds it
