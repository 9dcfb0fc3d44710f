"""Access to one node for the function of its operator: inputs, checked attributes, and errors that name the node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array, Shape
from network.onnx_reading.proto import Node
from network.onnx_reading.tensors import ConstantArray
from network.onnx_reading.translation import Translation, Value
from network.onnx_reading.views import Loop, View

_MAX_NUMBERS = 64
"""Largest length of a list of axes, pads or extents."""


@dataclass(frozen=True, eq=False)
class Call:
    """A node of the graph together with the state of the translation.

    Attributes:
        node: The node that is translated.
        translation: The values and layers of the nodes before it.
    """

    node: Node
    translation: Translation

    @property
    def opset(self) -> int:
        """Version of the standard operators that the file uses, 11 to 22."""
        return self.translation.graph.opset

    @property
    def output(self) -> str:
        """Name of the node's first output."""
        return self.node.outputs[0]

    def has(self, index: int) -> bool:
        """Return whether the node has the optional input with this index, counted from 0."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def value(self, index: int) -> Value:
        """Return the value of an input: a constant, or a view of an activation tensor.

        Raises:
            InvalidNetwork: If the node does not have the input, or if no node writes its value.
            UnsupportedOperator: If the value is a second output of another node.
        """
        if not self.has(index):
            raise self.node.invalid(f"does not have the input number {index + 1}, which the operator requires")
        return self.translation.value(self.node.inputs[index], str(self.node))

    def values(self) -> Iterable[Value]:
        """Return the values of all inputs, in the node's order."""
        return (self.value(index) for index in range(len(self.node.inputs)))

    def view(self, index: int = 0) -> View:
        """Return an input that is an activation tensor, as the operand of a computation.

        Raises:
            UnsupportedOperator: If the input is a constant, is computed by a softmax, or has lost its batch dimension.
        """
        view = self.any_view(index)
        if view.after_softmax:
            raise self.node.unsupported(
                "reads the result of a softmax; expected a softmax at the end of the network only: remove it"
            )
        return view

    def any_view(self, index: int = 0, *, may_lack_batch: bool = False) -> View:
        """Return an input that is an activation tensor, as the operand of an operator that only moves data.

        Args:
            index: Index of the input, from 0.
            may_lack_batch: Whether an input without a batch dimension is allowed.

        Raises:
            UnsupportedOperator: If the input is a constant, or has lost its batch dimension and that is not allowed.
        """
        value = self.value(index)
        if not isinstance(value, View):
            raise self.node.unsupported(
                f"has a constant as its input '{self.node.inputs[index][:80]}'; expected an activation tensor"
            )
        if value.without_batch and not may_lack_batch:
            raise self.node.unsupported(
                "reads a tensor whose batch dimension of extent 1 was squeezed away; expected the batch as the first "
                "dimension: give Squeeze the axes that it removes"
            )
        return value

    def constant(self, index: int) -> ConstantArray | None:
        """Return an input that must be a constant, or None if the node does not have the optional input.

        Raises:
            UnsupportedOperator: If the input is computed from the network's input.
        """
        if not self.has(index):
            return None
        value = self.value(index)
        if isinstance(value, View):
            raise self.node.unsupported(
                f"has the input '{self.node.inputs[index][:80]}', which depends on the network's input; "
                "expected a constant"
            )
        return value

    def parameter(self, index: int, what: str) -> Float32Array:
        """Return a required constant input of floating-point numbers as float32; too large numbers become infinite.

        Args:
            index: Index of the input, from 0.
            what: Name of the input in error messages, e.g. "weights".

        Raises:
            InvalidNetwork: If the node does not have the input.
            UnsupportedOperator: If the input is not a constant, or not of a floating-point type.
        """
        constant = self.constant(index)
        if constant is None:
            raise self.node.invalid(f"does not have the input number {index + 1}; expected a constant, its {what}")
        if constant.dtype.kind != "f":
            raise self.node.unsupported(
                f"has {what} of type {constant.dtype} without a scale: neither float nor a known form of quantization; "
                "expected floats: export the float network"
            )
        with np.errstate(over="ignore"):
            return constant.astype(np.float32, copy=False)

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """Return whole numbers from an attribute or, in newer opsets, from an input.

        Args:
            name: Name of the attribute.
            index: Index of the input, from 0, that holds the numbers in newer opsets; None if there is no such input.

        Returns:
            The numbers; None if the node has neither the attribute nor the input.

        Raises:
            InvalidNetwork: If the attribute or input is not a list of whole numbers.
        """
        given: Any = self.node.attributes.get(name)
        if given is None and index is not None and (constant := self.constant(index)) is not None:
            if constant.dtype.kind != "i" or constant.ndim > 1 or constant.size > _MAX_NUMBERS:
                raise self.node.invalid(
                    f"has a constant of type {constant.dtype} and shape {list(constant.shape)[:8]} as its {name}; "
                    f"expected a list of at most {_MAX_NUMBERS} whole numbers"
                )
            given = tuple(constant.reshape(-1).tolist())
        if given is None:
            return None
        if isinstance(given, int):
            return (given,)
        if not isinstance(given, tuple) or any(not isinstance(each, int) for each in given):
            raise self.node.invalid(f"has the attribute '{name}' of another type; expected a list of whole numbers")
        return given

    def integer(self, name: str, default: int) -> int:
        """Return the value of a whole-number attribute, or the default if the node does not have it.

        Raises:
            InvalidNetwork: If the attribute has another type.
        """
        given = self.node.attributes.get(name, default)
        if not isinstance(given, int):
            raise self.node.invalid(f"has the attribute '{name}' of another type; expected a whole number")
        return given

    def number(self, name: str, default: float) -> float:
        """Return the value of a number attribute, or the default if the node does not have it.

        Raises:
            InvalidNetwork: If the attribute has another type.
        """
        given = self.node.attributes.get(name, default)
        if not isinstance(given, int | float):
            raise self.node.invalid(f"has the attribute '{name}' of another type; expected a number")
        return float(given)

    def text(self, name: str, default: str) -> str:
        """Return the value of a string attribute, or the default if the node does not have it.

        Raises:
            InvalidNetwork: If the attribute has another type.
        """
        given = self.node.attributes.get(name, default)
        if not isinstance(given, str):
            raise self.node.invalid(f"has the attribute '{name}' of another type; expected a string")
        return given

    def refuse_unless(self, name: str, value: Any, meaning: str) -> None:
        """Reject the node unless an attribute has its only supported value, which is also its default.

        Args:
            name: Name of the attribute.
            value: The supported value; for a list attribute, the value of every element.
            meaning: End of the error message: what is not supported, or what to do.

        Raises:
            UnsupportedOperator: If the attribute has another value.
        """
        given = self.node.attributes.get(name, value)
        if isinstance(given, tuple) and not isinstance(value, tuple):
            refused = any(each != value for each in given)
        else:
            refused = given != value
        if refused:
            raise self.node.unsupported(f"has {name}={given}: {meaning}")

    def axis(self, axis: int, rank: int) -> int:
        """Return the index of an axis among the dimensions behind the batch, from 0.

        Args:
            axis: Axis as the file gives it: counted with the batch as 0, or negative from the end.
            rank: Number of dimensions, with the batch.

        Raises:
            InvalidNetwork: If the tensor does not have the axis.
            UnsupportedOperator: If the axis is the batch.
        """
        if not -rank <= axis < rank:
            raise self.node.invalid(
                f"has the axis {axis} for a tensor of {rank} dimensions; expected {-rank} to {rank - 1}"
            )
        axis %= rank
        if axis == 0:
            raise self.node.unsupported("works along the batch (axis 0); expected an axis behind the batch")
        return axis - 1

    def shape(self, view: View) -> Shape:
        """Return the shape of the tensor behind a view."""
        return self.translation.shapes[view.tensor]

    def image(self, index: int = 0) -> tuple[View, Shape]:
        """Return an input that must be an image or sequence in the tensor's own order, channels first, and its shape.

        Raises:
            UnsupportedOperator: If the tensor was reshaped or transposed before the node.
            InputLayoutRequired: If the network's input has this order in another layout.
        """
        view = self.view(index)
        shape = self.shape(view)
        if not view.shows(shape):
            self.translation.restart_with_layout_of(view)
            raise self.node.unsupported(
                f"reads the tensor '{view.tensor[:80]}' ({shape}) reshaped or transposed to {list(view.dims)}; "
                "expected batch, channels, height, width as the tensor was written: remove the reshape or transpose"
            )
        return view, shape

    def channel_axis(self, view: View) -> int | None:
        """Return the dimension of a view, behind the batch, that is the channels of its tensor; None if none is."""
        shape = self.shape(view)
        channels = (Loop(shape.channels, shape.height * shape.width),)
        axes = view.axes() or ()
        return next((axis for axis, walk in enumerate(axes) if walk == channels), None)

    def per_channel(self, values: ConstantArray, view: View, what: str) -> npt.NDArray[np.float64]:
        """Return a constant that is broadcast over a view as one number for all channels, or one number per channel.

        Args:
            values: The constant, in a shape that broadcasts against the view with its batch.
            view: The view of the activation tensor.
            what: Name of the constant in error messages.

        Returns:
            The numbers, of shape [1] or [channels].

        Raises:
            UnsupportedOperator: If the constant varies within a channel.
            InputLayoutRequired: If the constant is one number per channel of a channels-last input.
        """
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
        rank = len(view.dims) + 1
        if values.ndim <= rank:
            if flat.size == 1:
                return flat
            dims = (1,) * (rank - values.ndim) + values.shape
            varying = [axis for axis, extent in enumerate(dims) if extent != 1]
            channel_axis = self.channel_axis(view)
            if channel_axis is not None and varying == [channel_axis + 1] and flat.size == view.dims[channel_axis]:
                return flat
            if varying == [rank - 1]:
                self.translation.restart_with_channels_last(view)
        raise self.node.unsupported(
            f"has {what} of shape {list(values.shape)} for a tensor of {list(view.dims)}, which varies within a "
            "channel; expected one number, or one number per channel"
        )
