"""Requantization factors: ratios of scales, limited to those that the device can multiply by.

An output tensor that is nearly zero on all calibration samples, such as that of a ReLU that never fires, has a very
small scale, so that the factor exceeds int32. With any factor of `LARGEST_FACTOR` or more, an accumulator of 0 gives 0
steps and every other accumulator saturates the code. The largest factor therefore gives the same codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from deploy.arithmetic import INT32_MAX, Requantization, encode_factors, encode_factors_of_int32_sum
from network.layers import Activation, Add, AveragePool, Layer, Shape
from qat.quantizers.fake_quantize import Grid

LARGEST_FACTOR: Final = float(INT32_MAX)
"""Largest factor that a multiplier can have."""


BELOW_TIES: Final = 1 - 2.0**-30
"""Factor by which the averages of a pool are reduced, one or two units of the multiplier, so that an average that is
exactly between two codes is rounded down. LiteRT does the same for int8 codes below 0, which most averages behind a
ReLU have. No other average changes its code: the next one is 1 / (2 * divisor) away."""


def limited(factors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Limit the magnitude of each factor of an accumulator to `LARGEST_FACTOR`; the codes stay the same.

    Args:
        factors: The factors, [k]. Factors that are not finite stay, so that they are rejected when they are encoded.
    """
    values = np.atleast_1d(np.asarray(factors, dtype=np.float64))
    return np.where(np.isfinite(values), np.clip(values, -LARGEST_FACTOR, LARGEST_FACTOR), values)


def limited_of_sum(factors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Divide the factors of a sum by one number so that none exceeds `LARGEST_FACTOR`.

    Their ratios stay the same, so the sum keeps its sign, and saturates the code wherever it is not nearly 0.

    Args:
        factors: The factors, [k]. If one is not finite, all stay, so that they are rejected when they are encoded.
    """
    values = np.atleast_1d(np.asarray(factors, dtype=np.float64))
    largest = np.abs(values).max(initial=0.0)
    return values / (largest / LARGEST_FACTOR) if LARGEST_FACTOR < largest < np.inf else values


def requantization_of(layer: Layer, shape: Shape, grids: Mapping[str, Grid]) -> Requantization:
    """Compute the requantization factors of a layer without weights: the encoded ratios of input scale to output scale.

    Args:
        layer: The layer.
        shape: Shape of the layer's first input.
        grids: Quantization grid of each activation tensor, by tensor name.

    Returns:
        One encoded factor for each input; for an average pool, one for each of its divisors.

    Raises:
        ConversionError: If the ratio of two scales is not finite.
    """
    factors = [grids[tensor].scale / grids[layer.output].scale for tensor in layer.inputs]
    if isinstance(layer, Add | Activation):
        sources, target = [grids[tensor] for tensor in layer.inputs], grids[layer.output]
        largest_steps = [max(-source.lowest_step, source.highest_step) for source in sources]
        return encode_factors_of_int32_sum(limited_of_sum(factors), layer.name, largest_steps, -target.lowest_step)
    if isinstance(layer, AveragePool):
        factors = [factors[0] / divisor * BELOW_TIES for divisor in layer.divisors(shape)]
    return encode_factors(limited(factors), layer.name)
