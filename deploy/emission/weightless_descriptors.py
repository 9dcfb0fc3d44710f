"""Descriptors of the layers without weights: add and activation, concatenation, pooling, padding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Final

from deploy.emission.code_factors import CodeFactor, code_factors
from deploy.emission.descriptors import Fields, Struct, Surroundings, limited
from deploy.emission.text import signed, unsigned
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerLayer,
    IntegerMaxPool,
    IntegerPad,
    IntegerTensor,
)
from network.layers import Axis, Flattening

_AXES: Final[Mapping[Axis | Flattening, str]] = {
    Axis.CHANNELS: "BB_CHANNELS",
    Axis.HEIGHT: "BB_HEIGHT",
    Axis.WIDTH: "BB_WIDTH",
    Flattening.CHANNELS_LAST: "BB_FLATTEN_CHANNELS_LAST",
    Flattening.CHANNELS_FIRST: "BB_FLATTEN_CHANNELS_FIRST",
}


@singledispatch
def weightless_structs(layer: IntegerLayer, _around: Surroundings) -> tuple[Struct, ...]:
    """Return the structs of a layer without weights.

    Raises:
        ConversionError: if an extent does not fit into its field.
        TypeError: if the kind of the layer is unknown.
    """
    raise TypeError(f"layer '{layer.name}' is of kind {layer.kind}, which has no descriptor")


@weightless_structs.register
def _(layer: IntegerAdd, around: Surroundings) -> tuple[Struct, ...]:
    multipliers, shift = layer.requantization.multiplier.tolist(), int(layer.requantization.shift[0])
    half = 1 << (shift - 1) if shift else 0
    centres = sum(factor * tensor.zero_point for factor, tensor in zip(multipliers, around.inputs, strict=True))
    addend = ((around.output.zero_point << shift) + half - centres) & 0xFFFFFFFFFFFFFFFF
    elements = tuple(
        {
            "multiplier": signed(factor),
            "input": around.input_offset(index),
            "bits": str(tensor.bits),
            "zero_point": str(tensor.zero_point),
        }
        for index, (factor, tensor) in enumerate(zip(multipliers, around.inputs, strict=True))
    )
    inputs = _inputs("bb_add_input", around, elements)
    shape = around.output.shape
    fields = {
        "inputs": inputs.symbol,
        "output": around.output_offset,
        "addend_low": unsigned(addend & 0xFFFFFFFF),
        "addend_high": unsigned(addend >> 32),
        "pixels": unsigned(shape.height * shape.width),
        **limited(layer, 16, channels=shape.channels),
        **limited(layer, 8, count=len(elements), shift=shift, output_bits=around.output.bits),
    }
    return inputs, Struct("bb_add_layer", around.symbol, (fields,))


@weightless_structs.register
def _(layer: IntegerConcat, around: Surroundings) -> tuple[Struct, ...]:
    factors = code_factors(layer.requantization)
    elements = tuple(
        {
            "multiplier": signed(factors[index].multiplier),
            "input": around.input_offset(index),
            **_extents(layer, "", tensor),
            "shift": str(factors[index].shift),
            "bits": str(tensor.bits),
            "zero_point": str(tensor.zero_point),
        }
        for index, tensor in enumerate(around.inputs)
    )
    inputs = _inputs("bb_concat_input", around, elements)
    shape = around.output.shape
    fields = {
        "inputs": inputs.symbol,
        "output": around.output_offset,
        **limited(layer, 16, output_height=shape.height, output_width=shape.width),
        "output_channels": unsigned(shape.channels),
        **limited(layer, 16, count=len(elements)),
        "axis": _AXES[layer.axis if layer.flattening is None else layer.flattening],
        "output_bits": str(around.output.bits),
        "output_zero_point": str(around.output.zero_point),
    }
    return inputs, Struct("bb_concat_layer", around.symbol, (fields,))


@weightless_structs.register
def _(layer: IntegerMaxPool, around: Surroundings) -> tuple[Struct, ...]:
    return _pool(layer, around, (1,), code_factors(layer.requantization))


@weightless_structs.register
def _(layer: IntegerAveragePool, around: Surroundings) -> tuple[Struct, ...]:
    factors = (layer.requantization.multiplier.tolist(), layer.requantization.shift.tolist())
    return _pool(layer, around, layer.divisors, tuple(map(CodeFactor, *factors)))


def _pool(
    layer: IntegerMaxPool | IntegerAveragePool,
    around: Surroundings,
    divisors: tuple[int, ...],
    scales: tuple[CodeFactor, ...],
) -> tuple[Struct, ...]:
    factors = Struct(
        "bb_pool_factor",
        f"bb_factors_{around.number}",
        tuple(
            {"multiplier": signed(scale.multiplier), "divisor": unsigned(divisor), "shift": unsigned(scale.shift)}
            for scale, divisor in zip(scales, divisors, strict=True)
        ),
        is_array=True,
    )
    (given,) = around.inputs
    shape = around.output.shape
    fields = {
        "factors": factors.symbol,
        "input": around.input_offset(),
        "output": around.output_offset,
        **limited(
            layer, 16, input_height=given.shape.height, input_width=given.shape.width, channels=given.shape.channels,
            output_height=shape.height, output_width=shape.width, kernel_height=layer.kernel[0],
            kernel_width=layer.kernel[1], stride_y=layer.stride[0], stride_x=layer.stride[1],
            pad_top=layer.padding.top, pad_left=layer.padding.left, factor_count=len(divisors),
        ),
        **_codes(given, around.output),
    }  # fmt: skip
    return factors, Struct("bb_pool_layer", around.symbol, (fields,))


@weightless_structs.register
def _(layer: IntegerPad, around: Surroundings) -> tuple[Struct, ...]:
    (factor,) = code_factors(layer.requantization)
    (given,) = around.inputs
    fields = {
        "input": around.input_offset(),
        "output": around.output_offset,
        "multiplier": signed(factor.multiplier),
        **_extents(layer, "input_", given),
        **_extents(layer, "output_", around.output),
        **limited(
            layer, 16, pad_top=layer.padding.top, pad_left=layer.padding.left, channels_before=layer.channels_before
        ),
        "shift": str(factor.shift),
        **_codes(given, around.output),
    }
    return (Struct("bb_pad_layer", around.symbol, (fields,)),)


def _inputs(kind: str, around: Surroundings, elements: tuple[Fields, ...]) -> Struct:
    return Struct(kind, f"bb_inputs_{around.number}", elements, is_array=True)


def _extents(layer: IntegerLayer, prefix: str, tensor: IntegerTensor) -> Fields:
    shape = tensor.shape
    extents = {"height": shape.height, "width": shape.width, "channels": shape.channels}
    return limited(layer, 16, **{f"{prefix}{name}": extent for name, extent in extents.items()})


def _codes(given: IntegerTensor, output: IntegerTensor) -> Fields:
    return {
        "input_bits": str(given.bits),
        "input_zero_point": str(given.zero_point),
        "output_bits": str(output.bits),
        "output_zero_point": str(output.zero_point),
    }
