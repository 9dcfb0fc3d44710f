"""Random integer-only networks in the forms that a chip has: narrow, wide, or with thresholds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploy.arithmetic import Requantization
from deploy.integer_network import IntegerConvolution, IntegerLayer, IntegerNetwork, IntegerTensor
from deploy.narrow_constants import MULTIPLIER_BITS, chip_offsets, narrow_constants_of, offset_shift_of, shift_limits
from deploy.thresholds import thresholds_of
from network.kernel_functions import Form


def on_chip(network: IntegerNetwork, seed: int, form: Form | None = None) -> IntegerNetwork:
    """Return a network whose weights have zero points of a byte, and whose layers with weights have one of the forms.

    A layer stays wide if its sums are too large to be narrow.

    Args:
        network: The network.
        seed: Seed of the choices.
        form: The form of all layers with weights; None chooses one for each.
    """
    generator = np.random.default_rng(seed)

    def changed(layer: IntegerLayer) -> IntegerLayer:
        if not isinstance(layer, IntegerConvolution):
            return layer
        zero_point = np.clip(layer.weight_zero_point, 0, 255).astype(np.int32)
        layer = replace(layer, weight_zero_point=zero_point)
        source, output = network.tensors[layer.inputs[0]], network.tensors[layer.output]
        match form or list(Form)[generator.integers(3)]:
            case Form.NARROW:
                return narrowed(layer, source, output)
            case Form.THRESHOLDS:
                found = thresholds_of(layer.requantization, layer.bias, output.zero_point, output.bits)
                return replace(layer, thresholds=found)
            case _:
                return layer

    return replace(network, layers=tuple(map(changed, network.layers)))


def narrowed(layer: IntegerConvolution, source: IntegerTensor, output: IntegerTensor) -> IntegerConvolution:
    """Return a layer with the nearest narrow constants; the layer itself if its sums are too large."""
    factors = np.broadcast_to(layer.requantization.factors, len(layer.codes))
    least, most = shift_limits(source.bits, layer.weight_bits)
    largest = max(float(np.abs(factors).max()), 2.0**-60)
    shift = int(np.clip(MULTIPLIER_BITS - 1 - np.floor(np.log2(largest)), least, most))
    limit = (1 << MULTIPLIER_BITS) - 1
    multiplier = np.clip(np.round(factors * 2.0**shift), -limit, limit).astype(np.int32)
    offsets = chip_offsets(layer, source)
    lost = offset_shift_of(offsets)
    bias = layer.bias + ((offsets >> lost << lost) - offsets)
    changed = replace(
        layer,
        bias=bias.astype(np.int32),
        requantization=Requantization(multiplier, np.full(len(multiplier), shift, np.int8)),
    )
    return changed if narrow_constants_of(changed, source, output) is not None else layer
