"""A float neural network: its layers in the order in which they run, and its activation tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from network.errors import InvalidNetwork
from network.host_graph import HostGraph, check_host_graph
from network.host_steps import HostSteps
from network.layers import Layer, Shape, WeightLayer
from network.network_input import MAX_INPUTS, NetworkInput
from network.shared_weights import WeightOwners, check_shared_weights

MAX_TENSOR_ELEMENTS: Final = 2**31 - 1
"""Largest number of elements of a tensor: more than any microcontroller can store, and byte counts stay exact."""

MAX_LAYERS: Final = 200_000
"""Largest number of layers of a network."""


@dataclass(frozen=True, eq=False)
class Network:
    """A float neural network; the constructor infers the shape of every tensor and rejects an inconsistent network.

    Attributes:
        name: Name of the network in reports.
        inputs: The activation tensors that the caller writes, in the order of the file; one or more.
        layers: The layers in schedule order: each reads only tensors that are written before it.
        outputs: Names of the tensors that the caller reads.
        ends_in_softmax: Whether the file applied softmax to the output. Softmax does not change the ranking of the
            classes, so it is not deployed.
        ranges: Name of a tensor -> the lowest and the highest real number that its codes cover in the quantized file
            from which the network was read. Empty for a float file; not every tensor needs a range.
        host_steps: What the caller's program computes behind the network, for each output of the file that is not a
            tensor of the network: a final sigmoid, softmax, box decoding, joined heads.
        host_graph: The same computation in a form that can be run, with the dimensions of the outputs in the file; None
            if it is not known.
        shapes: Name of each tensor -> its shape; the inputs first, then in the order in which they are written.
        weight_owners: The layers that store a weight tensor, and the layers that share it.

    Raises:
        InvalidNetwork: if a tensor is dangling or written twice, or if shapes do not match; names the layer. Also if
            layers share a weight tensor but read it in different layouts, or have different values of it. Also if a
            range belongs to no tensor, or is not a finite interval around zero; names the tensor.
    """

    name: str
    inputs: tuple[NetworkInput, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    ends_in_softmax: bool = False
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    host_steps: tuple[HostSteps, ...] = ()
    host_graph: HostGraph | None = None
    shapes: Mapping[str, Shape] = field(init=False)
    weight_owners: WeightOwners = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", MappingProxyType(_infer_shapes(self)))
        check_shared_weights(self.layers, self.shapes)
        object.__setattr__(self, "weight_owners", WeightOwners.among(self.layers))
        _check_ranges(self)
        if self.host_graph is not None:
            check_host_graph(self.host_graph, self.shapes, self.outputs, self.input_names)
        object.__setattr__(self, "ranges", MappingProxyType(dict(self.ranges)))

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of a network's activation tensors in the order in which they are written, the inputs first."""
        return tuple(self.shapes)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the activation tensors that the caller writes, in the order of the file."""
        return tuple(each.name for each in self.inputs)

    @property
    def only_input(self) -> NetworkInput:
        """The input of a network that has one input.

        Raises:
            InvalidNetwork: if the network has several inputs.
        """
        if len(self.inputs) > 1:
            raise InvalidNetwork(f"the network has {len(self.inputs)} inputs; expected a network with one input")
        return self.inputs[0]

    @property
    def weight_layers(self) -> tuple[WeightLayer, ...]:
        """Layers of a network that have a weight tensor, in schedule order."""
        return tuple(layer for layer in self.layers if isinstance(layer, WeightLayer))

    @property
    def has_weights(self) -> bool:
        """Whether the values of every weight tensor of a network are known, not only the number of elements."""
        return all(layer.weight is not None for layer in self.weight_layers)

    def input_shapes(self, layer: Layer) -> tuple[Shape, ...]:
        """Return the shapes of the tensors that a layer reads, in the order of the layer's inputs."""
        return tuple(self.shapes[tensor] for tensor in layer.inputs)

    def weight_elements(self, layer: WeightLayer) -> int:
        """Return the number of elements of a layer's weight tensor."""
        return int(np.prod(layer.weight_shape(self.input_shapes(layer)), dtype=object))

    def readers(self) -> Mapping[str, tuple[Layer, ...]]:
        """Return, for each activation tensor of a network, the layers that read it, in schedule order."""
        readers: dict[str, list[Layer]] = {tensor: [] for tensor in self.shapes}
        for layer in self.layers:
            for tensor in dict.fromkeys(layer.inputs):
                readers[tensor].append(layer)
        return {tensor: tuple(layers) for tensor, layers in readers.items()}

    @property
    def is_chain(self) -> bool:
        """Whether each layer of a network reads only the output of the layer before it, and only the last is output."""
        written = [self.inputs[0].name, *(layer.output for layer in self.layers)]
        return (
            len(self.inputs) == 1
            and self.outputs == (written[-1],)
            and all(layer.inputs == (tensor,) for layer, tensor in zip(self.layers, written, strict=False))
        )


def _infer_shapes(network: Network) -> dict[str, Shape]:
    if not network.layers:
        raise InvalidNetwork("the network has no layers; expected one or more")
    if len(network.layers) > MAX_LAYERS:
        raise InvalidNetwork(f"the network has {len(network.layers)} layers; expected at most {MAX_LAYERS}")
    shapes = _input_shapes(network)
    names: set[str] = set()
    read: set[str] = set(network.outputs)
    for layer in network.layers:
        if layer.name in names:
            raise InvalidNetwork(f"two layers are named '{layer.name}'; rename one of them")
        names.add(layer.name)
        for tensor in layer.inputs:
            if tensor not in shapes:
                raise InvalidNetwork(
                    f"layer '{layer.name}' reads tensor '{tensor}', which is not written before it; sort the layers"
                )
        read.update(layer.inputs)
        if layer.output in shapes:
            raise InvalidNetwork(
                f"layer '{layer.name}' writes tensor '{layer.output}', which an input or an earlier layer has written "
                "already; rename the output"
            )
        shape = layer.output_shape(tuple(shapes[tensor] for tensor in layer.inputs))
        _add_shape(shapes, layer.output, shape, f"the output of layer '{layer.name}'")
    if not network.outputs:
        raise InvalidNetwork("the network has no outputs; expected one or more")
    for output in network.outputs:
        if output not in shapes:
            raise InvalidNetwork(
                f"no layer writes the network's output '{output}'; expected a tensor that a layer writes"
            )
    for layer in network.layers:
        if layer.output not in read:
            raise InvalidNetwork(
                f"tensor '{layer.output}' of layer '{layer.name}' is dangling: "
                "it is not an output of the network, and no layer reads it; remove the layer, or list the tensor as an "
                "output"
            )
    return shapes


def _input_shapes(network: Network) -> dict[str, Shape]:
    if not 1 <= len(network.inputs) <= MAX_INPUTS:
        raise InvalidNetwork(f"the network has {len(network.inputs)} inputs; expected 1 to {MAX_INPUTS}")
    shapes: dict[str, Shape] = {}
    for each in network.inputs:
        if each.name in shapes:
            raise InvalidNetwork(f"two inputs of the network are named '{each.name}'; rename one of them")
        _add_shape(shapes, each.name, each.shape, f"the network's input '{each.name}'")
    return shapes


def _check_ranges(network: Network) -> None:
    for tensor, (low, high) in network.ranges.items():
        if tensor not in network.shapes:
            raise InvalidNetwork(f"the range of '{tensor}' names no tensor of the network; rename or remove the range")
        if not (math.isfinite(low) and math.isfinite(high) and low <= 0 <= high and low < high):
            raise InvalidNetwork(
                f"tensor '{tensor}' has the range [{low}, {high}]; expected a finite interval around zero"
            )


def _add_shape(shapes: dict[str, Shape], tensor: str, shape: Shape, writer: str) -> None:
    if min(shape) < 1:
        raise InvalidNetwork(f"{writer} has the shape {shape}; expected extents of 1 or more")
    if shape.elements > MAX_TENSOR_ELEMENTS:
        raise InvalidNetwork(
            f"{writer} has {shape.elements} elements ({shape}); expected at most {MAX_TENSOR_ELEMENTS}, "
            "more than any microcontroller can store"
        )
    shapes[tensor] = shape
