"""Calibration: measures the initial quantization range of each activation tensor on training samples in the float
network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from deploy.arithmetic import top_code
from deploy.input_codes import HALF_TOLERANCE, MAX_TABLE_ROWS, distance_from_half, rows_of
from network.allocation import WIDEST_BITS, Bits
from network.errors import TrainingError
from network.joined_samples import input_tensors, samples_of_inputs
from network.layers import LINEAR, Float32Array
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from qat.data.batches import tensor_of
from qat.data.dataset import Samples, input_tensor_of
from qat.float_network import FloatNetwork
from qat.options.names import ActivationRange, RangeSetting
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.fake_quantize import Grid
from qat.quantizers.histogram import BINS, Histogram, histogram_of, least_error_range, percentile_range
from qat.quantizers.ranges import ActivationTensorRange, InputRange, grid_of

CLIPPED_AT = 6.0
"""Upper end of a ReLU output's quantization range if the option `activation_range` is `clipped`."""

_MOST_MOVED_STEPS = 1 / 16
"""Largest number of quantization steps by which a value moves where the input's scale keeps bytes away from halves."""

_SCALE_ATTEMPTS = 64

_SAMPLES_AT_ONCE = 32


def calibrate(module: QuantizedNetwork, samples: Samples, float_network: FloatNetwork | None = None) -> None:
    """Set the initial quantization range of each activation tensor of a fake-quantized network from measurements on
    samples.

    A tensor of 8 bits to which a quantized file gives a range (`Network.ranges`) starts with this range, unless an
    override of its layer says how its range is chosen.

    Args:
        module: The fake-quantized network whose ranges are set.
        samples: A few hundred training samples [n, ...], in the form in which the dataset stores them.
        float_network: The same network in float32, whose activations are measured; None builds it.

    Raises:
        TrainingError: If an activation is not finite on the samples.
    """
    network = module.network
    # Inputs beyond an input's grid are clipped on the device. The other ranges are those of clipped inputs, then.
    clipped_to: dict[str, Grid] = {}
    for given in network.inputs:
        source = module.range_of(given.name)
        assert isinstance(source, InputRange)  # noqa: S101  # by construction
        setting, _ = _range_setting(module, given.name)
        grid = calibrated_input_grid(module, samples, given)
        source.start(grid, samples_are_bytes=samples.dtype == np.uint8)
        if setting is not RangeSetting.MIN_MAX:
            clipped_to[given.name] = grid
    functions = {layer.output: layer.activation for layer in network.layers}
    float_network = float_network or FloatNetwork(network).eval()
    for tensor, histogram in histograms(float_network, samples, clipped_to).items():
        own = module.range_of(tensor)
        if module.range_owner[tensor] != tensor or not isinstance(own, ActivationTensorRange):
            continue
        if module.activation_range(tensor) is ActivationRange.CLIPPED and functions[tensor].low == 0.0:
            own.start(0.0, CLIPPED_AT)
        elif has_range_of_file(network, tensor, own.bits) and module.override(tensor).range_setting is None:
            own.start(*network.ranges[tensor])
        else:
            own.start(*_starting_range(histogram, own.bits, module, tensor))


def calibrated_input_grid(module: QuantizedNetwork, samples: Samples, given: NetworkInput) -> Grid:
    """Choose the quantization grid of an input of a fake-quantized network by the network's options.

    Args:
        module: The fake-quantized network, which is not changed.
        samples: Training samples [n, ...], in the form in which the dataset stores them.
        given: The input.
    """
    setting, percent = _range_setting(module, given.name)
    chosen_by_override = module.override(given.name).range_setting is not None
    bits = module.range_of(given.name).bits
    return input_grid(
        module.network, samples, bits, setting, percent, given=given, range_of_file=not chosen_by_override
    )


def has_range_of_file(network: Network, tensor: str, bits: Bits) -> bool:
    """Return whether a tensor starts with the range that a quantized file gives it.

    With fewer than 8 bits, such a wide range would have few codes for the usual values, and samples decide.
    """
    return bits == WIDEST_BITS and tensor in network.ranges


def _starting_range(histogram: Histogram, bits: Bits, module: QuantizedNetwork, tensor: str) -> tuple[float, float]:
    setting, percent = _range_setting(module, tensor)
    match setting:
        case RangeSetting.MIN_MAX:
            return histogram.low, histogram.high
        case RangeSetting.PERCENTILE:
            return percentile_range(histogram, percent)
        case RangeSetting.MEAN_SQUARED_ERROR:
            return least_error_range(histogram, bits)


def _range_setting(module: QuantizedNetwork, tensor: str) -> tuple[RangeSetting, float]:
    """Return how the range of a tensor is chosen, and the percentage of values inside it for the percentile setting."""
    override, options = module.override(tensor), module.options
    percent = override.range_percentile
    return (
        override.range_setting or options.range_setting,
        options.range_percentile if percent is None else percent,
    )


def input_grid(
    network: Network,
    samples: Samples,
    bits: Bits,
    setting: RangeSetting = RangeSetting.MIN_MAX,
    percent: float = 100.0,
    *,
    given: NetworkInput | None = None,
    range_of_file: bool = True,
) -> Grid:
    """Choose the quantization grid (scale and zero point) of an input tensor of the network.

    If the samples are whole numbers between 0 and 2^bits - 1 (such as the bytes of an image) and the input format is
    (sample - m) * s with one m in this range and one s, each sample is its own code: the scale is s, and the zero point
    is m, rounded to the nearest code. Otherwise the codes cover the range that a quantized file gives the input, at 8
    bits, or the range that the setting chooses, so that rare spikes of a sensor need not decide it; the scale is then
    widened a little, so that no byte is half way between two codes.

    Args:
        network: The network.
        samples: Training samples [n, ...], in the form in which the dataset stores them.
        bits: Number of bits of each input code: 8, 4 or 2.
        setting: How the range is chosen from the input values in the samples.
        percent: Percentage of the values inside the range of the percentile setting, 50 to 100.
        given: The input whose grid is chosen; None for the only input.
        range_of_file: Whether the range that a quantized file gives the input comes before the setting, at 8 bits.
    """
    given = given or network.only_input
    samples = samples_of_inputs(samples, network.inputs)[given.name]
    own = _grid_of_own_codes(given.format, samples, bits)
    if own is not None:
        return own
    if range_of_file and has_range_of_file(network, given.name, bits):
        grid = grid_of(*network.ranges[given.name], bits, LINEAR)
    else:
        grid = grid_of(*_input_range(input_tensor_of(samples, given), bits, setting, percent), bits, LINEAR)
    has_table = samples.dtype == np.uint8 and rows_of(given.format) <= MAX_TABLE_ROWS
    return _away_from_halves(grid, given.format) if has_table else grid


def _grid_of_own_codes(input_format: InputFormat, samples: Samples, bits: Bits) -> Grid | None:
    """Return the quantization grid in which each sample is its own code; None if there is none."""
    subtract, multiply = set(input_format.subtract), set(input_format.multiply)
    if not len(subtract) == len(multiply) == 1:
        return None
    (zero,), (scale,) = subtract, multiply
    top = top_code(bits)
    if scale <= 0 or not 0 <= zero <= top or not _are_codes(samples, top):
        return None
    # The zero point for which floor(sample - zero + 1/2 + tolerance) + zero_point is the sample.
    return Grid(bits, scale, -math.floor(0.5 + HALF_TOLERANCE - zero))


def _away_from_halves(grid: Grid, input_format: InputFormat) -> Grid:
    """Widen a quantization grid a little, until no byte is half way between two codes; keep the best of all tries."""
    best, best_distance = grid, 0.0
    most = _MOST_MOVED_STEPS / top_code(grid.bits)
    for attempt in range(_SCALE_ATTEMPTS):
        scale = grid.scale * (1 + most * attempt / _SCALE_ATTEMPTS)
        distance = distance_from_half(input_format, scale)
        if distance > best_distance:
            best, best_distance = replace(grid, scale=scale), distance
        if distance >= 2 * HALF_TOLERANCE:
            break
    return best


def _input_range(inputs: Float32Array, bits: Bits, setting: RangeSetting, percent: float) -> tuple[float, float]:
    low, high = min(float(inputs.min()), 0.0), max(float(inputs.max()), 0.0)
    match setting:
        case RangeSetting.MIN_MAX:
            return low, high
        case RangeSetting.PERCENTILE:
            # All values are in memory: unlike those of a histogram, their percentiles are exact for any spike.
            outside = (1.0 - percent / 100.0) / (2 if low < 0.0 < high else 1)
            ends = np.quantile(inputs, [outside, 1.0 - outside])
            return min(float(ends[0]), 0.0), max(float(ends[1]), 0.0)
        case RangeSetting.MEAN_SQUARED_ERROR:
            return least_error_range(histogram_of(torch.from_numpy(inputs)), bits)


def histograms(
    float_network: FloatNetwork, samples: Samples, clipped_to: Mapping[str, Grid] | None = None
) -> dict[str, Histogram]:
    """Compute the histogram of the values of each activation tensor over the samples, by tensor name.

    The samples are processed in small batches, twice: for the minimum and maximum, then for the counts.

    Args:
        float_network: The float network.
        samples: Training samples [n, ...], in the form in which the dataset stores them.
        clipped_to: Name of each input that is clipped -> grid to whose smallest and largest value it is clipped; None
            clips no input.

    Raises:
        TrainingError: If an activation is not finite.
    """
    extremes: dict[str, tuple[float, float]] = {}
    clipped_to = clipped_to or {}
    for tensors in _runs(float_network, samples, clipped_to):
        for name, values in tensors.items():
            low, high = extremes.get(name, (0.0, 0.0))
            least, greatest = (float(each) for each in values.aminmax())
            if not (math.isfinite(least) and math.isfinite(greatest)):
                raise TrainingError(
                    f"tensor '{name}' of the float network has a value that is not finite on the training samples; "
                    "expected finite values: check that the network's weights are finite and that its input "
                    "normalisation fits the samples"
                )
            extremes[name] = min(low, least), max(high, greatest)
    counts = {name: np.zeros(BINS) for name in extremes}
    for tensors in _runs(float_network, samples, clipped_to):
        for name, values in tensors.items():
            counts[name] += histogram_of(values, *extremes[name]).counts
    return {name: Histogram(*extremes[name], counts[name]) for name in extremes}


@torch.no_grad()
def _runs(float_network: FloatNetwork, samples: Samples, clipped_to: Mapping[str, Grid]) -> Iterator[dict[str, Tensor]]:
    for start in range(0, len(samples), _SAMPLES_AT_ONCE):
        batch = samples[start : start + _SAMPLES_AT_ONCE]
        inputs = tensor_of(batch, float_network.network)
        yield float_network.tensors(_clipped(inputs, float_network.network, clipped_to) if clipped_to else inputs)


def _clipped(inputs: Tensor, network: Network, clipped_to: Mapping[str, Grid]) -> Tensor:
    """Return the joined values of the inputs, each clipped to its grid if it has one."""
    parts = input_tensors(inputs, network.inputs)
    for name, grid in clipped_to.items():
        parts[name] = parts[name].clamp(grid.lowest_step * grid.scale, grid.highest_step * grid.scale)
    if len(network.inputs) == 1:
        return parts[network.only_input.name]
    return torch.cat([part.flatten(1) for part in parts.values()], dim=1)


def _are_codes(samples: Samples, top: int) -> bool:
    if samples.dtype == np.uint8:
        return int(samples.max()) <= top
    return bool(samples.min() >= 0 and samples.max() <= top and (samples == np.floor(samples)).all())
