"""Consistency check of an integer-only network: shapes, types and ranges of its arrays, and the order of its layers.

This is the only place that decides whether a network is safe to run, both after conversion and after reading a file.
`deploy.proof` proves in addition that no accumulator overflows.
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import top_code
from deploy.counterparts import counterpart, fault
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
from deploy.shared_weights import check_shared_weights
from deploy.thresholds import thresholds_of
from network.allocation import BITS
from network.errors import ConversionError, InvalidNetwork
from network.layers import (
    Padding,
)
from network.network_input import MAX_INPUTS, NetworkInput
from network.windows import window_divisors

MAX_ELEMENTS: Final = 2**24
"""Largest number of elements of a tensor with padding: beyond any microcontroller's RAM; 128 MiB of 64-bit sums."""

MAX_THRESHOLDS: Final = 2**22
"""Largest number of requantization thresholds of a layer: 16 MiB of flash."""

Inputs = tuple[IntegerTensor, ...]


def check_consistency(network: IntegerNetwork) -> None:
    """Reject an integer-only network whose shapes, types, ranges or order of layers are inconsistent.

    Raises:
        ConversionError: if a name, shape, type or range is wrong, or if a layer reads a tensor before it is written.
            The message names the layer or tensor, and says what was expected and what came.
    """
    if not 1 <= len(network.inputs) <= MAX_INPUTS:
        raise ConversionError(f"network '{network.name}' has {len(network.inputs)} inputs; expected 1 to {MAX_INPUTS}")
    written = [*network.input_names, *(layer.output for layer in network.layers)]
    if list(network.tensors) != written:  # this also rejects a tensor that is written twice
        raise ConversionError(
            f"network '{network.name}' lists its tensors in the wrong order; expected its inputs and then the "
            "output of each layer once, in the order in which they are written"
        )
    for name, tensor in network.tensors.items():
        _check_tensor(name, tensor)
    known = set(network.input_names)
    for layer in network.layers:
        for name in layer.inputs:
            if name not in known:
                raise ConversionError(
                    f"layer '{layer.name}' reads tensor '{name}', which is not written before it; expected the "
                    "network's inputs or the output of an earlier layer"
                )
        known.add(layer.output)
        _check_layer(layer, tuple(network.tensors[name] for name in layer.inputs), network.tensors[layer.output])
    if len({layer.name for layer in network.layers}) < len(network.layers):
        raise ConversionError(
            f"network '{network.name}' has two layers of the same name; expected a unique name for each layer"
        )
    if not network.outputs or not known.issuperset(network.outputs):
        raise ConversionError(
            f"network '{network.name}' has the outputs {list(network.outputs)}; expected at least one tensor, each "
            "of which a layer writes"
        )
    check_shared_weights(network.layers)
    for each in network.inputs:
        _check_input(network, each)


def _check_input(network: IntegerNetwork, each: NetworkInput) -> None:
    given, shape = each.format, network.tensors[each.name].shape
    if each.shape != shape:
        raise ConversionError(
            f"the input '{each.name}' of network '{network.name}' has the shape {each.shape}, and its tensor {shape}; "
            "expected equal shapes"
        )
    if math.prod(given.dims) != shape.elements or min(given.dims, default=1) < 1:
        raise ConversionError(
            f"network '{network.name}' reads samples of shape {list(given.dims)}, which do not fill its input tensor "
            f"of shape {shape}; expected the same number of elements"
        )
    for what, values in (("subtract", given.subtract), ("multiply", given.multiply)):
        if len(values) not in {1, shape.channels} or not all(math.isfinite(value) for value in values):
            raise ConversionError(
                f"the input format of network '{network.name}' has {list(values)} as its {what}; expected 1 or "
                f"{shape.channels} finite numbers"
            )


def _check_tensor(name: str, tensor: IntegerTensor) -> None:
    if tensor.name != name:
        raise ConversionError(f"tensor '{name}' is described with the name '{tensor.name}'; expected equal names")
    if min(tensor.shape) < 1 or tensor.shape.elements > MAX_ELEMENTS:
        raise ConversionError(
            f"tensor '{name}' has the shape {tensor.shape}; expected channels, height and width of at least 1, "
            f"with a product of at most {MAX_ELEMENTS}"
        )
    if tensor.bits not in BITS:
        raise ConversionError(f"tensor '{name}' has {tensor.bits} bits; expected 8, 4 or 2")
    if not (math.isfinite(tensor.scale) and tensor.scale > 0):
        raise ConversionError(f"tensor '{name}' has the scale {tensor.scale}; expected a finite number above 0")
    if not 0 <= tensor.zero_point <= top_code(tensor.bits):
        raise ConversionError(
            f"tensor '{name}' has the zero point {tensor.zero_point}; expected 0 to {top_code(tensor.bits)} for "
            f"{tensor.bits} bits"
        )


def _check_layer(layer: IntegerLayer, inputs: Inputs, output: IntegerTensor) -> None:
    if not inputs:
        raise fault(layer, "reads no tensor; expected at least one input")
    try:
        shape = counterpart(layer).output_shape(tuple(tensor.shape for tensor in inputs))
    except InvalidNetwork as error:
        raise ConversionError(str(error)) from error
    if shape != output.shape:
        raise fault(
            layer,
            f"computes an output of shape {shape}, but its output tensor '{output.name}' has the shape "
            f"{output.shape}; expected equal shapes",
        )
    image, (top, left, bottom, right) = inputs[0].shape, getattr(layer, "padding", Padding())
    around = image.channels * (image.height + top + bottom) * (image.width + left + right)
    if around > MAX_ELEMENTS:
        raise fault(layer, f"pads its input to {around} elements; expected at most {MAX_ELEMENTS} elements")
    _check_parameters(layer, inputs, output)


@singledispatch
def _check_parameters(layer: IntegerLayer, _inputs: Inputs, _output: IntegerTensor) -> None:
    """Reject a layer of an integer-only network whose weights, requantization or other arrays are invalid."""
    raise fault(layer, "is of a kind that the consistency check does not support")


@_check_parameters.register(IntegerMaxPool)
@_check_parameters.register(IntegerPad)
def _(layer: IntegerMaxPool | IntegerPad, _inputs: Inputs, _output: IntegerTensor) -> None:
    _check_factors(layer, {1})


@_check_parameters.register
def _(layer: IntegerConvolution, inputs: Inputs, output: IntegerTensor) -> None:
    shape, channels = inputs[0].shape, output.shape.channels
    expected = (channels, *layer.kernel, shape.channels // layer.groups)
    if isinstance(layer, IntegerFullyConnected):
        expected = (channels, shape.height, shape.width, shape.channels)
        if (layer.stride, layer.padding, layer.dilation, layer.groups) != ((1, 1), Padding(), (1, 1), 1):
            raise fault(
                layer,
                "has strides, padding, dilation or groups; expected none, because a fully connected layer has a "
                "single window",
            )
    if layer.codes.shape != expected or layer.codes.dtype != np.uint8:
        raise fault(
            layer, f"has weight codes of type {_described(layer.codes)}; expected uint8 of shape {list(expected)}"
        )
    if layer.weight_bits not in BITS:
        raise fault(layer, f"has weights of {layer.weight_bits} bits; expected 8, 4 or 2")
    if int(layer.codes.max()) > top_code(layer.weight_bits):
        raise fault(
            layer,
            f"has a weight code of {int(layer.codes.max())}; expected at most {top_code(layer.weight_bits)} for "
            f"{layer.weight_bits} bits",
        )
    per_layer_or_channel = {1, channels}
    _check_array(layer, "weight zero point", layer.weight_zero_point, np.int32, per_layer_or_channel)
    _check_array(layer, "bias", layer.bias, np.int32, {channels})
    _check_array(layer, "weight scale", layer.weight_scale, np.float64, per_layer_or_channel)
    if not (np.isfinite(layer.weight_scale).all() and (layer.weight_scale != 0).all()):
        raise fault(layer, "has a weight scale that is 0 or not finite; expected finite numbers other than 0")
    _check_factors(layer, per_layer_or_channel)
    _check_thresholds(layer, output)


def _check_thresholds(layer: IntegerConvolution, output: IntegerTensor) -> None:
    found = layer.thresholds
    if found is None:
        return
    _check_array(layer, "direction", found.direction, np.int8, {output.shape.channels})
    shape = (output.shape.channels, top_code(output.bits))
    if found.values.dtype != np.int32 or found.values.shape != shape:
        raise fault(layer, f"has thresholds of type {_described(found.values)}; expected int32 of shape {list(shape)}")
    if found.values.size > MAX_THRESHOLDS:
        raise fault(layer, f"has {found.values.size} thresholds; expected at most {MAX_THRESHOLDS}")
    expected = thresholds_of(layer.requantization, layer.bias, output.zero_point, output.bits)
    if (found.values != expected.values).any() or (found.direction != expected.direction).any():
        raise fault(
            layer, "has thresholds that do not follow from its bias, multipliers and shifts; convert the network again"
        )


@_check_parameters.register
def _(layer: IntegerAdd, inputs: Inputs, _output: IntegerTensor) -> None:
    _check_factors(layer, {len(inputs)})
    if len(set(layer.requantization.shift.tolist())) > 1:
        raise fault(
            layer,
            "has different shifts for its inputs; expected the same shift for all inputs, because the sum is "
            "rounded once",
        )


@_check_parameters.register
def _(layer: IntegerConcat, inputs: Inputs, _output: IntegerTensor) -> None:
    _check_factors(layer, {len(inputs)})


@_check_parameters.register
def _(layer: IntegerAveragePool, inputs: Inputs, _output: IntegerTensor) -> None:
    divisors = window_divisors(
        inputs[0].shape, layer.kernel, layer.stride, layer.padding, includes_padding=layer.count_includes_padding
    )
    if layer.divisors != divisors:
        raise fault(
            layer,
            f"has the divisors {list(layer.divisors)}; expected the numbers of elements of its windows, "
            f"{list(divisors)}",
        )
    _check_factors(layer, {len(divisors)})


def _check_factors(layer: IntegerLayer, lengths: set[int]) -> None:
    factors = getattr(layer, "requantization")  # noqa: B009  every kind has it, but the base class does not declare it
    _check_array(layer, "multiplier", factors.multiplier, np.int32, lengths)
    _check_array(layer, "shift", factors.shift, np.int8, lengths)


def _check_array(
    layer: IntegerLayer, what: str, values: npt.NDArray[np.generic], kind: type[np.generic], lengths: set[int]
) -> None:
    if values.dtype != kind or values.ndim != 1 or len(values) not in lengths:
        expected = " or ".join(map(str, sorted(lengths)))
        raise fault(
            layer, f"has a {what} of type {_described(values)}; expected {np.dtype(kind)} of {expected} elements"
        )


def _described(values: npt.NDArray[np.generic]) -> str:
    return f"{values.dtype} of shape {list(values.shape)}"
