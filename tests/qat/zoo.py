"""A small network with every kind of layer, and random allocations for it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from network.allocation import BITS, Allocation, Bits, Folding, Scheme, WeightScheme
from network.layers import (
    LINEAR,
    RELU,
    RELU6,
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    BatchNorm,
    Concat,
    Convolution,
    Float32Array,
    FullyConnected,
    Layer,
    MaxPool,
    Pad,
    Padding,
    Shape,
)
from network.network import Network
from tests.builders import network_of

NO_PADDING = Padding()
SCHEMES = tuple(Scheme(weights, folding) for weights in WeightScheme for folding in Folding)


def floats(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Float32Array:
    array: Float32Array = (rng.standard_normal(shape) * scale).astype(np.float32)
    return array


def batch_norm(rng: np.random.Generator, channels: int) -> BatchNorm:
    """Return a random batch norm with gammas of both signs and, sometimes, a channel whose variance is zero."""
    variance = rng.uniform(0.5, 2.0, channels).astype(np.float32)
    variance[rng.random(channels) < 0.1] = 0.0
    gamma = rng.uniform(0.3, 1.5, channels) * rng.choice([-1, 1], channels)
    gamma[rng.random(channels) < 0.1] = 0.0
    return BatchNorm(
        gamma.astype(np.float32), floats(rng, channels, scale=0.5), floats(rng, channels, scale=0.5), variance, 1e-3
    )


def convolution(
    rng: np.random.Generator,
    name: str,
    source: str,
    channels: tuple[int, int],
    *,
    kernel: tuple[int, int] = (3, 3),
    groups: int = 1,
    activation: ActivationFunction = LINEAR,
    normalised: bool = True,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = NO_PADDING,
    dilation: tuple[int, int] = (1, 1),
) -> Convolution:
    inputs, outputs = channels
    weight = floats(rng, outputs, inputs // groups, *kernel)
    weight *= np.float32(math.sqrt(2 / weight[0].size))
    weight[rng.random(outputs) < 0.1] = 0.0
    return Convolution(
        name=name,
        inputs=(source,),
        output=f"{name}.out",
        activation=activation,
        output_channels=outputs,
        kernel=kernel,
        groups=groups,
        stride=stride,
        padding=padding,
        dilation=dilation,
        weight=weight,
        bias=floats(rng, outputs, scale=0.3),
        batch_norm=batch_norm(rng, outputs) if normalised else None,
    )


def all_kinds(seed: int) -> Network:
    """Return a network with every kind of layer, asymmetric padding, a residual branch, and different scales."""
    rng = np.random.default_rng(seed)
    layers: Sequence[Layer] = (
        convolution(
            rng, "first", "input", (2, 4), stride=(2, 1), padding=Padding(0, 0, 1, 2), activation=RELU,
            normalised=bool(rng.integers(2)),
        ),
        convolution(rng, "depthwise", "first.out", (4, 8), groups=4, padding=Padding(1, 1, 1, 1), activation=RELU6),
        convolution(rng, "grouped", "first.out", (4, 8), groups=2, dilation=(2, 1), padding=Padding(2, 1, 2, 1)),
        Add(name="add", inputs=("depthwise.out", "grouped.out"), output="sum", activation=RELU),
        MaxPool(name="max", inputs=("sum",), output="max", kernel=(2, 2), padding=Padding(0, 0, 1, 1)),
        Concat(name="concat", inputs=("max", "grouped.out", "depthwise.out"), output="concat"),
        AveragePool(
            name="average", inputs=("concat",), output="average", kernel=(2, 3), stride=(1, 2),
            padding=Padding(1, 1, 0, 1),
            count_includes_padding=bool(rng.integers(2)),
        ),
        Activation(name="clip", inputs=("average",), output="clip", activation=ActivationFunction(-0.5, 1.0)),
        Add(name="three", inputs=("average", "clip", "average"), output="three"),
        Pad(
            name="pad", inputs=("three",), output="pad", padding=Padding(1, 0, 0, 1), channels_before=1,
            channels_after=2,
        ),
        convolution(rng, "last", "pad", (27, 6), kernel=(2, 2), activation=RELU),
        FullyConnected(
            name="dense", inputs=("last.out",), output="logits", output_channels=5,
            weight=floats(rng, 5, 6 * 3 * 3, scale=0.2), bias=floats(rng, 5),
        ),
    )  # fmt: skip
    return network_of(layers, Shape(2, 7, 6), name="all kinds")


def allocation_of(network: Network, bits: Bits, scheme: Scheme, *, ends: Bits = 8) -> Allocation:
    """Return an allocation with equal bits and scheme for all tensors, except `ends` bits for input and outputs."""
    outer = {*network.input_names, *network.outputs}
    return Allocation(
        weight_bits={layer.name: bits for layer in network.weight_layers},
        activation_bits={tensor: ends if tensor in outer else bits for tensor in network.tensors},
        schemes={layer.name: scheme for layer in network.weight_layers},
    )


def random_allocation(network: Network, seed: int) -> Allocation:
    """Return an allocation with random bits for each tensor except the input, and a random scheme for each layer."""
    rng = np.random.default_rng(seed)
    return Allocation(
        weight_bits={layer.name: BITS[rng.integers(3)] for layer in network.weight_layers},
        activation_bits={
            tensor: 8 if tensor in network.input_names else BITS[rng.integers(3)] for tensor in network.tensors
        },
        schemes={layer.name: SCHEMES[rng.integers(len(SCHEMES))] for layer in network.weight_layers},
    )
