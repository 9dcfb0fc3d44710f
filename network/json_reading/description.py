"""A network as JSON, for people to write and for programs to exchange; `docs/json-description.md` has every key.

    {"input": {"shape": [3, 32, 32]},
     "layers": [
        {"name": "conv", "kind": "convolution", "output_channels": 16, "kernel": 3, "padding": "same"},
        {"name": "pool", "kind": "average_pool", "kernel": "image"},
        {"name": "fc", "kind": "fully_connected", "output_channels": 10}]}

Weights may be left out: element counts are enough to choose bits. `Network` infers the shapes and refuses what
contradicts itself; here the form is checked, key by key.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from network.errors import InvalidNetwork
from network.json_reading.fields import Fields, load_object, shown
from network.json_reading.layers import KINDS, Common, Json, Kind, read_activation, write_activation, write_weights
from network.layers import Layer, Shape, WeightLayer
from network.network import InputFormat, Network, in_schedule_order

_COMMON: Final = ("name", "kind", "inputs", "output", "activation")


def read_json(content: bytes, name: str) -> Network:
    """The network in the bytes of a JSON description.

    Args:
        content: the whole file.
        name: what reports call the network, where the description gives no name of its own.

    Raises:
        UnreadableFile: no JSON, or JSON that no network needs (nested too deep, a key twice, NaN).
        InvalidNetwork: a field missing, unknown or wrong, or a network that contradicts itself; names the layer.
    """
    whole = Fields(load_object(content), "the network", ("name", "input", "layers", "outputs", "ends_in_softmax"))
    given = Fields(whole.raw("input"), "the input", ("name", "shape", "format"))
    tensor = given.text("name", "input")
    shape = _input_shape(given)
    entries = whole.raw("layers")
    if not isinstance(entries, list) or not entries:
        raise whole.refused("layers", "a list of layers, at least one")
    drafts = _drafts(entries, tensor)
    return Network(
        name=whole.text("name", name),
        input=tensor,
        input_shape=shape,
        layers=_layers(drafts, tensor, shape),
        outputs=whole.texts("outputs", (next(reversed(drafts.values()))[0].output,)),
        input_format=_input_format(given, shape),
        ends_in_softmax=whole.flag("ends_in_softmax", default=False),
    )


def write_json(network: Network, *, with_weights: bool) -> str:
    """The description of a network, every key spelled out; `read_json` gives the same network back, weights exactly."""
    form = network.input_format
    head = {
        "name": network.name,
        "input": {
            "name": network.input,
            "shape": list(network.input_shape),
            "format": {
                "dims": list(form.dims),
                "channels_last": form.channels_last,
                "subtract": list(form.subtract),
                "multiply": list(form.multiply),
            },
        },
        "outputs": list(network.outputs),
        "ends_in_softmax": network.ends_in_softmax,
    }
    layers = ",\n  ".join(json.dumps(_written(layer, with_weights=with_weights)) for layer in network.layers)
    # One line for each layer: short enough to read, and to compare.
    return json.dumps(head)[:-1] + f',\n "layers": [\n  {layers}]}}\n'


def _written(layer: Layer, *, with_weights: bool) -> Json:
    written = {
        "name": layer.name,
        "kind": layer.kind,
        "inputs": list(layer.inputs),
        "output": layer.output,
        "activation": write_activation(layer.activation),
        **KINDS[layer.kind].write(layer),
    }
    return written | write_weights(layer) if with_weights and isinstance(layer, WeightLayer) else written


def _input_shape(given: Fields) -> Shape:
    """[channels], [channels, length] or [channels, height, width]."""
    extents = given.integers("shape", (1, 2, 3))
    return Shape(extents[0], 1, extents[1]) if len(extents) == 2 else Shape(*extents)


def _input_format(given: Fields, shape: Shape) -> InputFormat:
    if "format" not in given:
        return InputFormat(given.integers("shape", (1, 2, 3)))
    fields = Fields(given.raw("format"), "the input's format", ("dims", "channels_last", "subtract", "multiply"))
    dims = fields.integers("dims", (1, 2, 3))
    if math.prod(dims) != shape.elements:
        raise fields.refused("dims", f"extents of the {shape.elements} elements of {shape}")
    subtract, multiply = fields.numbers("subtract", (0.0,)), fields.numbers("multiply", (1.0,))
    for what, values in (("subtract", subtract), ("multiply", multiply)):
        if len(values) not in (1, shape.channels):
            raise fields.refused(what, f"one number, or one for each of {shape.channels} channels")
    return InputFormat(dims, fields.flag("channels_last", default=False), subtract, multiply)


_Draft = tuple[Layer, Kind, Fields]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Unread(Layer):
    """A layer of which only the common part is read yet: enough to find the order in which shapes can be known."""

    kind: ClassVar[str] = "unread"

    def output_shape(self, inputs: tuple[Shape, ...]) -> Shape:
        raise self._mismatch(f"is not read yet, so its shape behind {len(inputs)} inputs is not known")


def _drafts(entries: list[Any], tensor: str) -> dict[str, _Draft]:
    """By name, in the file's order: what every layer has, its kind, and its fields still to be read."""
    drafts: dict[str, _Draft] = {}
    previous = tensor
    for number, entry in enumerate(entries, start=1):
        owner = f"layer number {number}"
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            owner = f"layer '{shown(entry['name'])}'"
        # Which keys it may have is known only once its kind is.
        kind = KINDS.get(Fields(entry, owner, entry).text("kind"))
        if kind is None:
            raise Fields(entry, owner, entry).refused("kind", f"one of {', '.join(KINDS)}")
        fields = Fields(entry, owner, (*_COMMON, *kind.keys))
        name = fields.text("name")
        if name in drafts:
            raise InvalidNetwork(f"two layers are named '{shown(name)}'; names are unique")
        inputs = fields.texts("inputs", (previous,))
        if not inputs:
            raise fields.refused("inputs", "a name or a list of names")
        output = fields.text("output", name)
        draft = _Unread(name=name, inputs=inputs, output=output, activation=read_activation(fields))
        drafts[name] = draft, kind, fields
        previous = draft.output
    return drafts


def _layers(drafts: dict[str, _Draft], tensor: str, shape: Shape) -> tuple[Layer, ...]:
    """The layers in schedule order, each built when the shapes of its inputs are known."""
    shapes = {tensor: shape}
    layers = []
    for draft in in_schedule_order((draft for draft, _, _ in drafts.values()), [tensor]):
        _, kind, fields = drafts[draft.name]
        common = Common(name=draft.name, inputs=draft.inputs, output=draft.output, activation=draft.activation)
        inputs = tuple(shapes[each] for each in draft.inputs)
        layer = kind.read(fields, common, inputs)
        layers.append(layer)
        shapes[layer.output] = layer.output_shape(inputs)
    return tuple(layers)
