"""Warnings about a network's input before a training run: narrow features, rare spikes, and values out of range."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

import numpy as np

from network.joined_samples import input_tensors
from network.layers import Float32Array
from network.network_input import NetworkInput
from qat.calibration import calibrated_input_grid
from qat.data.batches import Split
from qat.data.dataset import Dataset, Indices, SampleSource, to_input_tensor
from qat.data.feature_scales import MIN_CODES, narrow_feature_warning
from qat.quantized_network import QuantizedNetwork
from qat.quantizers.fake_quantize import Grid

CHECKED_SAMPLES: Final = 256
"""Largest number of samples of each set whose input values are compared with the range of the input."""

MARGIN: Final = 0.125
"""Distance from the range of the input, as a share of its width, from which a value counts as outside."""

LEAST_OUTSIDE_PERCENT: Final = 1.0
"""Percentage of input values outside the range, above that of the calibration samples, from which a set is reported."""

USUAL_PERCENT: Final = 95.0
"""Percentage of the values of an input that count as usual; the values beyond, at both ends, are rare."""

SPIKES_FROM: Final = 0.5
"""Share of the input's range that the values must span: otherwise it is not their spikes that make the range wide."""

_ADVISED_PERCENTS: Final = (99.9, 99.5, 99.0, 98.0, 97.0, 96.0, USUAL_PERCENT)
_MOST_WIDENED: Final = 3.0


def input_warnings(module: QuantizedNetwork, dataset: Dataset, split: Split) -> Iterator[str]:
    """Yield the warnings about the inputs of a network. With several inputs, each warning names its input.

    Args:
        module: The fake-quantized network, whose options say how its inputs are calibrated. It is not changed.
        dataset: The dataset, in shapes that fit the network.
        split: Split of the training set into samples for training and held-out samples.

    Raises:
        DatasetError: If a sample cannot be read.
    """
    inputs = module.network.inputs
    for given in inputs:
        for warning in _warnings_of(module, dataset, split, given):
            yield warning if len(inputs) == 1 else f"input '{given.name}': {warning}"


def _warnings_of(module: QuantizedNetwork, dataset: Dataset, split: Split, given: NetworkInput) -> Iterator[str]:
    network, training = module.network, split.training[: module.options.calibration_samples]
    narrow = narrow_feature_warning(network, dataset.train_x, given)
    if narrow is not None:
        yield narrow
    grid = calibrated_input_grid(module, dataset.train_x[training], given)
    seen = _values(module, dataset.train_x, training, given)
    spikes = None if narrow is not None else spike_warning(given.name, grid, seen)
    if spikes is not None:
        yield spikes
    sets = {"held-out": (dataset.train_x, split.validation)}
    if dataset.has_test_set:
        sets["test"] = dataset.test_x, np.arange(len(dataset.test_x), dtype=np.int64)
    for name, (samples, indices) in sets.items():
        outside = outside_warning(name, grid, seen, _values(module, samples, indices, given))
        if outside is not None:
            yield outside


def _values(module: QuantizedNetwork, samples: SampleSource, indices: Indices, given: NetworkInput) -> Float32Array:
    """Return the values of an input in up to `CHECKED_SAMPLES` samples at equal distances among the given ones."""
    some = np.linspace(0, len(indices) - 1, min(len(indices), CHECKED_SAMPLES)).astype(np.int64)
    network = module.network
    return input_tensors(to_input_tensor(samples[indices[some]], network), network.inputs)[given.name]


def spike_warning(tensor: str, grid: Grid, values: Float32Array) -> str | None:
    """Return a warning if rare values decide the range of the input, so that the usual values have few codes.

    Args:
        tensor: Name of the input tensor.
        grid: The quantization grid of the input.
        values: Input values in calibration samples, of any shape.

    Returns:
        The text of the warning; None if there is no reason for one, or if the input has fewer than 8 bits.
    """
    low, high = _central(values, USUAL_PERCENT)
    codes = (high - low) / grid.scale
    lowest, highest = _ends(grid)
    has_spikes = float(values.max()) - float(values.min()) >= SPIKES_FROM * (highest - lowest)
    if grid.bits < 8 or not has_spikes or not 0 < codes < MIN_CODES:
        return None
    advised = USUAL_PERCENT
    for percent in reversed(_ADVISED_PERCENTS):
        least, most = _central(values, percent)
        if most - least <= _MOST_WIDENED * (high - low):
            advised = percent
    override = json.dumps({tensor: {"range_setting": "percentile", "range_percentile": advised}})
    return (
        f"{USUAL_PERCENT:g} % of the input's values are between {low:.4g} and {high:.4g}, but rare values widen the "
        f"range of the input to {lowest:.4g} to {highest:.4g}, in which the usual values have {max(1, round(codes))} "
        "of 256 codes; remove the rare values, or choose the range of the input by a percentile, with the training "
        f"option overrides: {override}"
    )


def _central(values: Float32Array, percent: float) -> tuple[float, float]:
    """Return the ends between which the given percentage of the values are, with equal shares outside at both ends."""
    low, high = np.percentile(values, [(100.0 - percent) / 2, (100.0 + percent) / 2])
    return float(low), float(high)


def outside_warning(name: str, grid: Grid, seen: Float32Array, values: Float32Array) -> str | None:
    """Return a warning if a set of samples has many values outside the range of the input.

    Args:
        name: Name of the set: held-out or test.
        grid: The quantization grid of the input, as calibration sets it.
        seen: Input values in calibration samples, of any shape.
        values: Input values in samples of the set, of any shape.

    Returns:
        The text of the warning; None if the share of values outside is about that of the calibration samples.
    """
    lowest, highest = _ends(grid)
    margin = MARGIN * (highest - lowest)

    def outside_percent(of: Float32Array) -> float:
        return 100.0 * float(((of < lowest - margin) | (of > highest + margin)).mean())

    usual, found = outside_percent(seen), outside_percent(values)
    if found <= 3 * usual + LEAST_OUTSIDE_PERCENT:
        return None
    return (
        f"{found:.1f} % of the input values of the {name} samples are far outside {lowest:.4g} to {highest:.4g}, the "
        f"range that calibration has found in training samples ({usual:.1f} % of theirs), and are clipped: the {name} "
        f"values are between {values.min():.4g} and {values.max():.4g}; check that both have the same preprocessing"
        ", or give more training samples of this kind and a larger calibration_samples"
    )


def _ends(grid: Grid) -> tuple[float, float]:
    return grid.lowest_step * grid.scale, grid.highest_step * grid.scale
