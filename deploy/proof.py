"""Proof that no accumulator of an integer-only network overflows, from the actual weights and for all input codes.

An input code q_x is in [0, top], so q_x - z_x is in [-z_x, top - z_x], an interval that contains zero. Let
w = q_w - z_w, let P be the sum of the positive w of one output channel, and N the sum of |w| over its negative w:

    largest sum           P * (top - z_x) + N * z_x
    smallest sum        -(P * z_x + N * (top - z_x))

The smallest and the largest value of each term enclose zero. So the two limits also hold for every partial sum, in any
order and with any terms left out (padding). With the bias b, added at any time, the magnitude is at most

    max(largest + max(b, 0), -(smallest + min(b, 0)))

and some input reaches one of the two if the bias has the same sign. A layer with thresholds adds no bias, and its sums
must stay below the largest int32, which as a threshold means "never reached".
"""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Final

import numpy as np

from deploy.arithmetic import INT32_MAX, top_code
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
from network.errors import ConversionError

INT64_MAX: Final = 2**63 - 1
LARGEST_COMPARED: Final = INT32_MAX - 1
"""Largest magnitude of a sum that is compared with thresholds; the threshold INT32_MAX means "never reached"."""


def largest_step(tensor: IntegerTensor) -> int:
    """Return the largest magnitude of q - z over all integer codes q of an activation tensor with zero point z."""
    return max(tensor.zero_point, top_code(tensor.bits) - tensor.zero_point)


def product_bound(layer: IntegerConvolution, layer_input: IntegerTensor) -> int:
    """Return the largest magnitude that a partial sum of a convolution's products (q_x - z_x) * (q_w - z_w) can reach,
    without the bias.
    """
    return max(max(largest, -smallest) for largest, smallest in _extremes(layer, layer_input))


def accumulator_bound(layer: IntegerConvolution, layer_input: IntegerTensor) -> int:
    """Return the largest magnitude that a partial sum of a convolution's products (q_x - z_x) * (q_w - z_w) and the
    bias can reach.
    """
    biases: list[int] = layer.bias.tolist()
    return max(
        max(largest + max(bias, 0), -(smallest + min(bias, 0)))
        for (largest, smallest), bias in zip(_extremes(layer, layer_input), biases, strict=True)
    )


def prove_accumulators(network: IntegerNetwork) -> dict[str, int]:
    """Compute the largest magnitude that the accumulator of each layer can reach; reject a network in which one could
    overflow.

    Accumulators are int32 in convolutions and average pools, and int64 in adds.

    Returns:
        The largest magnitude for each layer that sums, by the name of the layer.

    Raises:
        ConversionError: if an accumulator could overflow. The message names the layer and the bound.
    """
    bounds: dict[str, int] = {}
    for layer in network.layers:
        proof = _proof(layer, tuple(network.tensors[tensor] for tensor in layer.inputs))
        if proof is None:
            continue
        bound, limit = proof
        if bound > limit:
            holder = "int32 with thresholds" if limit == LARGEST_COMPARED else f"int{limit.bit_length() + 1}"
            raise ConversionError(
                f"the accumulator of layer '{layer.name}' ({layer.kind}) can reach a sum of {bound}, but "
                f"{holder} holds at most {limit}; give its weights or its input fewer bits, or train the network "
                "so that the layer's batch norm has smaller factors"
            )
        bounds[layer.name] = bound
    return bounds


@singledispatch
def _proof(layer: IntegerLayer, _inputs: tuple[IntegerTensor, ...]) -> tuple[int, int] | None:
    """Return the largest magnitude that a layer's accumulator can reach, and the allowed maximum; None if the layer
    does not sum.
    """
    raise ConversionError(
        f"layer '{layer.name}' is of kind {layer.kind}, for which no proof exists that its sums cannot overflow"
    )


@_proof.register(IntegerMaxPool)
@_proof.register(IntegerConcat)
@_proof.register(IntegerPad)
def _(_layer: IntegerLayer, _inputs: tuple[IntegerTensor, ...]) -> None:
    """Return None: max pooling, concatenation and padding move codes, and have no accumulator."""


@_proof.register
def _(layer: IntegerConvolution, inputs: tuple[IntegerTensor, ...]) -> tuple[int, int]:
    if layer.thresholds is not None:
        return product_bound(layer, inputs[0]), LARGEST_COMPARED
    return accumulator_bound(layer, inputs[0]), INT32_MAX


@_proof.register
def _(layer: IntegerAveragePool, inputs: tuple[IntegerTensor, ...]) -> tuple[int, int]:
    return math.prod(layer.kernel) * largest_step(inputs[0]), INT32_MAX


@_proof.register
def _(layer: IntegerAdd, inputs: tuple[IntegerTensor, ...]) -> tuple[int, int]:
    half = 1 << max(int(layer.requantization.shift[0]) - 1, 0)
    multipliers = layer.requantization.multiplier.tolist()
    terms = (abs(factor) * largest_step(tensor) for factor, tensor in zip(multipliers, inputs, strict=True))
    return sum(terms) + half, INT64_MAX


def _extremes(layer: IntegerConvolution, layer_input: IntegerTensor) -> list[tuple[int, int]]:
    """Return the largest and the smallest sum of products of each output channel of a convolution, as Python integers,
    which may exceed 64 bits.
    """
    steps = layer.codes.reshape(len(layer.codes), -1).astype(np.int64)
    steps -= layer.weight_zero_point.astype(np.int64)[:, None]
    positive = np.maximum(steps, 0).sum(axis=1).tolist()
    negative = np.maximum(-steps, 0).sum(axis=1).tolist()
    below, above = layer_input.zero_point, top_code(layer_input.bits) - layer_input.zero_point
    return [(p * above + n * below, -(p * below + n * above)) for p, n in zip(positive, negative, strict=True)]
