"""Computation that the caller's program does behind a network, from its tensors to the outputs of the file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from network.errors import InvalidNetwork
from network.names import shown
from network.shapes import Shape

MAX_HOST_GRAPH_BYTES: Final = 8 * 2**20
"""Largest size in bytes of the ONNX model of a host graph; a larger one is left out."""

MAX_HOST_READS: Final = 1000
"""Largest number of values that a host graph reads from the network."""

MAX_HOST_RANK: Final = 8
"""Largest number of dimensions of a value that a host graph reads."""


@dataclass(frozen=True, slots=True)
class HostRead:
    """A value of the file that is a tensor of the network, or a sample of the caller, with the dimensions of the file.

    Attributes:
        value: Name of the value in the file.
        tensor: Name of the tensor of the network; that of the input if the value is a sample.
        dims: Dimensions of the value in the file, with a batch of 1 where the file has a batch.
        channels_last: Whether the elements have the order height, width, channels; else channels, height, width.
        is_sample: Whether the value is the sample of an input as the caller stores it, before the format is applied.
    """

    value: str
    tensor: str
    dims: tuple[int, ...]
    channels_last: bool = False
    is_sample: bool = False


@dataclass(frozen=True, slots=True)
class HostGraph:
    """Computation of all outputs of a file from the tensors of the network.

    Attributes:
        reads: Values that are read from the network; each is an input of the model or an output of the file.
        outputs: Names of the outputs of the file, in the order of the file.
        model: ONNX model, serialized, whose inputs are float32 values of `reads` and whose outputs are the outputs of
            the file that are not in `reads`; empty if there are none. It holds its constants itself, and refers to no
            other file.
    """

    reads: tuple[HostRead, ...]
    outputs: tuple[str, ...]
    model: bytes = b""

    def extents_of_outputs(self, shapes: Mapping[str, Shape]) -> dict[str, tuple[int, ...]]:
        """Return the dimensions in the file of the network's output tensors that the file returns without a host step.

        Args:
            shapes: Shape of each tensor of the network, by name.

        Returns:
            Name of the tensor -> its dimensions in the file, with the batch of 1. A tensor whose elements have another
            order in the file, or that the file returns with different dimensions, is left out.
        """
        found: dict[str, set[tuple[int, ...]]] = {}
        for read in self.reads:
            in_order = not read.channels_last or 1 in (
                shapes[read.tensor].channels,
                shapes[read.tensor].height * shapes[read.tensor].width,
            )
            if read.value in self.outputs and not read.is_sample and in_order:
                found.setdefault(read.tensor, set()).add(read.dims)
        return {tensor: dims.pop() for tensor, dims in found.items() if len(dims) == 1}


def check_host_graph(
    graph: HostGraph, shapes: Mapping[str, Shape], outputs: tuple[str, ...], inputs: tuple[str, ...]
) -> None:
    """Reject a host graph that does not belong to a network.

    Args:
        graph: The host graph.
        shapes: Shape of each tensor of the network, by name.
        outputs: Names of the network's output tensors.
        inputs: Names of the network's input tensors.

    Raises:
        InvalidNetwork: If a value is read from a tensor that is not an output, or a sample from one that is not an
            input, if it has another number of elements, or if the model is too large.
    """
    if len(graph.reads) > MAX_HOST_READS or len(graph.model) > MAX_HOST_GRAPH_BYTES:
        raise InvalidNetwork(
            f"the host graph has {len(graph.reads)} reads and a model of {len(graph.model)} bytes; expected at most "
            f"{MAX_HOST_READS} reads and {MAX_HOST_GRAPH_BYTES} bytes"
        )
    for read in graph.reads:
        expected, role = (inputs, "input") if read.is_sample else (outputs, "output")
        if read.tensor not in expected or read.tensor not in shapes:
            raise InvalidNetwork(
                f"the host graph reads '{shown(read.tensor)}', which is not an {role} of the network; expected one of "
                f"{', '.join(shown(name) for name in expected[:5])}"
            )
        if len(read.dims) > MAX_HOST_RANK or math.prod(read.dims) != shapes[read.tensor].elements:
            raise InvalidNetwork(
                f"the host graph reads '{shown(read.tensor)}' with the dimensions {list(read.dims)[:MAX_HOST_RANK]}; "
                f"expected dimensions with {shapes[read.tensor].elements} elements"
            )
