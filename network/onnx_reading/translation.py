"""State of the translation of a graph: the value behind every name of the file, and the layers emitted so far.

A value is a constant (an array), or a view of an activation tensor of the network.

A file does not say what the dimensions of its inputs mean: (32, 32, 3) may be rows, columns and channels. Each input is
assumed to have its channels first. If an operator that requires an image then reads an input in another order,
`InputLayoutRequired` restarts the translation with the layout that this operator requires.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from onnx import TensorProto

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import Activation, Add, Concat, Layer, Pad, Shape, WeightLayer
from network.onnx_reading.causes import Cause, Obstacle, TooManyElements, Unknown
from network.onnx_reading.graph import Graph
from network.onnx_reading.tensors import ConstantArray, to_array
from network.onnx_reading.views import (
    Loop,
    View,
    channels_last_walk,
    contiguous_walk,
    image_shape,
    merge_loops,
    swapped_walk,
)
from network.passes.temporary_layers import Obstructed, PerChannelAffine

Value = View | ConstantArray

BATCH: Final = -(2**62)
"""Placeholder for the extent of the batch in constants that a file computes from the dimensions of a tensor."""

_MAX_GROWTH: Final = 4
"""Largest number of constant elements per byte of the file: each float32 weight may be shared by 16 layers."""

_ALWAYS_ALLOWED: Final = 2**20
"""Number of constant elements that are allowed whatever the size of the file."""


def shown_extents(extents: tuple[int, ...]) -> str:
    """Return at most 8 extents as text for a message, with "batch" for the placeholder of the batch."""
    return str(["batch" if extent == BATCH else extent for extent in extents[:8]])


@dataclass(frozen=True, slots=True)
class InputLayout:
    """Meaning of the dimensions of the network's input.

    Attributes:
        shape: Shape of the input tensor, channels first.
        channels_last: Whether a sample of the caller has its channels last.
        swaps_rows_and_columns: Whether a row of the input tensor is a column of the sample.
    """

    shape: Shape
    channels_last: bool = False
    swaps_rows_and_columns: bool = False

    def view(self, tensor: str, dims: tuple[int, ...], *, has_batch: bool) -> View:
        """Return the graph input as a view of the input tensor.

        Args:
            tensor: Name of the input tensor.
            dims: Dimensions of the graph input, without the batch.
            has_batch: Whether the graph input has a batch.
        """
        walk = channels_last_walk(self.shape) if self.channels_last else contiguous_walk(self.shape.elements)
        if self.swaps_rows_and_columns:
            walk = swapped_walk(self.shape, channels_last=self.channels_last)
        return View(tensor, dims, walk, without_batch=not has_batch)


class InputLayoutRequired(Exception):
    """Raised to restart the translation with the input layout that an operator requires.

    Args:
        layouts: Name of each input that must have another layout -> the required layout.
    """

    def __init__(self, layouts: Mapping[str, InputLayout]) -> None:
        super().__init__(layouts)
        self.layouts = layouts


@dataclass(eq=False)
class Translation:
    """State of one pass over the nodes of a graph.

    Attributes:
        graph: The graph that is translated.
        layouts: Name of each input -> assumed meaning of its dimensions.
        settled: Names of the inputs whose layout an operator has required, so that it is not changed again.
        layers: Layers emitted so far, in the order of the nodes.
        shapes: Shape of every tensor so far, by name.
        values: Value behind every ONNX name so far; `Unknown` behind a node that cannot be read; None for a second
            output of a node (the mask of a Dropout).
        same_order_as_input: Name of each tensor whose elements have the order of inputs -> names of the inputs: the
            inputs, and what is scaled, clamped, padded, added or concatenated from them.
        ends_in_softmax: Whether a softmax was found.
        elements_taken: Number of elements of weights and computed constants so far.
        obstacles: Nodes that cannot be read so far, by name; "" is the key of inputs that cannot be read.
        obstructed_tensors: Names of the tensors that depend on a node that cannot be read.
        sources: Name of each constant that was computed from others -> name of the constant of the file behind it.
    """

    graph: Graph
    layouts: Mapping[str, InputLayout]
    settled: frozenset[str] = frozenset()
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, Value | Unknown | None] = field(default_factory=dict)
    same_order_as_input: dict[str, frozenset[str]] = field(default_factory=dict)
    ends_in_softmax: bool = False
    elements_taken: int = 0
    obstacles: dict[str, Obstacle] = field(default_factory=dict)
    obstructed_tensors: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.graph.inputs:
            layout = self.layouts[each.name]
            self.shapes[each.name] = layout.shape
            self.values[each.name] = layout.view(each.name, each.dims, has_batch=each.has_batch)
            self.same_order_as_input[each.name] = frozenset((each.name,))
        unreadable = self.graph.unreadable_inputs
        self.values.update(dict.fromkeys(unreadable, Unknown(is_constant=False)))
        if unreadable:
            owner = f"the graph's inputs {', '.join(repr(name[:80]) for name in list(unreadable)[:5])}"
            self.obstacles[""] = Obstacle(owner, Cause.INPUTS, "; ".join(list(unreadable.values())[:5]))
        self.sources.update(self.graph.sources)

    def source_of(self, name: str) -> str:
        """Return the name of the constant of the file from which a constant was computed; its own name if it is one.

        Of several constants that a node combines, the source is the one with the most elements.

        Args:
            name: Name of the constant.
        """
        return self.sources.get(name, name)

    def depends_on_obstacle(self, value: Value | Unknown | None) -> bool:
        """Return whether a value is not known, or is a view of a tensor that depends on a node that cannot be read."""
        return isinstance(value, Unknown) or (isinstance(value, View) and value.tensor in self.obstructed_tensors)

    def value(self, name: str, reader: str) -> Value:
        """Return the value behind an ONNX name, and decode it if it is an initializer.

        Args:
            name: Name of the value.
            reader: The node or output that reads the value, for error messages.

        Raises:
            UnsupportedOperator: If the value is an output that is not supported, or an initializer of another type.
            InvalidNetwork: If no node writes the value, or if the data of the initializer is damaged.
        """
        found = self.values.get(name)
        if found is None:
            if name in self.graph.initializers:
                given = self.graph.initializers[name]
                found = to_array(given, f"initializer '{name[:80]}'") if isinstance(given, TensorProto) else given
                self.values[name] = found
            elif name in self.values:
                raise UnsupportedOperator(
                    f"{reader} reads '{name[:80]}', which is not the first output of its node; expected first outputs "
                    "only: export the network for inference"
                )
            else:
                raise InvalidNetwork(
                    f"{reader} reads '{name[:80]}', which no node writes; expected an input, an initializer or a "
                    "node's output"
                )
        if isinstance(found, Unknown):
            raise UnsupportedOperator(f"{reader} reads '{name[:80]}', which depends on a node that cannot be read")
        return found

    def take_room(self, elements: int, taker: str) -> None:
        """Count elements of constants or weights before they are computed or copied.

        Args:
            elements: Number of the elements.
            taker: The node or layer that needs them, for the error message.

        Raises:
            TooManyElements: If all elements together exceed 4 per byte of the file and 2^20 more.
        """
        self.elements_taken += elements
        if self.elements_taken > _MAX_GROWTH * self.graph.size_bytes + _ALWAYS_ALLOWED:
            raise TooManyElements(
                f"{taker} increases the constants to {self.elements_taken} elements; expected at most "
                f"{_MAX_GROWTH * self.graph.size_bytes + _ALWAYS_ALLOWED} for a file of {self.graph.size_bytes} bytes: "
                "export the network with constant folding"
            )

    def emit(self, layer: Layer) -> Shape:
        """Append a layer, and return the shape of its output.

        Raises:
            InvalidNetwork: If the shapes of the inputs do not match the layer.
            TooManyElements: If the weights are too large for the size of the file.
        """
        if isinstance(layer, WeightLayer) and layer.weight is not None:
            self.take_room(layer.weight.size, f"layer '{layer.name[:80]}'")
        shape = layer.output_shape(tuple(self.shapes[tensor] for tensor in layer.inputs))
        self.layers.append(layer)
        self.shapes[layer.output] = shape
        if isinstance(layer, Obstructed) or not self.obstructed_tensors.isdisjoint(layer.inputs):
            self.obstructed_tensors.add(layer.output)
        sources = [self.same_order_as_input.get(tensor, frozenset()) for tensor in layer.inputs]
        if isinstance(layer, PerChannelAffine | Activation | Pad | Add | Concat) and all(sources):
            self.same_order_as_input[layer.output] = frozenset[str]().union(*sources)
        return shape

    def restart_with_channels_last(self, view: View) -> None:
        """Restart the translation with a channels-last input, if that is possible; otherwise do nothing.

        Args:
            view: View of the tensor whose last dimension should be its channels.

        Raises:
            InputLayoutRequired: If the tensor has the order of the input and the layout is not settled yet.
        """
        inputs = self._unsettled_inputs(view)
        shapes = {name: self._shape_of_channels_last(name) for name in inputs}
        layouts = {name: InputLayout(shape, channels_last=True) for name, shape in shapes.items() if shape is not None}
        if layouts and len(layouts) == len(inputs):
            raise InputLayoutRequired(layouts)

    def restart_with_layout_of(self, view: View) -> None:
        """Restart the translation with the input layout in which a view is a channels-first image, if there is one.

        Args:
            view: View of the tensor that an operator requires to be an image, channels first.

        Raises:
            InputLayoutRequired: If the tensor has the order of the input, such a layout exists, and the layout is not
                settled yet.
        """
        shape = image_shape(view.dims)
        inputs = self._unsettled_inputs(view)
        if shape is None or not inputs:
            return
        has_all_elements = all(view.elements == self.layouts[name].shape.elements for name in inputs)
        # Under the first assumption the input is in the order of the file, so that these loops transpose HWC to CHW.
        channels_first = merge_loops([Loop(shape.channels, 1), Loop(shape.height * shape.width, shape.channels)])
        if not has_all_elements:
            if view.walk == channels_first:
                self.restart_with_channels_last(view)
        elif view.is_contiguous:
            # With one channel or one pixel, both orders are equal: the dimensions of the input decide.
            channels_last = all(shape == self._shape_of_channels_last(name) for name in inputs)
            raise InputLayoutRequired(dict.fromkeys(inputs, InputLayout(shape, channels_last)))
        elif view.walk == channels_first:
            raise InputLayoutRequired(dict.fromkeys(inputs, InputLayout(shape, channels_last=True)))
        channels, height, width = shape
        columns_first = {
            merge_loops([Loop(channels, height * width), Loop(height, 1), Loop(width, height)]): False,
            merge_loops([Loop(channels, 1), Loop(height, channels), Loop(width, height * channels)]): True,
        }
        if view.walk in columns_first and has_all_elements and len(view.dims) == 3:
            # With one channel, both walks are equal: the dimensions of the input decide.
            first_extent = self._dims_of(next(iter(inputs)))[0]
            channels_last = columns_first[view.walk] and (channels > 1 or first_extent != 1)
            layout = InputLayout(shape, channels_last, swaps_rows_and_columns=True)
            raise InputLayoutRequired(dict.fromkeys(inputs, layout))

    def is_scaled_by_feature(self, tensor: str) -> bool:
        """Return whether a tensor is the input, scaled by a number for each element of the last dimension."""
        inputs = self.same_order_as_input.get(tensor, frozenset())
        return any(self.layouts[name].channels_last for name in inputs) and any(
            max(values.size for values in layer.scale_and_shift()) > 1
            for layer in self.layers
            if isinstance(layer, PerChannelAffine)
            and not inputs.isdisjoint(self.same_order_as_input.get(layer.output, frozenset()))
        )

    def _unsettled_inputs(self, view: View) -> frozenset[str]:
        """Return the names of the inputs whose order a tensor has; empty if the layout of one of them is settled."""
        inputs = self.same_order_as_input.get(view.tensor, frozenset())
        return inputs if inputs.isdisjoint(self.settled) else frozenset()

    def _dims_of(self, name: str) -> tuple[int, ...]:
        return next(each.dims for each in self.graph.inputs if each.name == name)

    def _shape_of_channels_last(self, name: str) -> Shape | None:
        """Return the shape of an input tensor if the last dimension is its channels; None for a vector."""
        *space, channels = self._dims_of(name)
        return image_shape((channels, *space)) if space else None
