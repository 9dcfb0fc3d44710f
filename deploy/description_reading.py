"""Reading of an integer-only network from `network.json` and its arrays: the inverse of `deploy.description`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import Requantization
from deploy.description import FORMAT, MULTIPLIER_FORM, VERSIONS, Arrays
from deploy.description_ends import LARGEST_EXTENT, read_host_steps, read_inputs
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerFullyConnected,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
    IntegerTensor,
)
from deploy.shared_weights import layout_of
from deploy.thresholds import Thresholds
from deploy.weight_rows import unpack_weight_rows
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.errors import IntegerFileError
from network.json_reading.fields import Fields
from network.layers import Axis, Flattening, Padding, Shape
from network.names import shown
from network.network import MAX_LAYERS

Storing = dict[str, IntegerConvolution]
"""Name of each array of weights so far -> the first layer that reads it."""

_WEIGHTED: Final[Mapping[str, type[IntegerConvolution]]] = {
    kind.kind: kind for kind in (IntegerConvolution, IntegerFullyConnected)
}
"""Name of each kind of layers with weights -> its class."""

Choice = TypeVar("Choice", Bits, WeightScheme, Folding, Flattening, Axis)


def check_version(description: Fields) -> None:
    """Reject a `network.json` of a format or version that this program cannot read.

    Raises:
        IntegerFileError: if the format or the version is another one.
    """
    if description.string("format") != FORMAT:
        raise description.refused("format", f"the text '{FORMAT}'")
    if description.integer("version", least=0, most=2**31) not in VERSIONS:
        known = ", ".join(map(str, VERSIONS))
        raise description.refused("version", f"one of {known}, the versions that this program reads")


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
    storing: Storing = {}
    return IntegerNetwork(
        name=description.string("name"),
        inputs=read_inputs(description, tensors),
        tensors=tensors,
        layers=tuple(_layer(fields, arrays, storing) for fields in layers),
        outputs=description.strings("outputs"),
        host_steps=read_host_steps(description),
    )


def _tensor(fields: Fields) -> IntegerTensor:
    height, width, channels = fields.integers("shape", (3,), most=LARGEST_EXTENT)
    return IntegerTensor(
        name=fields.string("name"),
        shape=Shape(channels, height, width),
        bits=_choice(fields, "bits", fields.integer("bits", least=2, most=8), BITS),
        scale=fields.number("scale"),
        zero_point=fields.integer("zero_point", least=0, most=255),
    )


def _layer(fields: Fields, arrays: Arrays, storing: Storing) -> IntegerLayer:
    kind = fields.string("kind")
    if kind not in _READERS and kind not in _WEIGHTED:
        raise fields.refused("kind", f"one of {', '.join([*_WEIGHTED, *_READERS])}")
    common = {
        "name": fields.string("name"),
        "inputs": fields.strings("inputs"),
        "output": fields.string("output"),
        "requantization": _requantization(fields, arrays),
    }
    if kind in _WEIGHTED:
        return _convolution(_WEIGHTED[kind], fields, arrays, common, storing)
    return _READERS[kind](fields, arrays, common)


def _requantization(fields: Fields, arrays: Arrays) -> Requantization:
    if MULTIPLIER_FORM in fields:
        recorded = fields.child(MULTIPLIER_FORM)
        multiplier = _numbers(recorded, "multiplier", np.int32)
        shift = _numbers(recorded, "shift", np.int8)
    else:
        multiplier = _array(fields, "multiplier", arrays, np.int32)
        shift = _array(fields, "shift", arrays, np.int8)
    try:
        return Requantization(multiplier, shift)
    except ValueError as error:
        raise IntegerFileError(f"the requantization of {fields.owner} is invalid: {error}") from error


def _convolution(
    kind: type[IntegerConvolution], fields: Fields, arrays: Arrays, common: dict[str, Any], storing: Storing
) -> IntegerLayer:
    weights, scheme = fields.child("weights"), fields.child("scheme")
    bits = _choice(weights, "bits", weights.integer("bits", least=2, most=8), BITS)
    groups = fields.integer("groups", most=LARGEST_EXTENT)
    outputs, height, width, inputs = weights.integers("codes_shape", (4,), most=LARGEST_EXTENT)
    packed, array = _array(fields, "weights", arrays, np.uint8), weights.string("array")
    owner = storing.get(array)
    if owner is None:
        try:
            codes = unpack_weight_rows(packed, (outputs, height, width, inputs), groups, bits)
        except ValueError as error:
            raise IntegerFileError(f"{weights.owner} are invalid: {error}") from error
    elif layout_of(owner) == (kind.kind, (outputs, height, width, inputs), bits, groups):
        codes = owner.codes
    else:
        raise IntegerFileError(
            f"{weights.owner} are the array of layer '{shown(owner.name)}' too, with another kind, shape, number of "
            "bits or of groups; expected the same"
        )
    thresholds = _thresholds(fields, arrays)
    layer = kind(
        **common,
        codes=codes,
        weight_bits=bits,
        weight_zero_point=_array(fields, "weight_zero_point", arrays, np.int32),
        bias=(
            _array(fields, "bias", arrays, np.int32)
            if thresholds is None
            else _numbers(fields.child(MULTIPLIER_FORM), "bias", np.int32)
        ),
        scheme=Scheme(
            _choice(scheme, "weights", scheme.string("weights"), tuple(WeightScheme)),
            _choice(scheme, "folding", scheme.string("folding"), tuple(Folding)),
        ),
        weight_scale=np.array(fields.numbers("weight_scale"), dtype=np.float64),
        stride=_pair(fields, "stride"),
        padding=_padding(fields),
        dilation=_pair(fields, "dilation"),
        groups=groups,
        thresholds=thresholds,
        shares_weights_of=None if owner is None else owner.name,
    )
    storing.setdefault(array, layer)
    return layer


def _thresholds(fields: Fields, arrays: Arrays) -> Thresholds | None:
    if MULTIPLIER_FORM not in fields:
        return None
    return Thresholds(_array(fields, "thresholds", arrays, np.int32), _array(fields, "direction", arrays, np.int8))


def _add(_fields: Fields, _arrays: Arrays, common: dict[str, Any]) -> IntegerLayer:
    return IntegerAdd(**common)


def _concat(fields: Fields, _arrays: Arrays, common: dict[str, Any]) -> IntegerLayer:
    if "flattening" in fields:
        common["flattening"] = _choice(fields, "flattening", fields.string("flattening"), tuple(Flattening))
    if "axis" in fields:
        common["axis"] = _choice(fields, "axis", fields.string("axis"), tuple(Axis))
    return IntegerConcat(**common)


def _max_pool(fields: Fields, _arrays: Arrays, common: dict[str, Any]) -> IntegerLayer:
    return IntegerMaxPool(**common, **_window(fields))


def _average_pool(fields: Fields, _arrays: Arrays, common: dict[str, Any]) -> IntegerLayer:
    return IntegerAveragePool(
        **common,
        **_window(fields),
        count_includes_padding=fields.flag("count_includes_padding"),
        divisors=fields.integers("divisors", most=LARGEST_EXTENT),
    )


def _pad(fields: Fields, _arrays: Arrays, common: dict[str, Any]) -> IntegerLayer:
    return IntegerPad(
        **common,
        padding=_padding(fields),
        channels_before=fields.integer("channels_before", least=0, most=LARGEST_EXTENT),
        channels_after=fields.integer("channels_after", least=0, most=LARGEST_EXTENT),
    )


_READERS: Final[Mapping[str, Callable[[Fields, Arrays, dict[str, Any]], IntegerLayer]]] = {
    IntegerAdd.kind: _add,
    IntegerConcat.kind: _concat,
    IntegerMaxPool.kind: _max_pool,
    IntegerAveragePool.kind: _average_pool,
    IntegerPad.kind: _pad,
}


def _window(fields: Fields) -> dict[str, Any]:
    return {
        "kernel": _pair(fields, "kernel"),
        "stride": _pair(fields, "stride"),
        "padding": _padding(fields),
    }


def _padding(fields: Fields) -> Padding:
    return Padding(*fields.integers("padding", (4,), least=0, most=LARGEST_EXTENT))


def _pair(fields: Fields, key: str) -> tuple[int, int]:
    height, width = fields.integers(key, (2,), most=LARGEST_EXTENT)
    return height, width


def _array(fields: Fields, key: str, arrays: Arrays, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Return the array that a field of `network.json` refers to; reject an array whose element type is not the expected
    one.
    """
    reference = fields.child(key)
    name = reference.string("array")
    if name not in arrays:
        raise IntegerFileError(
            f"{reference.owner} names the array '{shown(name)}', which the weights file lacks; expected the two "
            "files of one saved network"
        )
    if arrays[name].dtype != kind:
        raise IntegerFileError(
            f"the array '{shown(name)}' of the weights file has the type {arrays[name].dtype}; expected "
            f"{np.dtype(kind)}"
        )
    return arrays[name]


def _numbers(fields: Fields, key: str, kind: type[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """Return an array of integers that `network.json` holds as a JSON list, outside of the weights file."""
    limits = np.iinfo(kind)
    return np.array(fields.integers(key, least=int(limits.min), most=int(limits.max)), dtype=kind)


def _choice(fields: Fields, key: str, value: int | str, choices: tuple[Choice, ...]) -> Choice:
    if value not in choices:
        raise fields.refused(key, f"one of {', '.join(map(str, choices))}")
    return choices[choices.index(value)]
