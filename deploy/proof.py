"""Proofs that no sum overflows, from the actual weights and for any input codes.

An input code q_x lies in [0, top], so q_x - z_x lies in [-z_x, top - z_x], an interval around zero. With w = q_w - z_w
and P, N the sums of the positive w and of the negative |w| of one output channel:

    the largest sum       P * (top - z_x) + N * z_x
    the smallest sum    -(P * z_x + N * (top - z_x))

Each term's own largest and smallest value enclose zero, so these also bound every partial sum, in any order, with any
terms left out (padding). With the bias b, added first, last or in between, the magnitude stays below

    max(largest + max(b, 0), -(smallest + min(b, 0)))

and some input reaches one of the two whenever the bias has its sign. A layer that compares with thresholds adds no
bias, and leaves the largest int32 to thresholds that no sum reaches.
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
    IntegerConvolution,
    IntegerLayer,
    IntegerNetwork,
    IntegerTensor,
)
from network.errors import ConversionError

INT64_MAX: Final = 2**63 - 1
LARGEST_COMPARED: Final = INT32_MAX - 1
"""The largest sum that is compared with thresholds: INT32_MAX stands for one that is never reached."""


def largest_step(tensor: IntegerTensor) -> int:
    """The largest magnitude of q - z."""
    return max(tensor.zero_point, top_code(tensor.bits) - tensor.zero_point)


def product_bound(layer: IntegerConvolution, layer_input: IntegerTensor) -> int:
    """The largest magnitude of any partial sum of (q_x - z_x) * (q_w - z_w), the bias left out."""
    return max(max(largest, -smallest) for largest, smallest in _extremes(layer, layer_input))


def accumulator_bound(layer: IntegerConvolution, layer_input: IntegerTensor) -> int:
    """The largest magnitude of any partial sum of (q_x - z_x) * (q_w - z_w) and the bias, over all output channels."""
    biases: list[int] = layer.bias.tolist()
    return max(
        max(largest + max(bias, 0), -(smallest + min(bias, 0)))
        for (largest, smallest), bias in zip(_extremes(layer, layer_input), biases, strict=True)
    )


def prove_accumulators(network: IntegerNetwork) -> dict[str, int]:
    """The bound of every layer that sums: convolutions and average pools in int32, adds in int64.

    Raises:
        ConversionError: a sum that could overflow; names the layer and the bound.
    """
    bounds: dict[str, int] = {}
    for layer in network.layers:
        proof = _proof(layer, tuple(network.tensors[tensor] for tensor in layer.inputs))
        if proof is None:
            continue
        bound, limit = proof
        if bound > limit:
            holder = "int32 beside thresholds" if limit == LARGEST_COMPARED else f"int{limit.bit_length() + 1}"
            raise ConversionError(
                f"layer '{layer.name}' ({layer.kind}) can reach a sum of {bound}, and {holder} holds {limit}; give its "
                "weights or its input fewer bits, or train with a batch norm of less spread"
            )
        bounds[layer.name] = bound
    return bounds


@singledispatch
def _proof(_layer: IntegerLayer, _inputs: tuple[IntegerTensor, ...]) -> tuple[int, int] | None:
    """Bound and limit; None where nothing is summed."""
    return None


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
    """The largest and the smallest sum of each output channel, as Python integers: they may be beyond 64 bits."""
    steps = layer.codes.reshape(len(layer.codes), -1).astype(np.int64)
    steps -= layer.weight_zero_point.astype(np.int64)[:, None]
    positive = np.maximum(steps, 0).sum(axis=1).tolist()
    negative = np.maximum(-steps, 0).sum(axis=1).tolist()
    below, above = layer_input.zero_point, top_code(layer_input.bits) - layer_input.zero_point
    return [(p * above + n * below, -(p * below + n * above)) for p, n in zip(positive, negative, strict=True)]
