"""The state of a reading: what every value of the file stands for, and the layers so far.

A value is a constant (an array), or a view of an activation tensor of ours.

A file does not say what its input's dimensions mean: (32, 32, 3) may be rows, columns, channels. The input is read with
channels first; where an operator that needs an image then finds it in another order, `InputSeenAs` starts the reading
again with the layout that this operator sees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from onnx import TensorProto

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import Activation, Layer, Pad, Shape, WeightLayer
from network.onnx_reading.proto import Graph
from network.onnx_reading.temporary_layers import ChannelStep
from network.onnx_reading.tensors import ConstantArray, to_array
from network.onnx_reading.views import Loop, View, channels_last_walk, image_shape, in_order, merged

Value = View | ConstantArray

BATCH: Final = -(2**62)
"""Stands for the batch's extent in constants that a file computes from a tensor's dimensions."""

_MAX_GROWTH: Final = 4
"""Elements per byte of the file: every float32 weight may be shared by 16 layers."""

_ALWAYS_ALLOWED: Final = 2**20


@dataclass(frozen=True, slots=True)
class InputLayout:
    """What the input's dimensions mean: the shape of our tensor, and whether a sample has its channels last."""

    shape: Shape
    channels_last: bool = False

    def view(self, tensor: str, dims: tuple[int, ...]) -> View:
        """The input as the file has it, seen as a view of our tensor."""
        walk = channels_last_walk(self.shape) if self.channels_last else in_order(self.shape.elements)
        return View(tensor, dims, walk)


class InputSeenAs(Exception):
    """The layout that an operator sees, where the reading had assumed another."""

    def __init__(self, layout: InputLayout) -> None:
        super().__init__(layout)
        self.layout = layout


@dataclass(eq=False)
class Translation:
    """One walk over the nodes.

    Attributes:
        graph: the file.
        layout: what the input's dimensions are taken to mean.
        layout_is_settled: an operator has said so already; a second one cannot say otherwise.
        layers: so far, in the file's order.
        shapes: of every tensor so far.
        values: what each value of the file stands for; None for one that is not offered (a dropout's mask).
        like_input: tensors with the input's order of elements: the input, scaled, clamped or padded.
        ends_in_softmax: softmax was met.
        elements_taken: of weights and computed constants so far.
    """

    graph: Graph
    layout: InputLayout
    layout_is_settled: bool
    layers: list[Layer] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    values: dict[str, Value | None] = field(default_factory=dict)
    like_input: set[str] = field(default_factory=set)
    ends_in_softmax: bool = False
    elements_taken: int = 0

    def __post_init__(self) -> None:
        self.shapes[self.graph.input] = self.layout.shape
        self.values[self.graph.input] = self.layout.view(self.graph.input, self.graph.input_dims)
        self.like_input.add(self.graph.input)

    def value(self, name: str, reader: str) -> Value:
        """What a value of the file stands for.

        Raises:
            UnsupportedOperator: it is an output that is not offered.
            InvalidNetwork: nothing writes it.
        """
        found = self.values.get(name)
        if found is None:
            if name in self.graph.initializers:
                given = self.graph.initializers[name]
                found = to_array(given, f"initializer '{name[:80]}'") if isinstance(given, TensorProto) else given
                self.values[name] = found
            elif name in self.values:
                raise UnsupportedOperator(f"{reader} reads '{name[:80]}', a second output, which is not computed")
            else:
                raise InvalidNetwork(f"{reader} reads '{name[:80]}', which nothing writes")
        return found

    def take_room(self, elements: int, taker: str) -> None:
        """Counts elements that are about to be computed or copied.

        Raises:
            UnsupportedOperator: they are out of proportion to the file.
        """
        self.elements_taken += elements
        if self.elements_taken > _MAX_GROWTH * self.graph.size_bytes + _ALWAYS_ALLOWED:
            raise UnsupportedOperator(
                f"{taker} brings the constants to {self.elements_taken} elements, from a file of "
                f"{self.graph.size_bytes} bytes; export the network with its constants computed"
            )

    def emit(self, layer: Layer) -> Shape:
        """Appends a layer; returns the shape that it writes."""
        if isinstance(layer, WeightLayer) and layer.weight is not None:
            self.take_room(layer.weight.size, f"layer '{layer.name[:80]}'")
        shape = layer.output_shape(tuple(self.shapes[tensor] for tensor in layer.inputs))
        self.layers.append(layer)
        self.shapes[layer.output] = shape
        if isinstance(layer, ChannelStep | Activation | Pad) and layer.inputs[0] in self.like_input:
            self.like_input.add(layer.output)
        return shape

    def suggest_channels_last(self, view: View) -> None:
        """Starts again with the input's channels last, if the view is of the input and nobody has settled its layout.

        Raises:
            InputSeenAs: so it is.
        """
        shape = self._shape_of_channels_last()
        if shape is not None and view.tensor in self.like_input and not self.layout_is_settled:
            raise InputSeenAs(InputLayout(shape, channels_last=True))

    def suggest_layout_seen_by(self, view: View) -> None:
        """Starts again with the input in the order or shape in which a view of it is an image, channels first.

        Raises:
            InputSeenAs: there is one, and nobody has settled the input's layout.
        """
        shape = image_shape(view.dims)
        if shape is None or view.tensor not in self.like_input or self.layout_is_settled:
            return
        # The input is in the file's order under the first assumption, so that these loops lead from HWC to CHW.
        channels_first = merged([Loop(shape.channels, 1), Loop(shape.height * shape.width, shape.channels)])
        if view.elements != self.layout.shape.elements:
            if view.walk == channels_first:
                self.suggest_channels_last(view)
        elif view.is_in_order:
            # With one channel, or one pixel, both orders are the same: the input's own dimensions decide.
            raise InputSeenAs(InputLayout(shape, channels_last=shape == self._shape_of_channels_last()))
        elif view.walk == channels_first:
            raise InputSeenAs(InputLayout(shape, channels_last=True))

    def _shape_of_channels_last(self) -> Shape | None:
        """Our tensor's shape if the input's last dimension is its channels; None for a vector."""
        *space, channels = self.graph.input_dims
        return image_shape((channels, *space)) if space else None
