"""The factors of layers without weights, from steps of their inputs to steps of their output, as the chip has them."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.arithmetic import Requantization, encode_factors, encode_factors_of_sum
from network.layers import Activation, Add, AveragePool, Layer, Shape
from qat.quantizers.fake_quantize import Grid


def requantization_of(layer: Layer, shape: Shape, grids: Mapping[str, Grid]) -> Requantization:
    """One factor for each input; of an average pool, for each of its `divisors`.

    Args:
        layer: one without weights.
        shape: of its first input.
        grids: tensor -> what its codes stand for.

    Raises:
        ConversionError: scales too far apart for a multiplier.
    """
    factors = [grids[tensor].scale / grids[layer.output].scale for tensor in layer.inputs]
    if isinstance(layer, Add | Activation):
        return encode_factors_of_sum(factors, layer.name)
    if isinstance(layer, AveragePool):
        factors = [factors[0] / divisor for divisor in layer.divisors(shape)]
    return encode_factors(factors, layer.name)
