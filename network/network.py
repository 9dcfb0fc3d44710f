"""A float neural network: its layers in the order in which they run, and its activation tensors."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from network.errors import InvalidNetwork
from network.host_graph import HostGraph, check_host_graph
from network.host_steps import HostSteps
from network.layers import Float32Array, Layer, Shape, WeightLayer
from network.shared_weights import WeightOwners, check_shared_weights

Element = TypeVar("Element", bound=np.generic)

MAX_TENSOR_ELEMENTS: Final = 2**31 - 1
"""Largest number of elements of a tensor: more than any microcontroller can store, and byte counts stay exact."""

MAX_LAYERS: Final = 200_000
"""Largest number of layers of a network."""

_SHOWN_OF_CYCLE: Final = 5
"""Number of layers of a cycle that its error message names."""


@dataclass(frozen=True, eq=False)
class InputFormat:
    """Conversion of the caller's samples to a network's input tensor: x = (sample - subtract) * multiply, transposed.

    Attributes:
        dims: Extents of one sample as the caller stores it, without the batch, e.g. (32, 32, 3) or (640,).
        channels_last: Whether a sample is stored as height, width, channels; else the channels come first.
        subtract: Numbers to subtract from each sample: one number, or one for each channel.
        multiply: Numbers to multiply the difference with: one number, or one for each channel.
        samples_are_bytes: Whether the samples are known to be bytes, 0 to 255, whose codes come from an exact table
            (`deploy.input_codes`). Calibration finds it out; False in a network that was read from a file.
    """

    dims: tuple[int, ...]
    channels_last: bool = False
    subtract: tuple[float, ...] = (0.0,)
    multiply: tuple[float, ...] = (1.0,)
    samples_are_bytes: bool = False

    @property
    def is_normalised_already(self) -> bool:
        """Whether a network's input samples need neither subtraction nor multiplication."""
        return set(self.subtract) == {0.0} and set(self.multiply) == {1.0}

    def to_input_tensor(self, samples: npt.NDArray[np.generic], shape: Shape) -> Float32Array:
        """Convert the caller's samples to values of a network's input tensor, float32 [n, channels, height, width].

        Args:
            samples: Samples as the caller stores them, [n, *dims].
            shape: Shape of the network's input tensor.

        Returns:
            float32 [n, channels, height, width].
        """
        values = self.arranged(samples, shape).astype(np.float32)
        if not self.is_normalised_already:
            subtract = self.along_channels(np.asarray(self.subtract, dtype=np.float32))
            multiply = self.along_channels(np.asarray(self.multiply, dtype=np.float32))
            values = (values - subtract) * multiply
        return np.ascontiguousarray(values, dtype=np.float32)

    def arranged(self, samples: npt.NDArray[Element], shape: Shape) -> npt.NDArray[Element]:
        """Rearrange the caller's samples to the layout of a network's input tensor; no value changes.

        Args:
            samples: Samples as the caller stores them, [n, *dims].
            shape: Shape of the network's input tensor.

        Returns:
            [n, channels, height, width], of the type of the samples.
        """
        if not self.channels_last:
            return samples.reshape(len(samples), *shape)
        # [n, length, channels] is an image of height 1
        return samples.reshape(len(samples), shape.height, shape.width, shape.channels).transpose(0, 3, 1, 2)

    def along_channels(self, numbers: npt.NDArray[Element]) -> npt.NDArray[Element]:
        """Reshape one number, or one number for each channel, so that it broadcasts to [n, channels, height, width]."""
        return numbers.reshape(1, -1, 1, 1)


@dataclass(frozen=True, eq=False)
class Network:
    """A float neural network; the constructor infers the shape of every tensor and rejects an inconsistent network.

    Attributes:
        name: Name of the network in reports.
        input: Name of the activation tensor that the caller writes.
        input_shape: Shape of the input tensor.
        layers: The layers in schedule order: each reads only tensors that are written before it.
        outputs: Names of the tensors that the caller reads.
        input_format: Conversion of the caller's samples to the input tensor.
        ends_in_softmax: Whether the file applied softmax to the output. Softmax does not change the ranking of the
            classes, so it is not deployed.
        ranges: Name of a tensor -> the lowest and the highest real number that its codes cover in the quantized file
            from which the network was read. Empty for a float file; not every tensor needs a range.
        host_steps: What the caller's program computes behind the network, for each output of the file that is not a
            tensor of the network: a final sigmoid, softmax, box decoding, joined heads.
        host_graph: The same computation in a form that can be run, with the dimensions of the outputs in the file; None
            if it is not known.
        shapes: Name of each tensor -> its shape; the input first, then in the order in which they are written.
        weight_owners: The layers that store a weight tensor, and the layers that share it.

    Raises:
        InvalidNetwork: if a tensor is dangling or written twice, or if shapes do not match; names the layer. Also if
            layers share a weight tensor but read it in different layouts, or have different values of it. Also if a
            range belongs to no tensor, or is not a finite interval around zero; names the tensor.
    """

    name: str
    input: str
    input_shape: Shape
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    input_format: InputFormat
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
            check_host_graph(self.host_graph, self.shapes, self.outputs, self.input)
        object.__setattr__(self, "ranges", MappingProxyType(dict(self.ranges)))

    @property
    def tensors(self) -> tuple[str, ...]:
        """Names of a network's activation tensors in the order in which they are written, the input first."""
        return tuple(self.shapes)

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
        written = [self.input, *(layer.output for layer in self.layers)]
        return self.outputs == (written[-1],) and all(
            layer.inputs == (tensor,) for layer, tensor in zip(self.layers, written, strict=False)
        )


def in_schedule_order(layers: Iterable[Layer], given: Iterable[str]) -> tuple[Layer, ...]:
    """Sort the layers of a network so that each reads only tensors that are written before it.

    Of the layers whose inputs are all written, the one that is first in the given order comes next. A given order that
    is valid is therefore kept.

    Args:
        layers: The layers in any order.
        given: Names of the tensors that exist before the first layer: the network's input.

    Raises:
        InvalidNetwork: if a tensor is written by no layer or by two, or if layers form a cycle; names the layers.
    """
    layers = tuple(layers)
    writers = _writers(layers)
    known = set(given)
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for index, layer in enumerate(layers):
        sorter.add(index)
        for tensor in layer.inputs:
            if tensor in writers:
                sorter.add(index, writers[tensor])
            elif tensor not in known:
                raise InvalidNetwork(
                    f"layer '{layer.name}' reads tensor '{tensor}', which no layer writes; correct the name"
                )
    try:
        sorter.prepare()
    except CycleError as error:
        raise _cycle([layers[index] for index in error.args[1]]) from None
    ready: list[int] = []
    ordered = []
    while sorter.is_active():
        for index in sorter.get_ready():
            heapq.heappush(ready, index)
        first = heapq.heappop(ready)
        ordered.append(layers[first])
        sorter.done(first)
    return tuple(ordered)


def _writers(layers: tuple[Layer, ...]) -> dict[str, int]:
    """Return, for each tensor, the index of the layer that writes it."""
    writers: dict[str, int] = {}
    for index, layer in enumerate(layers):
        earlier = writers.setdefault(layer.output, index)
        if earlier != index:
            raise InvalidNetwork(
                f"tensor '{layer.output}' is written twice, by layer '{layers[earlier].name}' "
                f"and by layer '{layer.name}'; rename one of the two outputs"
            )
    return writers


def _cycle(layers: list[Layer]) -> InvalidNetwork:
    """Return the error for layers that form a cycle.

    Args:
        layers: The layers of the cycle; each writes a tensor that the next one reads, and the last is the first.
    """
    shown = [f"'{layer.name}'" for layer in layers[:-1][:_SHOWN_OF_CYCLE]]
    left_out = ["..."] if len(layers) - 1 > _SHOWN_OF_CYCLE else []
    path = " -> ".join([*shown, *left_out, shown[0]])
    return InvalidNetwork(f"layer {shown[0]} is on a cycle: {path}; expected that no layer depends on its own output")


def _infer_shapes(network: Network) -> dict[str, Shape]:
    if not network.layers:
        raise InvalidNetwork("the network has no layers; expected one or more")
    if len(network.layers) > MAX_LAYERS:
        raise InvalidNetwork(f"the network has {len(network.layers)} layers; expected at most {MAX_LAYERS}")
    shapes: dict[str, Shape] = {}
    _add_shape(shapes, network.input, network.input_shape, "the network's input")
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
                f"layer '{layer.name}' writes tensor '{layer.output}', which the input or an earlier layer has written "
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
