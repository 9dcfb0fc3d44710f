"""Fields of `network.json` that readers of several kinds of layers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import Requantization
from deploy.description_ends import LARGEST_EXTENT
from deploy.description_weights import MULTIPLIER_FORM, Arrays
from deploy.integer_network import IntegerConvolution, IntegerTensor
from network.allocation import Bits, Folding, WeightScheme
from network.errors import IntegerFileError
from network.json_reading.fields import Fields
from network.layers import Axis, Flattening, Padding
from network.names import shown

Choice = TypeVar("Choice", Bits, WeightScheme, Folding, Flattening, Axis)


@dataclass(frozen=True, slots=True)
class FieldSource:
    """What the fields of a layer refer to.

    Attributes:
        arrays: The arrays of the weights file, by name.
        tensors: The tensors of the network, by name.
        version: Version of network.json.
        storing: Name of each array of weights so far -> the first layer that reads it.
    """

    arrays: Arrays
    tensors: Mapping[str, IntegerTensor]
    version: int
    storing: dict[str, IntegerConvolution] = field(default_factory=dict)


def requantization_of(fields: Fields, arrays: Arrays) -> Requantization:
    """Return the multipliers and shifts of a layer that is not narrow."""
    if MULTIPLIER_FORM in fields:
        recorded = fields.child(MULTIPLIER_FORM)
        multiplier = numbers_of(recorded, "multiplier", np.int32)
        shift = numbers_of(recorded, "shift", np.int8)
    else:
        multiplier = array_of(fields, "multiplier", arrays, np.int32)
        shift = array_of(fields, "shift", arrays, np.int8)
    try:
        return Requantization(multiplier, shift)
    except ValueError as error:
        raise IntegerFileError(f"the requantization of {fields.owner} is invalid: {error}") from error


def padding_of(fields: Fields) -> Padding:
    """Return the field `padding`."""
    return Padding(*fields.integers("padding", (4,), least=0, most=LARGEST_EXTENT))


def pair_of(fields: Fields, key: str) -> tuple[int, int]:
    """Return a field of two extents, height and width."""
    height, width = fields.integers(key, (2,), most=LARGEST_EXTENT)
    return height, width


def array_of(fields: Fields, key: str, arrays: Arrays, kind: type[np.generic]) -> npt.NDArray[Any]:
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


def numbers_of(fields: Fields, key: str, kind: type[np.signedinteger[Any]]) -> npt.NDArray[Any]:
    """Return an array of integers that `network.json` holds as a JSON list, outside of the weights file."""
    limits = np.iinfo(kind)
    return np.array(fields.integers(key, least=int(limits.min), most=int(limits.max)), dtype=kind)


def choice_of(fields: Fields, key: str, value: int | str, choices: tuple[Choice, ...]) -> Choice:
    """Return the choice that a value of a field stands for; reject other values."""
    if value not in choices:
        raise fields.refused(key, f"one of {', '.join(map(str, choices))}")
    return choices[choices.index(value)]
