"""Samples of a network with several inputs: one vector that joins the flattened inputs in the order of the network.

    inputs of the network      image (3, 8, 8)      vector (5)
    elements of a sample       0 to 191             192 to 196

A network with one input reads its samples in their own shape, and its joined sample is the sample itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array
from network.network_input import NetworkInput


class _Array(Protocol):
    """Array of numpy or torch with the samples along its first dimension."""

    @property
    def shape(self) -> Any: ...

    def __getitem__(self, selected: Any, /) -> Any: ...

    def reshape(self, shape: Any, /) -> Any: ...


T = TypeVar("T", bound=_Array)


def joined_dims(inputs: Sequence[NetworkInput]) -> tuple[int, ...]:
    """Return the extents of one sample of a network: those of its only input, or the length of the joined vector."""
    if len(inputs) == 1:
        return inputs[0].format.dims
    return (sum(each.shape.elements for each in inputs),)


def samples_of_inputs(samples: T, inputs: Sequence[NetworkInput]) -> dict[str, T]:
    """Split joined samples into the samples of each input, as the caller stores them.

    Args:
        samples: The samples, [n, *joined_dims(inputs)].
        inputs: The inputs of the network.

    Returns:
        Name of each input -> its samples, [n, *dims of the input's format].
    """
    return dict(_split(samples, [(each.name, each.shape.elements, each.format.dims) for each in inputs]))


def input_tensors(values: T, inputs: Sequence[NetworkInput]) -> dict[str, T]:
    """Split joined values of the input tensors into the tensors.

    Args:
        values: The values that `joined_input` returns, as an array of numpy or torch: [n, channels, height, width] of
            the only input, or [n, elements] of several.
        inputs: The inputs of the network.

    Returns:
        Name of each input -> its tensor, [n, channels, height, width].
    """
    return dict(_split(values, [(each.name, each.shape.elements, tuple(each.shape)) for each in inputs]))


def joined_input(samples: npt.NDArray[np.generic], inputs: Sequence[NetworkInput]) -> Float32Array:
    """Convert joined samples to the joined values of the input tensors, each by the format of its input.

    Args:
        samples: The samples, [n, *joined_dims(inputs)].
        inputs: The inputs of the network.

    Returns:
        float32 [n, channels, height, width] of the only input; float32 [n, elements] of several inputs, whose tensors
        are flattened in the order channel, height, width.
    """
    parts = samples_of_inputs(samples, inputs)
    tensors = [each.format.to_input_tensor(parts[each.name], each.shape) for each in inputs]
    return tensors[0] if len(inputs) == 1 else joined(tensors)


def joined(parts: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Flatten arrays [n, ...] behind their first dimension and join them to one array [n, elements]."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _split(values: T, parts: Sequence[tuple[str, int, tuple[int, ...]]]) -> Iterator[tuple[str, T]]:
    """Yield the name and the values of each part, given the name, the number of elements and the extents of each."""
    if len(parts) == 1:
        yield parts[0][0], values
        return
    start = 0
    for name, elements, extents in parts:
        yield name, values[:, start : start + elements].reshape((values.shape[0], *extents))
        start += elements
