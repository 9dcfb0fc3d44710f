"""Requantization factors of layers without weights: ratios of input scale to output scale, encoded as on the device."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.arithmetic import Requantization, encode_factors, encode_factors_of_sum
from network.layers import Activation, Add, AveragePool, Layer, Shape
from qat.quantizers.fake_quantize import Grid


def requantization_of(layer: Layer, shape: Shape, grids: Mapping[str, Grid]) -> Requantization:
    """Compute the requantization factors of a layer without weights: the encoded ratios of input scale to output scale.

    Args:
        layer: The layer.
        shape: Shape of the layer's first input.
        grids: Quantization grid of each activation tensor, by tensor name.

    Returns:
        One encoded factor for each input; for an average pool, one for each of its divisors.

    Raises:
        ConversionError: If the ratio of two scales is out of the range of a multiplier.
    """
    factors = [grids[tensor].scale / grids[layer.output].scale for tensor in layer.inputs]
    if isinstance(layer, Add | Activation):
        return encode_factors_of_sum(factors, layer.name)
    if isinstance(layer, AveragePool):
        factors = [factors[0] / divisor for divisor in layer.divisors(shape)]
    return encode_factors(factors, layer.name)
