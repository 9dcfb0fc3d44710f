"""Export of an integer-only network to ONNX with QuantizeLinear and DequantizeLinear nodes (QDQ); `docs/qdq.md`
describes the file.

The file stores integers as integers, together with the scales that give their real values:

    codes of x -> DequantizeLinear --.
    weight codes -> DequantizeLinear -- Conv -> (Clip) -> QuantizeLinear -> codes of y -> DequantizeLinear -> ...
    int32 bias -> DequantizeLinear --'

The scales follow from the integers that the chip uses, not from the values recorded in training. Let f = m / 2^n be the
factor from the accumulator to quantization steps of y. The scale of the weights is |f| * s_y / s_x, which includes the
batch norm; the scale of the bias is |f| * s_y. If f is negative, the codes and the zero point are mirrored (top - q,
top - z) and the bias changes its sign, so that every scale is above zero. A layer without weights needs no factor if
f = s_x / s_y, which is the case after conversion; otherwise a Mul by f * s_y / s_x is added.

A runtime computes in float32 and rounds a half to the even number; the chip computes in integers and rounds a half up.
A half is common if the factor is a whole number divided by a small power of two. For such factors, 2^-12 of a step is
added, which makes the runtime round halves up and changes nothing else. The remaining differences are rare, and at most
one code if the input codes are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import singledispatch
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, IntArray, Requantization, top_code
from deploy.consistency import check_consistency
from deploy.integer_network import (
    IntegerAdd,
    IntegerAveragePool,
    IntegerConcat,
    IntegerConvolution,
    IntegerLayer,
    IntegerMaxPool,
    IntegerNetwork,
    IntegerPad,
    IntegerTensor,
)
from deploy.proof import prove_accumulators
from deploy.qdq_graph import Float32Array, QdqGraph, float32_scale
from network.errors import ConversionError
from network.layers import Flattening
from network.windows import window_counts

ONNX_FILE: Final = "network.onnx"

SAME_SCALE: Final = 1e-6
"""Largest relative difference at which a requantization factor counts as the ratio of two scales (limit of float32)."""

LEAST_FACTOR: Final = 2.0**-20 / INT32_MAX
"""Limit below which a requantization factor counts as zero: int32 accumulators give less than 2^-20 of a step."""

LARGEST_DENOMINATOR: Final = 1024
"""Largest denominator of a factor for which halves are rounded up: values are then multiples of 1 / 1024 or coarser."""

HALF_UP: Final = 2.0**-12
"""Part of a quantization step that is added to round halves up: less than 1 / 1024, so that no other value changes."""

Inputs = Sequence[IntegerTensor]


def onnx_bytes(
    network: IntegerNetwork,
    *,
    narrow_types: bool = False,
    output_extents: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> bytes:
    """Return the content of an ONNX file that holds an integer-only network with QuantizeLinear and DequantizeLinear
    nodes (QDQ).

    The inputs and outputs of the ONNX model are real values. Each input has the rank of a sample of the source file
    (see `deploy.qdq_ranks`), an image is [n, channels, height, width].

    Args:
        network: The network to write. The file is the same for both forms of requantization.
        narrow_types: Whether every tensor has the type of its bits: uint8, uint4 or uint2 (opset 25). Otherwise (opset
            21) 2-bit weights are uint4, and activations are uint8, with a Clip to their range before rounding.
        output_extents: Extents of output tensors without the batch, by name; [channels, height, width] for the others.

    Raises:
        ConversionError: if the network is inconsistent, an accumulator could overflow, or a scale is outside float32.
    """
    check_consistency(network)
    prove_accumulators(network)
    graph = QdqGraph(network, narrow_types=narrow_types)
    for layer in network.layers:
        inputs, output = [network.tensors[name] for name in layer.inputs], network.tensors[layer.output]
        value = _halves_up(layer, graph, _computed(layer, graph, inputs, output), output)
        if layer.output in output_extents:
            graph.quantize_output(value, layer.output, output_extents[layer.output])
        else:
            graph.quantize(value, layer.output, layer.output)
    return graph.content()


@singledispatch
def _computed(layer: IntegerLayer, _graph: QdqGraph, _inputs: Inputs, _output: IntegerTensor) -> str:
    """Add the ONNX nodes that compute a layer in real numbers, before rounding; return the name of the ONNX value of
    the result.
    """
    raise TypeError(f"layer '{layer.name}' is of kind {layer.kind}, which cannot be written as ONNX")


@_computed.register
def _(layer: IntegerConvolution, graph: QdqGraph, inputs: Inputs, output: IntegerTensor) -> str:
    factors = layer.requantization.factors
    factors = np.broadcast_to(np.where(np.abs(factors) < LEAST_FACTOR, 0.0, factors), layer.bias.shape)
    sign = np.sign(factors).astype(np.int64)
    source_scale = float32_scale(inputs[0])
    # With a factor of 0, weights and bias are zero, so any scale is right.
    scale = np.where(factors == 0, 1.0, np.abs(factors) * float32_scale(output) / source_scale)
    bias = graph.bias(
        f"{layer.name} bias", (sign * layer.bias).astype(np.int32), _float32(scale * source_scale, layer, "bias")
    )
    return graph.node(
        "Conv",
        [graph.real[layer.inputs[0]], _weights(layer, graph, sign, _float32(scale, layer, "weight")), bias],
        layer.name,
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=layer.padding,
        dilations=layer.dilation,
        group=layer.groups,
    )


@_computed.register
def _(layer: IntegerAdd, graph: QdqGraph, inputs: Inputs, output: IntegerTensor) -> str:
    total, *others = _rescaled_inputs(layer, graph, layer.requantization, inputs, output)
    for value in others:
        total = graph.node("Add", [total, value], layer.name)
    return total


@_computed.register
def _(layer: IntegerConcat, graph: QdqGraph, inputs: Inputs, output: IntegerTensor) -> str:
    values = _rescaled_inputs(layer, graph, layer.requantization, inputs, output)
    if layer.flattening is not None:
        values = [_flattened(layer, graph, value, tensor) for value, tensor in zip(values, inputs, strict=True)]
    return graph.node("Concat", values, layer.name, axis=1 + layer.axis.position)


def _flattened(layer: IntegerConcat, graph: QdqGraph, value: str, tensor: IntegerTensor) -> str:
    """Add ONNX nodes that flatten images [n, channels, height, width] to vectors [n, elements, 1, 1]."""
    if layer.flattening is Flattening.CHANNELS_LAST:
        value = graph.node("Transpose", [value], f"{layer.name} transposed", perm=[0, 2, 3, 1])
    extents = graph.constant(f"{layer.name} extents", np.array([0, tensor.shape.elements, 1, 1], dtype=np.int64))
    return graph.node("Reshape", [value, extents], f"{layer.name} flattened")


@_computed.register
def _(layer: IntegerMaxPool, graph: QdqGraph, inputs: Inputs, output: IntegerTensor) -> str:
    value = graph.real[layer.inputs[0]]
    largest = graph.node(
        "MaxPool", [value], layer.name, kernel_shape=layer.kernel, strides=layer.stride, pads=layer.padding
    )
    return _rescaled(layer, graph, largest, _ratios(layer.requantization, inputs[0], output)[0])


@_computed.register
def _(layer: IntegerAveragePool, graph: QdqGraph, inputs: Inputs, output: IntegerTensor) -> str:
    mean = graph.node(
        "AveragePool",
        [graph.real[layer.inputs[0]]],
        layer.name,
        kernel_shape=layer.kernel,
        strides=layer.stride,
        pads=layer.padding,
        count_include_pad=int(layer.count_includes_padding),
    )
    ratios = _ratios(layer.requantization, inputs[0], output) * layer.divisors
    if len(ratios) == 1:
        return _rescaled(layer, graph, mean, ratios[0])
    counts = np.outer(*window_counts(inputs[0].shape, layer.padding, layer.kernel, layer.stride))
    return _rescaled(layer, graph, mean, ratios[np.searchsorted(layer.divisors, counts)])


@_computed.register
def _(layer: IntegerPad, graph: QdqGraph, inputs: Inputs, output: IntegerTensor) -> str:
    top, left, bottom, right = layer.padding
    (value,) = _rescaled_inputs(layer, graph, layer.requantization, inputs, output)
    ends = [0, layer.channels_before, top, left, 0, layer.channels_after, bottom, right]
    return graph.node("Pad", [value, graph.constant(f"{layer.name} pads", np.array(ends, dtype=np.int64))], layer.name)


def _halves_up(layer: IntegerLayer, graph: QdqGraph, value: str, output: IntegerTensor) -> str:
    """Add `HALF_UP` quantization steps to a layer's values if exact halves are common, so that an ONNX runtime rounds
    halves up; halves are rare after trained weights.
    """
    if isinstance(layer, IntegerConvolution):
        return value
    factors: list[float] = getattr(layer, "requantization").factors.tolist()  # noqa: B009  every kind has it
    if not any(map(_has_halves, factors)):
        return value
    lift = graph.constant(f"{layer.name} lift", np.array(float32_scale(output) * HALF_UP, dtype=np.float32))
    return graph.node("Add", [value, lift], f"{layer.name} lifted")


def _has_halves(factor: float) -> bool:
    """Return whether a requantization factor is a fraction with a small denominator, so that its products are often
    exact halves.
    """
    return 2 <= Fraction(factor).denominator <= LARGEST_DENOMINATOR


def _rescaled_inputs(
    layer: IntegerLayer, graph: QdqGraph, factors: Requantization, inputs: Inputs, output: IntegerTensor
) -> list[str]:
    """Return the names of ONNX values: each input of a layer times its requantization factor over the ratio of input
    scale to output scale.
    """
    return [
        _rescaled(layer, graph, graph.real[source.name], _ratios(factors, source, output)[number])
        for number, source in enumerate(inputs)
    ]


def _ratios(factors: Requantization, source: IntegerTensor, output: IntegerTensor) -> npt.NDArray[np.float64]:
    """Return requantization factors divided by the ratio of input scale to output scale; 1 if a factor only converts
    the scale.
    """
    return factors.factors * float32_scale(output) / float32_scale(source)


def _rescaled(layer: IntegerLayer, graph: QdqGraph, value: str, ratio: npt.ArrayLike) -> str:
    if np.allclose(ratio, 1.0, rtol=0.0, atol=SAME_SCALE):
        return value
    constant = graph.constant(f"{layer.name} ratio", np.asarray(ratio, dtype=np.float32))
    return graph.node("Mul", [value, constant], f"{layer.name} rescaled")


def _weights(layer: IntegerConvolution, graph: QdqGraph, sign: IntArray, scale: Float32Array) -> str:
    """Add the weights of a convolution to the ONNX graph; the codes of an output channel are mirrored where `sign` is
    -1.

    Args:
        layer: The convolution that has the weights.
        graph: The graph that receives the weights.
        sign: The sign of each output channel's factor, [output channels].
        scale: The scale of each output channel's weights, [output channels].

    Returns:
        The name of the dequantized weights, [output channels, input channels / groups, rows, columns].
    """
    name, top = f"{layer.name} weights", top_code(layer.weight_bits)
    codes = layer.codes.transpose(0, 3, 1, 2).astype(np.int64)
    zero_points = np.broadcast_to(layer.weight_zero_point.astype(np.int64), sign.shape)
    signs, points, scales = (each[:, None, None, None] for each in (sign, zero_points, scale))
    if not ((zero_points >= 0) & (zero_points <= top)).all():
        # A zero point outside the range of the codes, which conversion never makes, has no ONNX type: then the file
        # stores real weights.
        return graph.constant(name, (signs * (codes - points) * scales).astype(np.float32))
    codes = np.where(signs == 0, points, np.where(signs < 0, top - codes, codes))
    points_of_mirrored = np.where(sign < 0, top - zero_points, zero_points)
    mirrored_points = points_of_mirrored.astype(np.uint8)
    owner = layer.shares_weights_of or layer.name
    return graph.weights(name, codes.astype(np.uint8), mirrored_points, scale, layer.weight_bits, owner)


def _float32(scales: npt.NDArray[np.float64], layer: IntegerConvolution, what: str) -> Float32Array:
    """Convert the quantization scales of a layer to float32, the type in which an ONNX file stores scales.

    Raises:
        ConversionError: if a scale is outside the range of float32.
    """
    if not ((scales >= np.finfo(np.float32).tiny) & (scales <= np.finfo(np.float32).max)).all():
        raise ConversionError(
            f"layer '{layer.name}' needs {what} scales from {scales.min():.4g} to {scales.max():.4g} in an ONNX "
            "file; expected scales that float32 can hold: the scales of the layer's tensors are too different, "
            "so calibrate or train the network again"
        )
    return scales.astype(np.float32)
