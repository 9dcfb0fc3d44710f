"""State of the translation of a graph: the value behind every tensor of the file, and the layers emitted so far.

A value is a constant (an array), or a view (`views`) of an activation tensor of the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import Activation, Add, Layer, Pad, Shape, WeightLayer
from network.names import MAX_NAME_LENGTH, is_name, shown
from network.passes.temporary_layers import PerChannelAffine
from network.tflite_reading.constants import ConstantArray, real_range, to_array
from network.tflite_reading.graph import OPEN, Graph, Tensor
from network.tflite_reading.refusals import Refusal
from network.tflite_reading.views import InputLayout, InputLayoutRequired, View, image_shape

_MAX_GROWTH: Final = 4
"""Largest number of constant elements per byte of the file: each int8 weight may be shared by 4 layers."""

_ALWAYS_ALLOWED: Final = 2**20
"""Number of constant elements that are allowed whatever the size of the file."""

_LONGEST_NAME: Final = 200


Value = View | ConstantArray


@dataclass(eq=False)
class Translation:
    """State of one pass over the operators of a graph.

    Attributes:
        graph: The graph that is translated.
        layouts: Index of each input tensor in the file -> its assumed layout.
        settled: Names of the inputs whose layout an operator has required, so that it is not changed again.
        layers: Layers emitted so far, in the order of the operators.
        shapes: Name of each tensor so far -> its shape.
        values: Index of each tensor of the file so far -> the value behind it.
        ranges: Name of each quantized tensor so far -> the lowest and the highest real number of its codes.
        names: Index of each named tensor of the file -> its unique name in the network.
        same_order_as_input: Name of each tensor whose elements have the order of inputs -> names of the inputs.
        ends_in_softmax: Whether a softmax was found.
        refusals: Operators that cannot be translated.
        refused: Indices of the tensors of the file that these operators write.
        obstructed: Indices of the tensors of the file that depend on an operator that cannot be translated.
        elements_taken: Number of elements of weights and other constants so far.
    """

    graph: Graph
    layouts: Mapping[int, InputLayout]
    settled: frozenset[str] = frozenset()
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    same_order_as_input: dict[str, frozenset[str]] = field(default_factory=dict)
    ends_in_softmax: bool = False
    refusals: list[Refusal] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    obstructed: set[int] = field(default_factory=set)
    elements_taken: int = 0
    _taken_names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for index, layout in self.layouts.items():
            name = self.name_of(index)
            self.shapes[name] = layout.shape
            dims = self.graph.tensors[index].dims
            self.values[index] = View(name, dims, is_channels_first=layout.is_channels_first)
            self.same_order_as_input[name] = frozenset((name,))
            self.record_range(name, index)
        self.inputs = tuple(map(self.name_of, self.layouts))
        self._layout_of = dict(zip(self.inputs, self.layouts.values(), strict=True))

    def layout_of(self, name: str) -> InputLayout:
        """Return the assumed layout of an input tensor.

        Args:
            name: Name of the input tensor.
        """
        return self._layout_of[name]

    def value(self, index: int, reader: str) -> Value:
        """Return the value behind a tensor of the file, and decode it if it is a constant.

        Args:
            index: Index of the tensor.
            reader: The operator or output that reads the tensor, for error messages.

        Raises:
            UnsupportedOperator: If the constant has a type or form that is not supported.
            InvalidNetwork: If no operator writes the tensor before it is read.
        """
        if index not in self.values:
            tensor = self.graph.tensors[index]
            if tensor.data is None:
                raise InvalidNetwork(
                    f"{reader} reads tensor '{shown(tensor.name)}', which is neither a constant nor written before; "
                    "expected operators in the order of execution"
                )
            self.take_room(tensor.data.size, reader)
            self.values[index] = to_array(tensor)
        return self.values[index]

    def write(self, index: int, value: Value) -> None:
        """Store the value of a tensor that an operator writes.

        Raises:
            InvalidNetwork: If the tensor has a value already, or if the file gives it other extents.
        """
        tensor = self.graph.tensors[index]
        if index in self.values or tensor.data is not None:
            raise InvalidNetwork(f"tensor '{shown(tensor.name)}' is written twice; every tensor is written once")
        dims = value.dims if isinstance(value, View) else value.shape
        if not tensor.can_have(dims):
            raise InvalidNetwork(
                f"tensor '{shown(tensor.name)}' has the extents {list(tensor.dims)} in the file; the operator that "
                f"writes it computes {list(dims)}"
            )
        self.values[index] = value
        if isinstance(value, View) and not value.after_softmax and value.tensor not in self.ranges:
            self.record_range(value.tensor, index)

    def assume(self, index: int) -> None:
        """Store a view of a tensor that no layer writes, as the output of an operator that is refused."""
        dims = tuple(1 if extent == OPEN else extent for extent in self.graph.tensors[index].dims)
        name = self.name_of(index)
        self.shapes[name] = image_shape(dims) or Shape(max(1, math.prod(dims)))
        self.values[index] = View(name, dims, is_assumed=True)

    def record_range(self, name: str, index: int) -> None:
        """Record the interval that the codes of a quantized tensor of the file cover.

        Args:
            name: Name of the tensor in the network.
            index: Index of the tensor in the file.
        """
        interval = real_range(self.graph.tensors[index])
        if interval is not None:
            self.ranges[name] = interval

    def tensor(self, index: int) -> Tensor:
        """Return a tensor of the file."""
        return self.graph.tensors[index]

    def name_of(self, index: int) -> str:
        """Return the unique name in the network of a tensor of the file.

        A converter joins the names of all fused operators by ";". The first of them is kept. A name that is empty, not
        printable or not unique gets the index of the tensor.
        """
        if index not in self.names:
            name = self.graph.tensors[index].name.split(";")[0][:_LONGEST_NAME]
            if not is_name(name):
                name = f"tensor_{index}"
            self.names[index] = self.free_name(name, index)
        return self.names[index]

    def free_name(self, wish: str, index: int) -> str:
        """Return a name that no tensor has yet: the wish, or the wish with the index of a tensor behind it."""
        name = wish
        while name in self._taken_names:
            name = f"{name}_{index}"[-MAX_NAME_LENGTH:]
        self._taken_names.add(name)
        return name

    def take_room(self, elements: int, taker: str) -> None:
        """Count elements of constants or weights before they are decoded or copied.

        Args:
            elements: Number of the elements, or of their bytes.
            taker: The operator that needs them, for the error message.

        Raises:
            UnsupportedOperator: If all elements together exceed 4 per byte of the file and 2^20 more.
        """
        self.elements_taken += elements
        limit = _MAX_GROWTH * self.graph.size_bytes + _ALWAYS_ALLOWED
        if self.elements_taken > limit:
            raise UnsupportedOperator(
                f"{taker} increases the constants to {self.elements_taken} elements; expected at most {limit} for a "
                f"file of {self.graph.size_bytes} bytes: convert the network so that operators do not share constants"
            )

    def emit(self, layer: Layer) -> Shape:
        """Append a layer, and return the shape of its output.

        Raises:
            InvalidNetwork: If the shapes of the inputs do not match the layer.
            UnsupportedOperator: If the weights are too large for the size of the file.
        """
        if isinstance(layer, WeightLayer) and layer.weight is not None:
            self.take_room(layer.weight.size, f"layer '{shown(layer.name)}'")
        shape = layer.output_shape(tuple(self.shapes[tensor] for tensor in layer.inputs))
        self.layers.append(layer)
        self.shapes[layer.output] = shape
        sources = [self.same_order_as_input.get(tensor, frozenset()) for tensor in layer.inputs]
        if isinstance(layer, PerChannelAffine | Activation | Pad | Add) and all(sources):
            self.same_order_as_input[layer.output] = frozenset[str]().union(*sources)
        return shape

    def restart_with_image(self, view: View) -> None:
        """Restart the translation with the input as an image that an operator requires, if that is possible.

        Args:
            view: The view that the operator requires to be an image.

        Raises:
            InputLayoutRequired: If the tensor has the order of the input, whose shape is not settled yet.
        """
        shape = image_shape(view.dims)
        inputs = self.same_order_as_input.get(view.tensor, frozenset())
        if shape is None or not inputs or not inputs.isdisjoint(self.settled):
            return
        if all(shape.elements == self._layout_of[name].shape.elements for name in inputs):
            raise InputLayoutRequired(inputs, InputLayout(shape))

    def restart_with_transposed_sequence(self, view: View) -> None:
        """Restart the translation with a channels-first sequence as input, if a view of the input is its transpose.

        The transpose of a sequence is the same in both directions, and was taken for one to channels first.

        Args:
            view: A channels-first view whose operator requires channels last.

        Raises:
            InputLayoutRequired: If the view shows the input, whose layout is not settled yet.
        """
        shape = image_shape(view.dims)
        if self._is_unsettled_input(view.tensor) and shape is not None and shape.height == 1:
            raise InputLayoutRequired(frozenset((view.tensor,)), InputLayout(shape, is_channels_first=True))

    def restart_with_channels_first(self, view: View, shape: Shape) -> None:
        """Restart the translation with a channels-first input, which the file transposes, if that is possible.

        Args:
            view: The view that is transposed.
            shape: Shape of the image behind the transpose.

        Raises:
            InputLayoutRequired: If the view is the input as the caller writes it, whose layout is not settled yet.
        """
        if self._is_unsettled_input(view.tensor) and any(view == self.values[index] for index in self.layouts):
            raise InputLayoutRequired(frozenset((view.tensor,)), InputLayout(shape, is_channels_first=True))

    def _is_unsettled_input(self, tensor: str) -> bool:
        return tensor in self.inputs and tensor not in self.settled
