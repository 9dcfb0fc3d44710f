"""In which of two forms a network requantizes its layers with weights; the codes are the same."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from deploy.integer_network import IntegerConvolution, IntegerLayer, IntegerNetwork
from deploy.thresholds import thresholds_of


class RequantizationForm(StrEnum):
    """How an accumulator becomes a code (arXiv 1905.13082, section 4)."""

    MULTIPLIER = "multiplier"
    """A 64-bit product with an int32 multiplier, and a shift: for every output channel, or one for the layer."""
    THRESHOLDS = "thresholds"
    """Comparison with 2^b - 1 int32 thresholds for every output channel."""


def in_form(network: IntegerNetwork, form: RequantizationForm) -> IntegerNetwork:
    """The same network, with the same codes for every input, in that form.

    Layers without weights have the form of the multiplier alone.
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
    """The form that a network's layers with weights have: the multiplier's where any has it or there are none."""
    convolutions = [layer for layer in network.layers if isinstance(layer, IntegerConvolution)]
    compares = bool(convolutions) and all(layer.thresholds is not None for layer in convolutions)
    return RequantizationForm.THRESHOLDS if compares else RequantizationForm.MULTIPLIER
