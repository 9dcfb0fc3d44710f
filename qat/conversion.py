"""Conversion of the fake-quantized network to the integer-only network: scales and batch norms become int32 constants.

The weight codes are those of the quantizer that training used. The bias of an output channel may not be representable
in int32 (if gamma or all weights are zero or tiny, or if the variance of the batch norm is close to zero). If the codes
that such a channel writes provably differ by at most `MAX_CONSTANT_SPREAD`, its weights become zero and its bias
becomes the constant in their middle. Otherwise conversion fails with an error. The factor is negative if either the
weight scale or gamma is negative, and positive if both are.

Layers that share a weight tensor have equal codes; `qat.shared_weight_conversion` handles such channels of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, CodeArray, Requantization, encode_factors
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
from deploy.narrow_constants import ConstantsForm
from deploy.proof import prove_accumulators
from deploy.requantization_form import RequantizationForm, in_form
from network.errors import ConversionError
from network.layers import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Shape,
    WeightLayer,
)
from network.network import Network
from qat.deployed_weights import DeployedWeights
from qat.narrow_encoding import MAX_CONSTANT_SPREAD, whole_steps
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.ranges import InputRange
from qat.requantization_factors import limited, requantization_of
from qat.shared_weight_conversion import bias_and_factor
from qat.weight_step import WeightStep


def convert(
    module: QuantizedNetwork,
    requantization: RequantizationForm = RequantizationForm.MULTIPLIER,
    constants: ConstantsForm = ConstantsForm.NARROW,
) -> IntegerNetwork:
    """Convert a fake-quantized network to the integer-only network that computes the same codes in evaluation mode.

    Args:
        module: The calibrated or trained fake-quantized network.
        requantization: How layers with weights turn accumulators into output codes: multipliers or thresholds. Both
            forms give the same codes. Thresholds need more flash, which grows with the bits of the layer's output
            (counted by `network.memory.thresholds`).
        constants: Form of the constants of layers with weights: narrow if they are precise enough, as in evaluation
            mode; or wide, which other runtimes use, and which needs three times the flash and more time on a chip.

    Raises:
        ConversionError: If a layer has no integer form, or if a bias, a factor or an accumulator exceeds the range of
            its integer type. The message names the layer and the limit.
    """
    network = module.network
    deployed = module.deployed(constants)
    grids = deployed.grids
    steps = {step.layer.name: step for step in module.weight_steps()}
    integer_network = IntegerNetwork(
        name=network.name,
        inputs=tuple(
            replace(each, format=replace(each.format, samples_are_bytes=_has_bytes(module, each.name)))
            for each in network.inputs
        ),
        tensors={
            tensor: IntegerTensor(tensor, shape, grids[tensor].bits, grids[tensor].scale, grids[tensor].zero_point)
            for tensor, shape in network.shapes.items()
        },
        layers=tuple(
            _weight_layer(layer, deployed.weights[layer.name], steps[layer.name], network, grids[layer.output])
            if isinstance(layer, WeightLayer)
            else _other_layer(layer, network.input_shapes(layer), grids)
            for layer in network.layers
        ),
        outputs=network.outputs,
        host_steps=network.host_steps,
    )
    integer_network = in_form(integer_network, requantization)
    prove_accumulators(integer_network)
    return integer_network


def _has_bytes(module: QuantizedNetwork, tensor: str) -> bool:
    source = module.range_of(tensor)
    return isinstance(source, InputRange) and bool(source.samples_are_bytes)


def _other_layer(layer: Layer, shapes: Sequence[Shape], grids: Mapping[str, Grid]) -> IntegerLayer:
    common: dict[str, Any] = {
        "name": layer.name,
        "inputs": layer.inputs,
        "output": layer.output,
        "requantization": requantization_of(layer, shapes[0], grids),
    }
    match layer:
        case Add() | Activation():
            return IntegerAdd(**common)
        case Concat():
            return IntegerConcat(**common, flattening=layer.flattening, axis=layer.axis)
        case MaxPool():
            return IntegerMaxPool(**common, kernel=layer.kernel, stride=layer.stride, padding=layer.padding)
        case AveragePool():
            return IntegerAveragePool(
                **common,
                kernel=layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                count_includes_padding=layer.count_includes_padding,
                divisors=layer.divisors(shapes[0]),
            )
        case Pad():
            return IntegerPad(
                **common,
                padding=layer.padding,
                channels_before=layer.channels_before,
                channels_after=layer.channels_after,
            )
        case _:
            raise ConversionError(
                f"layer '{layer.name}' is of kind '{layer.kind}', which has no integer form; remove the layer "
                "or replace it by a supported kind (docs/operators.md)"
            )


def _weight_layer(
    layer: WeightLayer, weights: DeployedWeights, step: WeightStep, network: Network, target: Grid
) -> IntegerConvolution:
    owners = network.weight_owners
    codes, bias, requantization = _integers(layer.name, weights, target, keeps_codes=owners.is_shared(layer.name))
    if isinstance(layer, FullyConnected):
        # The device stores images in the order height, width, channel; the float network flattens them in the order
        # channel, height, width.
        codes = codes.reshape(len(codes), *network.input_shapes(layer)[0])
    constants: dict[str, Any] = {
        "name": layer.name,
        "inputs": layer.inputs,
        "output": layer.output,
        "codes": np.ascontiguousarray(codes.transpose(0, 2, 3, 1)),
        "weight_bits": step.bits,
        "weight_zero_point": weights.zero_point.astype(np.int32),
        "bias": bias.astype(np.int32),
        "requantization": requantization,
        "scheme": step.scheme,
        "weight_scale": weights.scale,
        "shares_weights_of": None if owners.stores(layer.name) else owners.of[layer.name],
    }
    if isinstance(layer, Convolution):
        return IntegerConvolution(
            **constants,
            stride=layer.stride,
            padding=layer.padding,
            dilation=layer.dilation,
            groups=layer.groups,
        )
    return IntegerFullyConnected(**constants)


def _integers(
    name: str, weights: DeployedWeights, target: Grid, *, keeps_codes: bool
) -> tuple[CodeArray, npt.NDArray[np.int64], Requantization]:
    """Return the weight codes, biases and requantization factors of a layer, narrow if its constants are."""
    if weights.narrow is not None:
        return weights.codes, weights.bias.astype(np.int64), weights.narrow
    if keeps_codes:
        bias, factor = bias_and_factor(name, weights, target)
        return weights.codes, bias, encode_factors(factor, name)
    codes, bias, factor = _with_constant_channels(name, weights, target)
    return codes, bias, encode_factors(factor, name)


def _with_constant_channels(
    name: str, weights: DeployedWeights, target: Grid
) -> tuple[CodeArray, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return a wide layer's weight codes, biases and factors, after replacing channels without an int32 bias.

    A channel whose bias is not representable in int32 gets weights of real zero and a bias that gives the code in the
    middle of those that it can write.

    Raises:
        ConversionError: If the output codes of such a channel differ by more than `MAX_CONSTANT_SPREAD`.
    """
    codes, factor = weights.codes.copy(), limited(weights.factor)
    bias = weights.bias.astype(np.int64)
    zero_points = np.broadcast_to(weights.zero_point, bias.shape)
    constants = _Constants(weights, target)
    chosen = np.flatnonzero(~weights.on_grid)
    for channel in chosen.tolist():
        if constants.spread[channel] > MAX_CONSTANT_SPREAD:
            own = constants.factor[channel]
            largest = max(weights.highest[channel], -weights.lowest[channel])
            raise ConversionError(
                f"output channel {channel} of layer '{name}' needs a bias of "
                f"{weights.offset[channel] / own if own else np.inf:.4g} in addition to sums of up to {largest}; "
                f"expected a total of at most {INT32_MAX} (int32): give the layer's weights or its input fewer bits"
            )
    if len(factor) > 1:
        factor[chosen], bias[chosen] = 1.0, constants.steps[chosen]
    elif chosen.size and (constants.spread <= MAX_CONSTANT_SPREAD).all():
        chosen = np.arange(len(bias))  # all channels are constants: the shared factor is free
        factor, bias = np.ones(1), constants.steps.copy()
    else:
        for channel in chosen.tolist():
            bias[channel] = _bias_for(int(constants.steps[channel]), float(factor[0]), name, channel, target)
    codes[chosen] = zero_points[chosen].reshape((-1,) + (1,) * (codes.ndim - 1))
    return codes, bias, factor


class _Constants:
    """The constant that is nearest to the outputs of each channel.

    Args:
        weights: Constants of the deployed layer.
        target: Quantization grid of the layer's output.

    Attributes:
        factor: Factor of each channel, float64 [c].
        steps: Middle of the outputs that the channel can have, as a number of output steps, int64 [c].
        spread: Difference between the largest and the smallest output, in codes, int64 [c].
    """

    def __init__(self, weights: DeployedWeights, target: Grid) -> None:
        self.factor = np.broadcast_to(weights.factor, weights.offset.shape)
        ends = weights.offset + self.factor * np.stack([weights.lowest, weights.highest])
        self.steps = whole_steps(ends.mean(axis=0), target)
        rounded = whole_steps(ends, target)
        self.spread = np.abs(rounded[1] - rounded[0])


def _bias_for(steps: int, factor: float, name: str, channel: int, target: Grid) -> int:
    """Return the int32 bias that, multiplied by the layer's shared factor, rounds to the given number of output steps.

    Raises:
        ConversionError: If no int32 bias gives exactly this number of steps.
    """
    bias = min(max(math.floor(steps / factor + 0.5), -INT32_MAX), INT32_MAX)
    reached = int(whole_steps(np.array([encode_factors(factor, name).factors[0] * bias]), target)[0])
    if reached != steps:
        raise ConversionError(
            f"output channel {channel} of layer '{name}' has a constant output of {steps} quantization steps, but with "
            f"the layer's factor of {factor:.4g} the nearest int32 bias gives {reached}; use a scheme with a factor "
            "for each channel (folding ICN)"
        )
    return bias
