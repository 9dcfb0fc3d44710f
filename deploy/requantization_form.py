"""The two ways in which layers with weights requantize accumulators, multipliers and thresholds; both give the same
codes.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from deploy.integer_network import IntegerConvolution, IntegerLayer, IntegerNetwork
from deploy.thresholds import thresholds_of


class RequantizationForm(StrEnum):
    """How a layer converts an accumulator to an output code: by a multiplier or by thresholds (arXiv 1905.13082,
    section 4).
    """

    MULTIPLIER = "multiplier"
    """Multiply the accumulator by an int32 multiplier of the output channel or layer, in 64 bits, then shift."""
    THRESHOLDS = "thresholds"
    """Compare the sum of products with 2^b - 1 int32 thresholds of its output channel."""


def in_form(network: IntegerNetwork, form: RequantizationForm) -> IntegerNetwork:
    """Return an integer-only network that requantizes in the given way, by multipliers or by thresholds; its codes stay
    the same.

    Layers without weights do not change: they always use multipliers.

    Args:
        network: The network, with multipliers or thresholds.
        form: How the returned network requantizes: by multipliers or by thresholds.
    """

    def changed(layer: IntegerLayer) -> IntegerLayer:
        if not isinstance(layer, IntegerConvolution):
            return layer
        if form is RequantizationForm.MULTIPLIER:
            return replace(layer, thresholds=None)
        output = network.tensors[layer.output]
        found = thresholds_of(layer.requantization, layer.bias, output.zero_point, output.bits)
        return replace(layer, thresholds=found)

    return replace(network, layers=tuple(changed(layer) for layer in network.layers))


def form_of(network: IntegerNetwork) -> RequantizationForm:
    """Return how an integer-only network requantizes: `THRESHOLDS` if it has layers with weights and all of them have
    thresholds, else `MULTIPLIER`.
    """
    convolutions = [layer for layer in network.layers if isinstance(layer, IntegerConvolution)]
    compares = bool(convolutions) and all(layer.thresholds is not None for layer in convolutions)
    return RequantizationForm.THRESHOLDS if compares else RequantizationForm.MULTIPLIER
