"""Ends of a network before its own outputs: cutting of a read network, advice where to cut a file, and what is left."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from network.errors import RequestError
from network.layers import Layer, WeightLayer
from network.network import Network
from network.passes.fusing import read_inputs, remove_dead_layers
from network.reading_options import ReadingOptions, unknown_output

_LONGEST_NAME: Final = 200
"""Largest number of characters of a name in an advice; a shortened name would not be found."""

_COMPARED_ENDS: Final = 16
_SHOWN_ENDS: Final = 3


def cut_at(network: Network, options: ReadingOptions) -> Network:
    """Return a network that was read without options, ended at the tensors that the options name.

    Args:
        network: The network of a JSON description, whose shapes are all fixed.
        options: The options.

    Raises:
        RequestError: If the options give a shape of an input, or name a tensor that no layer writes.
    """
    if options.input_shapes:
        raise RequestError(
            "the option input_shape is given for a JSON description, which fixes every shape; expected an ONNX or "
            "TFLite file: change the shape in the description"
        )
    if not options.outputs:
        return network
    written = {layer.output: None for layer in network.layers}
    for name in options.outputs:
        if name not in written:
            raise unknown_output(name, written, network.outputs)
    layers = remove_dead_layers(network.layers, options.outputs)
    read = read_inputs(network.input_names, layers, options.outputs)
    kept = {*read, *(layer.output for layer in layers)}
    is_same_end = options.outputs == network.outputs
    return replace(
        network,
        inputs=tuple(each for each in network.inputs if each.name in read),
        layers=layers,
        outputs=options.outputs,
        ends_in_softmax=network.ends_in_softmax and is_same_end,
        ranges={tensor: interval for tensor, interval in network.ranges.items() if tensor in kept},
        host_steps=network.host_steps if is_same_end else (),
        host_graph=network.host_graph if is_same_end else None,
    )


def cut_advice(layers: Sequence[Layer], sources: Collection[str], *, obstructed: Collection[str] = ()) -> str:
    """Return a sentence that names the last tensors that can be read; empty if no layer with weights is before them.

    The tensor with the most layers before it comes first.

    Args:
        layers: Layers of a file that is refused, each after the layers that it reads.
        sources: Names of the tensors that no layer writes and that can be read: the inputs of the network.
        obstructed: Names of the tensors that depend on an operator that cannot be read.
    """
    writers: dict[str, Layer] = {}
    weighted: set[str] = set()
    for layer in layers:
        if layer.output not in obstructed and all(each in sources or each in writers for each in layer.inputs):
            writers[layer.output] = layer
            if isinstance(layer, WeightLayer) or not weighted.isdisjoint(layer.inputs):
                weighted.add(layer.output)
    weighted.difference_update(*(layer.inputs for layer in writers.values()))
    ends = [tensor for tensor in writers if tensor in weighted and len(tensor) <= _LONGEST_NAME]
    ends = sorted(ends[-_COMPARED_ENDS:], key=lambda tensor: _layers_before(writers, tensor), reverse=True)
    if not ends:
        return ""
    named = [f"'{tensor}'" for tensor in ends[:_SHOWN_ENDS]]
    others = f" (also {', '.join(named[1:])})" if len(named) > 1 else ""
    return f"The option output ends the network at the last tensors that can be read: --output {named[0]}{others}"


def _layers_before(writers: dict[str, Layer], tensor: str) -> int:
    """Return the number of layers on which a tensor depends."""
    seen, pending = {tensor}, [tensor]
    while pending:
        read = [each for each in writers[pending.pop()].inputs if each in writers and each not in seen]
        seen.update(read)
        pending.extend(read)
    return len(seen)


def has_weights_before(layers: Sequence[Layer], outputs: Collection[str]) -> bool:
    """Return whether a layer with weights is needed for one of the tensors at which a network ends.

    Args:
        layers: The layers, in schedule order.
        outputs: Names of the tensors.
    """
    needed = set(outputs)
    for layer in reversed(layers):
        if layer.output in needed:
            if isinstance(layer, WeightLayer):
                return True
            needed.update(layer.inputs)
    return False
