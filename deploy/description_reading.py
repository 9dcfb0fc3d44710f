"""Reading of an integer-only network from `network.json` and its arrays: the inverse of `deploy.description`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from deploy.description import FORMAT, VERSIONS
from deploy.description_ends import LARGEST_EXTENT, read_host_steps, read_inputs
from deploy.description_fields import FieldSource, choice_of, padding_of, pair_of, requantization_of
from deploy.description_weights import Arrays
from deploy.description_weights_reading import WEIGHTED, read_weight_layer
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
    IntegerTensor,
)
from network.allocation import BITS
from network.errors import IntegerFileError
from network.json_reading.fields import Fields
from network.layers import Axis, Flattening, Shape
from network.network import MAX_LAYERS


def check_version(description: Fields) -> int:
    """Return the version of a `network.json`; reject one of a format or version that this program cannot read.

    Raises:
        IntegerFileError: if the format or the version is another one.
    """
    if description.string("format") != FORMAT:
        raise description.refused("format", f"the text '{FORMAT}'")
    version = description.integer("version", least=0, most=2**31)
    if version not in VERSIONS:
        known = ", ".join(map(str, VERSIONS))
        raise description.refused("version", f"one of {known}, the versions that this program reads")
    return version


def read_description(description: Fields, arrays: Arrays) -> IntegerNetwork:
    """Return the integer-only network that the content of `network.json` and the arrays of the weights file describe.

    Args:
        description: The content of `network.json`.
        arrays: The arrays of `weights.safetensors`, by name.

    Returns:
        The network. Every field has the right type and range, but the fields are not yet checked against each other:
        that is the task of `deploy.consistency.check_consistency`.

    Raises:
        IntegerFileError: if a field or an array is missing, or has another type, shape or range.
    """
    tensors = {tensor.name: tensor for tensor in map(_tensor, description.children("tensors"))}
    layers = description.children("layers")
    if len(layers) > MAX_LAYERS:
        raise IntegerFileError(f"{description.owner} has {len(layers)} layers; expected at most {MAX_LAYERS}")
    source = FieldSource(arrays, tensors, check_version(description))
    return IntegerNetwork(
        name=description.string("name"),
        inputs=read_inputs(description, tensors),
        tensors=tensors,
        layers=tuple(_layer(fields, source) for fields in layers),
        outputs=description.strings("outputs"),
        host_steps=read_host_steps(description),
    )


def _tensor(fields: Fields) -> IntegerTensor:
    height, width, channels = fields.integers("shape", (3,), most=LARGEST_EXTENT)
    return IntegerTensor(
        name=fields.string("name"),
        shape=Shape(channels, height, width),
        bits=choice_of(fields, "bits", fields.integer("bits", least=2, most=8), BITS),
        scale=fields.number("scale"),
        zero_point=fields.integer("zero_point", least=0, most=255),
    )


def _layer(fields: Fields, source: FieldSource) -> IntegerLayer:
    kind = fields.string("kind")
    if kind not in _READERS and kind not in WEIGHTED:
        raise fields.refused("kind", f"one of {', '.join([*WEIGHTED, *_READERS])}")
    common: dict[str, Any] = {
        "name": fields.string("name"),
        "inputs": fields.strings("inputs"),
        "output": fields.string("output"),
    }
    if kind in WEIGHTED:
        return read_weight_layer(WEIGHTED[kind], fields, source, common)
    return _READERS[kind](fields, common | {"requantization": requantization_of(fields, source.arrays)})


def _add(_fields: Fields, common: dict[str, Any]) -> IntegerLayer:
    return IntegerAdd(**common)


def _concat(fields: Fields, common: dict[str, Any]) -> IntegerLayer:
    if "flattening" in fields:
        common["flattening"] = choice_of(fields, "flattening", fields.string("flattening"), tuple(Flattening))
    if "axis" in fields:
        common["axis"] = choice_of(fields, "axis", fields.string("axis"), tuple(Axis))
    return IntegerConcat(**common)


def _max_pool(fields: Fields, common: dict[str, Any]) -> IntegerLayer:
    return IntegerMaxPool(**common, **_window(fields))


def _average_pool(fields: Fields, common: dict[str, Any]) -> IntegerLayer:
    return IntegerAveragePool(
        **common,
        **_window(fields),
        count_includes_padding=fields.flag("count_includes_padding"),
        divisors=fields.integers("divisors", most=LARGEST_EXTENT),
    )


def _pad(fields: Fields, common: dict[str, Any]) -> IntegerLayer:
    return IntegerPad(
        **common,
        padding=padding_of(fields),
        channels_before=fields.integer("channels_before", least=0, most=LARGEST_EXTENT),
        channels_after=fields.integer("channels_after", least=0, most=LARGEST_EXTENT),
    )


_READERS: Final[Mapping[str, Callable[[Fields, dict[str, Any]], IntegerLayer]]] = {
    IntegerAdd.kind: _add,
    IntegerConcat.kind: _concat,
    IntegerMaxPool.kind: _max_pool,
    IntegerAveragePool.kind: _average_pool,
    IntegerPad.kind: _pad,
}


def _window(fields: Fields) -> dict[str, Any]:
    return {
        "kernel": pair_of(fields, "kernel"),
        "stride": pair_of(fields, "stride"),
        "padding": padding_of(fields),
    }
