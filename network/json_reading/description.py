"""Reader and writer of the JSON description of a network; `docs/json-description.md` lists its keys.

    {"input": {"shape": [3, 32, 32]},
     "layers": [
        {"name": "conv", "kind": "convolution", "output_channels": 16, "kernel": 3, "padding": "same"},
        {"name": "pool", "kind": "average_pool", "kernel": "image"},
        {"name": "fc", "kind": "fully_connected", "output_channels": 10}]}

Weights are optional: the numbers of elements are enough to choose bits. This module checks the form of the description,
key by key. `Network` infers the shapes and rejects layers that contradict each other.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from network.errors import InvalidNetwork
from network.json_reading.fields import Fields, load_object
from network.json_reading.host_steps import read_host_graph, read_host_steps, read_ranges, write_host
from network.json_reading.layers import KINDS, Common, Json, Kind, read_activation, write_activation, write_weights
from network.layers import Layer, Shape, WeightLayer
from network.names import shown
from network.network import Network
from network.network_input import MAX_INPUTS, InputFormat, NetworkInput
from network.schedule_order import in_schedule_order
from network.shared_weights import with_given_weights

_MAX_GROWTH: Final = 4
"""Largest number of elements per byte of the file that layers read from the shared weights of other layers."""

_ALWAYS_ALLOWED: Final = 2**20
"""Number of these elements that is allowed whatever the size of the file."""

_INPUT_KEYS: Final = ("name", "shape", "format")
_COMMON_KEYS: Final = ("name", "kind", "inputs", "output", "activation")


def read_json(content: bytes, name: str) -> Network:
    """Read a network from its JSON description.

    Args:
        content: The bytes of the whole file.
        name: The name of the network if the description gives none.

    Raises:
        UnreadableFile: if the content is not valid JSON, is nested too deeply, gives a key twice or holds NaN.
        InvalidNetwork: if a field is missing, unknown or of a wrong type or range, or if the layers contradict each
            other. The message names the layer.
    """
    known = ("name", "input", "inputs", "layers", "outputs", "ends_in_softmax", "ranges", "host_steps", "host_graph")
    whole = Fields(load_object(content), "the network", known)
    inputs = _inputs(whole)
    entries = whole.raw("layers")
    if not isinstance(entries, list) or not entries:
        raise whole.refused("layers", "a list of one or more layers")
    drafts = _drafts(entries, inputs[0].name)
    return Network(
        name=whole.text("name", name),
        inputs=inputs,
        layers=with_given_weights(
            _layers(drafts, {each.name: each.shape for each in inputs}), _MAX_GROWTH * len(content) + _ALWAYS_ALLOWED
        ),
        outputs=whole.texts("outputs", (next(reversed(drafts.values()))[0].output,)),
        ends_in_softmax=whole.flag("ends_in_softmax", default=False),
        ranges=read_ranges(whole),
        host_steps=tuple(read_host_steps(whole)),
        host_graph=read_host_graph(whole),
    )


def write_json(network: Network, *, with_weights: bool) -> str:
    """Return the JSON description of a network; of the keys, only those of `write_host` may be left out, and
    `shared_weight` of a layer, if no other layer reads its weights.

    Args:
        network: The network to describe.
        with_weights: Whether the description includes weights, biases and batch norms.

    Returns:
        The text of the description. `read_json` turns it back into the same network; with weights, bit by bit.
    """
    inputs = [_written_input(each) for each in network.inputs]
    head: dict[str, Any] = {
        "name": network.name,
        **({"input": inputs[0]} if len(inputs) == 1 else {"inputs": inputs}),
        "outputs": list(network.outputs),
        "ends_in_softmax": network.ends_in_softmax,
    }
    head |= write_host(network, with_weights=with_weights)
    layers = ",\n  ".join(json.dumps(_written(layer, network, with_weights=with_weights)) for layer in network.layers)
    # One line for each layer keeps the file readable and easy to compare with another version.
    return json.dumps(head)[:-1] + f',\n "layers": [\n  {layers}]}}\n'


def _written_input(given: NetworkInput) -> Json:
    return {
        "name": given.name,
        "shape": list(given.shape),
        "format": {
            "dims": list(given.format.dims),
            "channels_last": given.format.channels_last,
            "subtract": list(given.format.subtract),
            "multiply": list(given.format.multiply),
        },
    }


def _written(layer: Layer, network: Network, *, with_weights: bool) -> Json:
    written = {
        "name": layer.name,
        "kind": layer.kind,
        "inputs": list(layer.inputs),
        "output": layer.output,
        "activation": write_activation(layer.activation),
        **KINDS[layer.kind].write(layer),
    }
    if not isinstance(layer, WeightLayer):
        return written
    if network.weight_owners.is_shared(layer.name):
        written["shared_weight"] = layer.shared_weight
    if not with_weights:
        return written
    # A shared weight tensor is written once, with its owner.
    return written | write_weights(layer if network.weight_owners.stores(layer.name) else replace(layer, weight=None))


def _inputs(whole: Fields) -> tuple[NetworkInput, ...]:
    """Read the inputs of a network: the object `input`, or the list `inputs` of such objects, each with its name."""
    if "inputs" not in whole:
        given = whole.child("input", _INPUT_KEYS)
        return (_input(given, given.text("name", "input")),)
    if "input" in whole:
        raise whole.refused("input", "either `input` or `inputs`")
    entries = whole.raw("inputs")
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_INPUTS:
        raise whole.refused("inputs", f"a list of 1 to {MAX_INPUTS} objects")
    children = [Fields(entry, f"inputs[{index}] of the network", _INPUT_KEYS) for index, entry in enumerate(entries)]
    inputs = tuple(_input(given, given.text("name")) for given in children)
    if len({each.name for each in inputs}) < len(inputs):
        raise whole.refused("inputs", "a different name for each input")
    return inputs


def _input(given: Fields, name: str) -> NetworkInput:
    shape = _input_shape(given)
    return NetworkInput(name, shape, _input_format(given, shape))


def _input_shape(given: Fields) -> Shape:
    """Read the shape of a network's input tensor: [channels], [channels, length] or [channels, height, width]."""
    extents = given.integers("shape", (1, 2, 3))
    return Shape(extents[0], 1, extents[1]) if len(extents) == 2 else Shape(*extents)


def _input_format(given: Fields, shape: Shape) -> InputFormat:
    if "format" not in given:
        return InputFormat(given.integers("shape", (1, 2, 3)))
    fields = given.child("format", ("dims", "channels_last", "subtract", "multiply"))
    dims = fields.integers("dims", (1, 2, 3))
    if math.prod(dims) != shape.elements:
        raise fields.refused("dims", f"extents whose product is the {shape.elements} elements of the shape {shape}")
    subtract, multiply = fields.numbers("subtract", (0.0,)), fields.numbers("multiply", (1.0,))
    for what, values in (("subtract", subtract), ("multiply", multiply)):
        if len(values) not in (1, shape.channels):
            raise fields.refused(what, f"one number, or one number for each of the {shape.channels} channels")
    return InputFormat(dims, fields.flag("channels_last", default=False), subtract, multiply)


_Draft = tuple[Layer, Kind, Fields]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Unread(Layer):
    """A layer of a JSON description that is not fully read: its name, inputs, output and activation function only."""

    kind: ClassVar[str] = "unread"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        raise self._mismatch(f"is not read completely, so its output shape for {len(inputs)} inputs is not known")


def _drafts(entries: list[Any], tensor: str) -> dict[str, _Draft]:
    """Return the layers of a JSON description by name, in the order of the file, with only their common fields read."""
    drafts: dict[str, _Draft] = {}
    previous = tensor
    for number, entry in enumerate(entries, start=1):
        owner = f"layer number {number}"
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            owner = f"layer '{shown(entry['name'])}'"
        # The kind of the layer decides which keys are allowed, so it is read first.
        kind = KINDS.get(Fields(entry, owner).text("kind"))
        if kind is None:
            raise Fields(entry, owner).refused("kind", f"one of {', '.join(KINDS)}")
        fields = Fields(entry, owner, (*_COMMON_KEYS, *kind.keys))
        name = fields.text("name")
        if name in drafts:
            raise InvalidNetwork(f"two layers are named '{shown(name)}' in the JSON description; rename one of them")
        inputs = fields.texts("inputs", (previous,))
        if not inputs:
            raise fields.refused("inputs", "a name or a list of names")
        output = fields.text("output", name)
        draft = _Unread(name=name, inputs=inputs, output=output, activation=read_activation(fields))
        drafts[name] = draft, kind, fields
        previous = draft.output
    return drafts


def _layers(drafts: dict[str, _Draft], given: dict[str, Shape]) -> tuple[Layer, ...]:
    """Build the layers of a JSON description in schedule order, so that each layer's input shapes are known.

    Args:
        drafts: The layers by name, with only their common fields read.
        given: Name of each input of the network -> its shape.
    """
    shapes = dict(given)
    layers = []
    for draft in in_schedule_order((draft for draft, _, _ in drafts.values()), given):
        _, kind, fields = drafts[draft.name]
        common = Common(name=draft.name, inputs=draft.inputs, output=draft.output, activation=draft.activation)
        inputs = tuple(shapes[each] for each in draft.inputs)
        layer = kind.read(fields, common, inputs)
        layers.append(layer)
        shapes[layer.output] = layer.output_shape(inputs)
    return tuple(layers)
