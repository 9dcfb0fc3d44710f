"""Values of a network's input tensors where no samples are known: their bounds, and the samples that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from network.joined_samples import joined
from network.layers import Float32Array
from network.network import Network
from network.network_input import InputFormat, NetworkInput
from qat.data.dataset import Samples, sample_dims
from qat.data.unseen import UnseenSamples


@dataclass(frozen=True, eq=False)
class Bounds:
    """Smallest and largest values of an input tensor.

    Attributes:
        low: Smallest value of each channel, float32 [1, channels or 1, 1, 1].
        high: Largest value of each channel, of the same shape.
    """

    low: Tensor
    high: Tensor

    def clipped(self, values: Tensor) -> Tensor:
        """Return values of the tensor, [n, channels, height, width], clipped to the bounds."""
        return torch.minimum(torch.maximum(values, self.low), self.high)


def bounds_of(network: Network, given: NetworkInput, unseen: UnseenSamples) -> Bounds | None:
    """Return the bounds of an input tensor; None if they are not known.

    Args:
        network: The network, whose file may contain the range of the tensor.
        given: The input.
        unseen: What is known of the samples; it comes before the range in the file.
    """
    if unseen.bounds is None:
        if given.name not in network.ranges:
            return None
        low, high = network.ranges[given.name]
        return Bounds(torch.full((1, 1, 1, 1), low), torch.full((1, 1, 1, 1), high))
    subtract, multiply = _normalisation(given.format)
    ends = [(end - subtract) * multiply for end in unseen.bounds]
    return Bounds(*(torch.from_numpy(end.astype(np.float32)) for end in (np.minimum(*ends), np.maximum(*ends))))


def samples_of(network: Network, tensors: Sequence[Tensor], unseen: UnseenSamples) -> Samples:
    """Return the samples whose normalisation gives values of the input tensors.

    Bytes are rounded to nearest, and all samples are clipped to their bounds.

    Args:
        network: The network.
        tensors: Values of each input in the order of the network, float32 [n, channels, height, width].
        unseen: What is known of the samples.

    Returns:
        Samples in the form in which a dataset stores them, [n, *dims], joined if there are several inputs.
    """
    parts = [
        _samples_of_input(values.numpy(), given, unseen) for values, given in zip(tensors, network.inputs, strict=True)
    ]
    if len(parts) > 1:
        return joined(parts)
    (given,), (samples,) = network.inputs, parts
    if sample_dims(given.format, samples.dtype) != given.format.dims:
        samples = samples.transpose(0, 2, 3, 1).copy()  # images of bytes are stored as height, width, channels
    return samples


def _samples_of_input(values: Float32Array, given: NetworkInput, unseen: UnseenSamples) -> Samples:
    """Return the samples of one input in the layout of its format, [n, *dims]."""
    subtract, multiply = _normalisation(given.format)
    samples: np.ndarray = values / multiply + subtract
    if unseen.bounds is not None:
        samples = samples.clip(*unseen.bounds)
    if given.format.channels_last:
        samples = samples.transpose(0, 2, 3, 1)
    samples = samples.reshape(len(samples), *given.format.dims)
    return np.rint(samples).astype(np.uint8) if unseen.are_bytes else samples.astype(np.float32, copy=False)


def _normalisation(input_format: InputFormat) -> tuple[np.ndarray, np.ndarray]:
    """Return what is subtracted from a sample, and what the difference is multiplied with, for each channel."""
    subtract, multiply = (
        input_format.along_channels(np.asarray(numbers, dtype=np.float64))
        for numbers in (input_format.subtract, input_format.multiply)
    )
    return subtract, multiply
