"""Dimensions of the inputs and outputs of the ONNX form of an integer-only network: those of the source file.

A sample of rank 1 or 2, such as a vector [640] or a spectrogram [40, 98], stays of that rank: the ONNX graph starts
with a Reshape to an image, and with a Transpose if its channels are last. A sample of rank 3 is an image, channels
first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from network.host_graph import HostGraph
from network.layers import Float32Array, Shape
from network.network_input import NetworkInput

IMAGE_RANK = 3
"""Number of dimensions of an image, without the batch."""


def input_extents(given: NetworkInput) -> tuple[int, ...]:
    """Return the extents of one sample of an input of the ONNX form, without the batch: of the source file, or of the
    image.
    """
    dims = given.format.dims
    return tuple(given.shape) if len(dims) == IMAGE_RANK else dims


def is_transposed(given: NetworkInput) -> bool:
    """Return whether the elements of an input's sample in the ONNX form have the order height, width, channels."""
    shape = given.shape
    has_one_order = shape.channels == 1 or shape.height * shape.width == 1
    return given.format.channels_last and len(given.format.dims) != IMAGE_RANK and not has_one_order


def to_onnx_input(given: NetworkInput, values: Float32Array) -> Float32Array:
    """Return values of an input tensor in the dimensions of that input of the ONNX form.

    Args:
        given: The input of the integer-only network.
        values: Real values, [n, channels, height, width].

    Returns:
        The values, [n, *input_extents].
    """
    if is_transposed(given):
        values = values.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(values.reshape(len(values), *input_extents(given)))


def output_extents(graph: HostGraph | None, shapes: Mapping[str, Shape]) -> dict[str, tuple[int, ...]]:
    """Return the extents in the source file of output tensors that are not images there, without the batch.

    Args:
        graph: Host graph of the network; None if it is not known.
        shapes: Shape of each tensor of the network, by name.

    Returns:
        Name of the output tensor -> its extents. A tensor from which the host computes something is left out.
    """
    if graph is None:
        return {}
    found = graph.extents_of_outputs(shapes)
    without_batch = {name: dims[1:] if dims[:1] == (1,) and len(dims) > 1 else dims for name, dims in found.items()}
    return {name: dims for name, dims in without_batch.items() if len(dims) != IMAGE_RANK}
