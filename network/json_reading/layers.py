"""The layer kinds of a JSON description: the keys of each kind, and the functions that read and write it.

To add a kind, add a row to `KINDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypedDict

from network.errors import InvalidNetwork
from network.json_reading.fields import Fields, Missing
from network.json_reading.tensors import read_tensor, write_tensor
from network.kernels import LAYER_KINDS, require_rows
from network.layers import (
    LINEAR,
    RELU,
    RELU6,
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    Axis,
    BatchNorm,
    Concat,
    Convolution,
    Flattening,
    Float32Array,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Pool,
    Shape,
    WeightLayer,
)
from network.padding import same_padding

_ACTIVATIONS: Final = {"linear": LINEAR, "relu": RELU, "relu6": RELU6}
_NORM: Final = ("gamma", "beta", "mean", "variance")

Inputs = tuple[Shape, ...]
Json = dict[str, Any]


class Common(TypedDict):
    """Constructor arguments that all layer classes have in common."""

    name: str
    inputs: tuple[str, ...]
    output: str
    activation: ActivationFunction


@dataclass(frozen=True, slots=True)
class Kind:
    """JSON keys of one layer kind, with the functions that read and write such a layer.

    Attributes:
        keys: The keys that this kind has in addition to the keys of every layer.
        read: Function from the layer's fields, the arguments common to all layers and the input shapes to the layer.
        write: Function from the layer to the values of `keys`, without its weights (see `write_weights`).
    """

    keys: tuple[str, ...]
    read: Callable[[Fields, Common, Inputs], Layer]
    write: Callable[[Any], Json]


def read_activation(fields: Fields) -> ActivationFunction:
    """Read the activation function of a layer from its JSON description; the default is linear.

    Args:
        fields: The fields of the layer. Its key "activation" has the value "linear", "relu", "relu6", or an object of
            `low` and `high`; a missing bound is infinite.

    Raises:
        InvalidNetwork: if the value is none of these, or if zero is outside the interval from low to high.
    """
    value = fields.raw("activation", "linear")
    if isinstance(value, dict):
        bounds = fields.child("activation", ("low", "high"))
        low, high = bounds.number("low", -math.inf), bounds.number("high", math.inf)
        if not low <= 0 <= high or low == high:
            raise InvalidNetwork(f"{bounds.owner} has the interval [{low}, {high}]; expected low < high, with 0 inside")
        return ActivationFunction(low, high)
    if not isinstance(value, str) or value not in _ACTIVATIONS:
        raise fields.refused("activation", f"one of {', '.join(_ACTIVATIONS)}, or an object with low and high")
    return _ACTIVATIONS[value]


def write_activation(activation: ActivationFunction) -> str | Json:
    """Return the JSON value of an activation function; `read_activation` reads it back."""
    for name, known in _ACTIVATIONS.items():
        if activation == known:
            return name
    return {
        what: bound for what, bound in (("low", activation.low), ("high", activation.high)) if not math.isinf(bound)
    }


def write_weights(layer: WeightLayer) -> Json:
    """Return the JSON values of a layer's weights, bias and batch norm; those that the layer lacks are left out."""
    arrays = {"weight": layer.weight, "bias": layer.bias}
    written: Json = {key: write_tensor(array) for key, array in arrays.items() if array is not None}
    if layer.batch_norm is not None:
        norm = layer.batch_norm
        written["batch_norm"] = {what: write_tensor(getattr(norm, what)) for what in _NORM} | {"epsilon": norm.epsilon}
    return written


class _Parameters(TypedDict):
    weight: Float32Array | None
    shared_weight: str | None
    bias: Float32Array | None
    batch_norm: BatchNorm | None


def _parameters(fields: Fields) -> _Parameters:
    return {
        "weight": read_tensor(fields, "weight"),
        "shared_weight": fields.text("shared_weight") if "shared_weight" in fields else None,
        "bias": read_tensor(fields, "bias"),
        "batch_norm": _batch_norm(fields) if "batch_norm" in fields else None,
    }


def _batch_norm(fields: Fields) -> BatchNorm:
    norm = fields.child("batch_norm", (*_NORM, "epsilon"))
    gamma, beta, mean, variance = (read_tensor(norm, what) for what in _NORM)
    if gamma is None or beta is None or mean is None or variance is None:
        raise InvalidNetwork(f"{norm.owner} lacks one of the keys {', '.join(_NORM)}; give all of them")
    epsilon = norm.number("epsilon")
    if epsilon < 0 or (epsilon == 0 and (variance == 0).any()):
        raise norm.refused("epsilon", "a number of 0 or more for which every variance + epsilon is above 0")
    return BatchNorm(gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon)


def _read_convolution(fields: Fields, common: Common, inputs: Inputs) -> Layer:
    kernel, stride, dilation = fields.pair("kernel"), fields.pair("stride", 1), fields.pair("dilation", 1)
    if "depthwise" in fields and "groups" in fields:
        raise InvalidNetwork(f"{fields.owner} has both depthwise and groups; give only one of them")
    channels = inputs[0].channels
    is_depthwise = fields.flag("depthwise", default=False)
    return Convolution(
        **common,
        **_parameters(fields),
        output_channels=fields.integer("output_channels", channels if is_depthwise else Missing),
        kernel=kernel,
        stride=stride,
        padding=_read_padding(fields, inputs[0], kernel, stride, dilation),
        dilation=dilation,
        groups=channels if is_depthwise else fields.integer("groups", 1),
    )


def _write_convolution(layer: Convolution) -> Json:
    return {
        "output_channels": layer.output_channels,
        "kernel": list(layer.kernel),
        "stride": list(layer.stride),
        "padding": list(layer.padding),
        "dilation": list(layer.dilation),
        "groups": layer.groups,
    }


def _read_fully_connected(fields: Fields, common: Common, _: Inputs) -> Layer:
    return FullyConnected(**common, **_parameters(fields), output_channels=fields.integer("output_channels"))


def _write_fully_connected(layer: FullyConnected) -> Json:
    return {"output_channels": layer.output_channels}


def _read_max_pool(fields: Fields, common: Common, inputs: Inputs) -> Layer:
    kernel, stride, padding = _read_window(fields, inputs[0])
    return MaxPool(**common, kernel=kernel, stride=stride, padding=padding)


def _read_average_pool(fields: Fields, common: Common, inputs: Inputs) -> Layer:
    kernel, stride, padding = _read_window(fields, inputs[0])
    counts = fields.flag("count_includes_padding", default=False)
    return AveragePool(**common, kernel=kernel, stride=stride, padding=padding, count_includes_padding=counts)


def _read_window(fields: Fields, shape: Shape) -> tuple[tuple[int, int], tuple[int, int], Padding]:
    kernel = (shape.height, shape.width) if fields.raw("kernel") == "image" else fields.pair("kernel")
    stride = fields.pair("stride", 1)
    return kernel, stride, _read_padding(fields, shape, kernel, stride, (1, 1))


def _write_max_pool(layer: MaxPool) -> Json:
    return _write_window(layer)


def _write_average_pool(layer: AveragePool) -> Json:
    return _write_window(layer) | {"count_includes_padding": layer.count_includes_padding}


def _write_window(layer: Pool) -> Json:
    return {"kernel": list(layer.kernel), "stride": list(layer.stride), "padding": list(layer.padding)}


def _read_padding(
    fields: Fields, shape: Shape, kernel: tuple[int, int], stride: tuple[int, int], dilation: tuple[int, int]
) -> Padding:
    """Read a layer's padding from JSON: one number for all sides, [top, left, bottom, right], "same" or "valid"."""
    value = fields.raw("padding", 0)
    if value == "same":
        return same_padding(shape, kernel, stride, dilation)
    if value == "valid":
        return Padding()
    if isinstance(value, list):
        return Padding(*fields.integers("padding", (4,), least=0))
    if isinstance(value, str):
        raise fields.refused("padding", "'same', 'valid', a whole number or [top, left, bottom, right]")
    return Padding(*[fields.integer("padding", 0, least=0)] * 4)


def _read_pad(fields: Fields, common: Common, inputs: Inputs) -> Layer:
    return Pad(
        **common,
        padding=_read_padding(fields, inputs[0], (1, 1), (1, 1), (1, 1)),
        channels_before=fields.integer("channels_before", 0, least=0),
        channels_after=fields.integer("channels_after", 0, least=0),
    )


def _write_pad(layer: Pad) -> Json:
    return {
        "padding": list(layer.padding),
        "channels_before": layer.channels_before,
        "channels_after": layer.channels_after,
    }


def _read_add(_: Fields, common: Common, __: Inputs) -> Layer:
    return Add(**common)


def _read_concat(fields: Fields, common: Common, _: Inputs) -> Layer:
    for key, choices in (("flattening", list(Flattening)), ("axis", list(Axis))):
        if key in fields and fields.raw(key) not in choices:
            raise fields.refused(key, f"one of {', '.join(choices)}")
    flattening = Flattening(fields.raw("flattening")) if "flattening" in fields else None
    return Concat(**common, flattening=flattening, axis=Axis(fields.raw("axis", Axis.CHANNELS)))


def _write_concat(layer: Concat) -> Json:
    written = {} if layer.flattening is None else {"flattening": layer.flattening.value}
    return written if layer.axis is Axis.CHANNELS else {**written, "axis": layer.axis.value}


def _read_activation_layer(_: Fields, common: Common, __: Inputs) -> Layer:
    return Activation(**common)


def _write_nothing(_: Layer) -> Json:
    return {}


_WEIGHTS: Final = ("output_channels", "weight", "shared_weight", "bias", "batch_norm")
_WINDOW: Final = ("kernel", "stride", "padding")

KINDS: Final[Mapping[str, Kind]] = {
    Convolution.kind: Kind(
        (*_WEIGHTS, *_WINDOW, "dilation", "groups", "depthwise"), _read_convolution, _write_convolution
    ),
    FullyConnected.kind: Kind(_WEIGHTS, _read_fully_connected, _write_fully_connected),
    Add.kind: Kind((), _read_add, _write_nothing),
    Concat.kind: Kind(("flattening", "axis"), _read_concat, _write_concat),
    MaxPool.kind: Kind(_WINDOW, _read_max_pool, _write_max_pool),
    AveragePool.kind: Kind((*_WINDOW, "count_includes_padding"), _read_average_pool, _write_average_pool),
    Pad.kind: Kind(("padding", "channels_before", "channels_after"), _read_pad, _write_pad),
    Activation.kind: Kind((), _read_activation_layer, _write_nothing),
}
require_rows(KINDS, LAYER_KINDS, "the table of JSON kinds")
