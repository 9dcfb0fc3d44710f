"""From a description and its arrays back to the integer-only network: the inverse of `deploy.description`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import Requantization
from deploy.description import FORMAT, MULTIPLIER_FORM, VERSIONS, Arrays
from deploy.fields import Fields
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
from deploy.thresholds import Thresholds
from deploy.weight_packing import unpack_weights
from network.allocation import BITS, Bits, Folding, Scheme, WeightScheme
from network.errors import IntegerFileError
from network.layers import Padding, Shape
from network.network import MAX_LAYERS, InputFormat

LARGEST_EXTENT: Final = 2**24
"""Of anything that a layer counts by; `deploy.consistency` bounds their products."""

Choice = TypeVar("Choice", Bits, WeightScheme, Folding)


def check_version(description: Fields) -> None:
    """Nothing, if this program can read the description.

    Raises:
        IntegerFileError: another format, or another version of it.
    """
    if description.text("format") != FORMAT:
        description.refuse("format", f"'{FORMAT}'")
    if description.integer("version", 0, 2**31) not in VERSIONS:
        description.refuse("version", f"{' or '.join(map(str, VERSIONS))}, those that this program reads")


def read_description(description: Fields, arrays: Arrays) -> IntegerNetwork:
    """The network; its fields have the right types, but nobody has checked yet that they agree with each other.

    Raises:
        IntegerFileError: a field or an array is missing, or of another type, shape or range.
    """
    tensors = {tensor.name: tensor for tensor in map(_tensor, description.children("tensors"))}
    layers = description.children("layers")
    if len(layers) > MAX_LAYERS:
        raise IntegerFileError(f"{description.where} has {len(layers)} layers; at most {MAX_LAYERS} are taken")
    given = description.child("input")
    return IntegerNetwork(
        name=description.text("name"),
        input=given.text("tensor"),
        tensors=tensors,
        layers=tuple(_layer(fields, arrays) for fields in layers),
        outputs=description.texts("outputs"),
        input_format=InputFormat(
            dims=given.integers("sample_extents", 1, LARGEST_EXTENT),
            channels_last=given.flag("channels_last"),
            subtract=given.numbers("subtract"),
            multiply=given.numbers("multiply"),
        ),
    )


def _tensor(fields: Fields) -> IntegerTensor:
    height, width, channels = fields.integers("shape", 1, LARGEST_EXTENT, count=3)
    bits = _choice(fields, "bits", fields.integer("bits", 2, 8), BITS)
    return IntegerTensor(
        name=fields.text("name"),
        shape=Shape(channels, height, width),
        bits=bits,
        scale=fields.number("scale"),
        zero_point=fields.integer("zero_point", 0, 255),
    )


def _layer(fields: Fields, arrays: Arrays) -> IntegerLayer:
    kind = fields.text("kind")
    if kind not in _READERS:
        fields.refuse("kind", f"one of {', '.join(_READERS)}")
    what_all_have = {
        "name": fields.text("name"),
        "inputs": fields.texts("inputs"),
        "output": fields.text("output"),
        "requantization": _requantization(fields, arrays),
    }
    return _READERS[kind](fields, arrays, what_all_have)


def _requantization(fields: Fields, arrays: Arrays) -> Requantization:
    if fields.has(MULTIPLIER_FORM):
        recorded = fields.child(MULTIPLIER_FORM)
        multiplier = _numbers(recorded, "multiplier", np.int32)
        shift = _numbers(recorded, "shift", np.int8)
    else:
        multiplier = _array(fields, "multiplier", arrays, np.int32)
        shift = _array(fields, "shift", arrays, np.int8)
    try:
        return Requantization(multiplier, shift)
    except ValueError as error:
        raise IntegerFileError(f"the requantization of {fields.where}: {error}") from error


def _convolution(kind: type[IntegerConvolution]) -> Callable[[Fields, Arrays, dict[str, Any]], IntegerLayer]:
    def read(fields: Fields, arrays: Arrays, what_all_have: dict[str, Any]) -> IntegerLayer:
        weights, scheme = fields.child("weights"), fields.child("scheme")
        bits = _choice(weights, "bits", weights.integer("bits", 2, 8), BITS)
        groups = fields.integer("groups", 1, LARGEST_EXTENT)
        outputs, height, width, inputs = weights.integers("codes_shape", 1, LARGEST_EXTENT, count=4)
        packed = _array(fields, "weights", arrays, np.uint8)
        try:
            codes = unpack_weights(packed, (outputs, height, width, inputs), groups, bits)
        except ValueError as error:
            raise IntegerFileError(f"{weights.where}: {error}") from error
        thresholds = _thresholds(fields, arrays)
        return kind(
            **what_all_have,
            codes=codes,
            weight_bits=bits,
            weight_zero_point=_array(fields, "weight_zero_point", arrays, np.int32),
            bias=(
                _array(fields, "bias", arrays, np.int32)
                if thresholds is None
                else _numbers(fields.child(MULTIPLIER_FORM), "bias", np.int32)
            ),
            scheme=Scheme(
                _choice(scheme, "weights", scheme.text("weights"), tuple(WeightScheme)),
                _choice(scheme, "folding", scheme.text("folding"), tuple(Folding)),
            ),
            weight_scale=np.array(fields.numbers("weight_scale"), dtype=np.float64),
            stride=fields.pair("stride", 1, LARGEST_EXTENT),
            padding=_padding(fields),
            dilation=fields.pair("dilation", 1, LARGEST_EXTENT),
            groups=groups,
            thresholds=thresholds,
        )

    return read


def _thresholds(fields: Fields, arrays: Arrays) -> Thresholds | None:
    if not fields.has(MULTIPLIER_FORM):
        return None
    return Thresholds(_array(fields, "thresholds", arrays, np.int32), _array(fields, "direction", arrays, np.int8))


def _add(_fields: Fields, _arrays: Arrays, what_all_have: dict[str, Any]) -> IntegerLayer:
    return IntegerAdd(**what_all_have)


def _concat(_fields: Fields, _arrays: Arrays, what_all_have: dict[str, Any]) -> IntegerLayer:
    return IntegerConcat(**what_all_have)


def _max_pool(fields: Fields, _arrays: Arrays, what_all_have: dict[str, Any]) -> IntegerLayer:
    return IntegerMaxPool(**what_all_have, **_window(fields))


def _average_pool(fields: Fields, _arrays: Arrays, what_all_have: dict[str, Any]) -> IntegerLayer:
    return IntegerAveragePool(
        **what_all_have,
        **_window(fields),
        count_includes_padding=fields.flag("count_includes_padding"),
        divisors=fields.integers("divisors", 1, LARGEST_EXTENT),
    )


def _pad(fields: Fields, _arrays: Arrays, what_all_have: dict[str, Any]) -> IntegerLayer:
    return IntegerPad(
        **what_all_have,
        padding=_padding(fields),
        channels_before=fields.integer("channels_before", 0, LARGEST_EXTENT),
        channels_after=fields.integer("channels_after", 0, LARGEST_EXTENT),
    )


_READERS: Final[Mapping[str, Callable[[Fields, Arrays, dict[str, Any]], IntegerLayer]]] = {
    IntegerConvolution.kind: _convolution(IntegerConvolution),
    IntegerFullyConnected.kind: _convolution(IntegerFullyConnected),
    IntegerAdd.kind: _add,
    IntegerConcat.kind: _concat,
    IntegerMaxPool.kind: _max_pool,
    IntegerAveragePool.kind: _average_pool,
    IntegerPad.kind: _pad,
}


def _window(fields: Fields) -> dict[str, Any]:
    return {
        "kernel": fields.pair("kernel", 1, LARGEST_EXTENT),
        "stride": fields.pair("stride", 1, LARGEST_EXTENT),
        "padding": _padding(fields),
    }


def _padding(fields: Fields) -> Padding:
    return Padding(*fields.integers("padding", 0, LARGEST_EXTENT, count=4))


def _array(fields: Fields, what: str, arrays: Arrays, kind: type[np.generic]) -> npt.NDArray[Any]:
    name = fields.child(what).text("array")
    if name not in arrays:
        raise IntegerFileError(f"'{what}' of {fields.where} names the array '{name[:60]}', which the weights lack")
    if arrays[name].dtype != kind:
        raise IntegerFileError(f"array '{name}' must be {np.dtype(kind)}, is {arrays[name].dtype}")
    return arrays[name]


def _numbers(fields: Fields, name: str, kind: type[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """Integers that stand in the description itself."""
    ends = np.iinfo(kind)
    return np.array(fields.integers(name, int(ends.min), int(ends.max)), dtype=kind)


def _choice(fields: Fields, name: str, value: int | str, choices: tuple[Choice, ...]) -> Choice:
    if value not in choices:
        fields.refuse(name, f"one of {', '.join(map(str, choices))}")
    return choices[choices.index(value)]
