"""Reading of layers with weights from `network.json` and its arrays: the inverse of `deploy.description_weights`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import CodeArray, Requantization
from deploy.description_ends import LARGEST_EXTENT
from deploy.description_fields import (
    FieldSource,
    array_of,
    choice_of,
    numbers_of,
    padding_of,
    pair_of,
    requantization_of,
)
from deploy.description_weights import MULTIPLIER_FORM, NARROW_VERSION, Arrays, codes_of
from deploy.integer_network import IntegerConvolution, IntegerFullyConnected, IntegerLayer
from deploy.narrow_constants import (
    MAX_OFFSET_SHIFT,
    MAX_SHIFT,
    MIN_SHIFT,
    NarrowConstants,
    input_shift,
    values_of,
)
from deploy.shared_weights import layout_of
from deploy.thresholds import Thresholds
from network.allocation import BITS, Folding, Scheme, WeightScheme
from network.errors import IntegerFileError
from network.json_reading.fields import Fields
from network.names import shown

WEIGHTED: Final[Mapping[str, type[IntegerConvolution]]] = {
    kind.kind: kind for kind in (IntegerConvolution, IntegerFullyConnected)
}
"""Name of each kind of layers with weights -> its class."""


def read_weight_layer(
    kind: type[IntegerConvolution], fields: Fields, source: FieldSource, common: dict[str, Any]
) -> IntegerLayer:
    """Return the layer with weights that the fields of `network.json` describe.

    Args:
        kind: The class of the layer.
        fields: The fields of the layer.
        source: What the fields refer to; the layer is added to those that store weights.
        common: The arguments that every kind of layer has.

    Raises:
        IntegerFileError: if a field or an array is missing, or has another type, shape or range.
    """
    arrays, storing = source.arrays, source.storing
    weights, scheme = fields.child("weights"), fields.child("scheme")
    bits = choice_of(weights, "bits", weights.integer("bits", least=2, most=8), BITS)
    groups = fields.integer("groups", most=LARGEST_EXTENT)
    outputs, height, width, inputs = weights.integers("codes_shape", (4,), most=LARGEST_EXTENT)
    packed, array = array_of(fields, "weights", arrays, np.uint8), weights.string("array")
    owner = storing.get(array)
    if owner is None:
        try:
            codes = codes_of(packed, (outputs, height, width, inputs), groups, bits, source.version)
        except ValueError as error:
            raise IntegerFileError(f"{weights.owner} are invalid: {error}") from error
    elif layout_of(owner) == (kind.kind, (outputs, height, width, inputs), bits, groups):
        codes = owner.codes
    else:
        raise IntegerFileError(
            f"{weights.owner} are the array of layer '{shown(owner.name)}' too, with another kind, shape, number of "
            "bits or of groups; expected the same"
        )
    zero_point = array_of(fields, "weight_zero_point", arrays, np.int32)
    bias, requantization = _constants(fields, source, codes, zero_point)
    layer = kind(
        **common,
        codes=codes,
        weight_bits=bits,
        weight_zero_point=zero_point,
        bias=bias,
        requantization=requantization,
        scheme=Scheme(
            choice_of(scheme, "weights", scheme.string("weights"), tuple(WeightScheme)),
            choice_of(scheme, "folding", scheme.string("folding"), tuple(Folding)),
        ),
        weight_scale=np.array(fields.numbers("weight_scale"), dtype=np.float64),
        stride=pair_of(fields, "stride"),
        padding=padding_of(fields),
        dilation=pair_of(fields, "dilation"),
        groups=groups,
        thresholds=_thresholds(fields, arrays),
        shares_weights_of=None if owner is None else owner.name,
    )
    storing.setdefault(array, layer)
    return layer


def _constants(
    fields: Fields, source: FieldSource, codes: CodeArray, zero_point: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], Requantization]:
    """Return the bias and the requantization of a layer with weights, narrow or wide or those of its thresholds."""
    arrays = source.arrays
    if "offset" not in fields or source.version < NARROW_VERSION:
        requantization = requantization_of(fields, arrays)
        if MULTIPLIER_FORM in fields:
            return numbers_of(fields.child(MULTIPLIER_FORM), "bias", np.int32), requantization
        return array_of(fields, "bias", arrays, np.int32), requantization
    inputs = fields.strings("inputs")
    if not inputs or inputs[0] not in source.tensors:
        raise fields.refused("inputs", "the name of a tensor of the network")
    given = source.tensors[inputs[0]]
    constants = NarrowConstants(
        array_of(fields, "multiplier", arrays, np.int16),
        array_of(fields, "offset", arrays, np.int16),
        fields.integer("shift", least=MIN_SHIFT, most=MAX_SHIFT),
        fields.integer("offset_shift", least=0, most=MAX_OFFSET_SHIFT),
        input_shift(given.bits),
    )
    try:
        return values_of(constants, codes, zero_point, given)
    except ValueError as error:
        raise IntegerFileError(f"the constants of {fields.owner} are invalid: {error}") from error


def _thresholds(fields: Fields, arrays: Arrays) -> Thresholds | None:
    if MULTIPLIER_FORM not in fields:
        return None
    return Thresholds(array_of(fields, "thresholds", arrays, np.int32), array_of(fields, "direction", arrays, np.int8))
