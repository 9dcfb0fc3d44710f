"""Access to one node for the function of its operator: inputs, checked attributes, and errors that name the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from network.layers import Shape
from network.onnx_reading.call_inputs import CallInputs
from network.onnx_reading.causes import Cause
from network.onnx_reading.tensors import ConstantArray
from network.onnx_reading.views import Loop, View


@dataclass(frozen=True, eq=False)
class Call(CallInputs):
    """A node of the graph together with the state of the translation."""

    @property
    def opset(self) -> int:
        """Version of the standard operators that the graph uses, from 11."""
        return self.translation.graph.opset

    @property
    def output(self) -> str:
        """Name of the node's first output."""
        return self.node.outputs[0]

    @property
    def batch_is_one(self) -> bool:
        """Whether the file fixes the batch to 1, or has none, so that the batch can be moved like any dimension."""
        return self.translation.graph.batch == 1

    def view(self, index: int = 0, *, may_lack_batch: bool = False) -> View:
        """Return an input that is an activation tensor, as the operand of a computation.

        Args:
            index: Index of the input, from 0.
            may_lack_batch: Whether an input without a batch dimension is allowed.

        Raises:
            UnsupportedOperator: If the input is a constant, is computed by a softmax, or has lost its batch dimension.
        """
        view = self.any_view(index, may_lack_batch=may_lack_batch)
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

    def axis(self, axis: int, view: View, added: int = 0) -> int:
        """Return the index of an axis among the dimensions of a view, from 0.

        Args:
            axis: Axis as the file gives it: counted with the batch as 0 if there is one, or negative from the end.
            view: The view.
            added: Number of dimensions that the node inserts.

        Raises:
            InvalidNetwork: If the tensor does not have the axis.
            UnsupportedOperator: If the axis is the batch.
        """
        rank = view.rank + added
        if not -rank <= axis < rank:
            raise self.node.invalid(
                f"has the axis {axis} for a tensor of {rank} dimensions; expected {-rank} to {rank - 1}"
            )
        axis %= rank
        if view.without_batch:
            return axis
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
            if self.translation.is_scaled_by_feature(view.tensor):
                raise self.node.unsupported(
                    f"reads the network's input as an image of {list(view.dims)}, after a normalization of each "
                    f"feature by its own numbers, {shape.channels} along the last dimension; expected one number, or "
                    "one per channel of the image: normalize the features in your application, before the network",
                    Cause.LAYOUT,
                )
            raise self.node.unsupported(
                f"reads the tensor '{view.tensor[:80]}' ({shape}) reshaped or transposed to {list(view.dims)}; "
                "expected batch, channels, height, width as the tensor was written: remove the reshape or transpose",
                Cause.LAYOUT,
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
        rank = view.rank
        if values.ndim <= rank:
            if flat.size == 1:
                return flat
            dims = (1,) * (rank - values.ndim) + values.shape
            varying = [axis for axis, extent in enumerate(dims) if extent != 1]
            channel_axis = self.channel_axis(view)
            if (
                channel_axis is not None
                and varying == [channel_axis + rank - len(view.dims)]
                and flat.size == view.dims[channel_axis]
            ):
                return flat
            if varying == [1] and not view.without_batch:
                self.translation.restart_with_layout_of(view)
            if varying == [rank - 1]:
                self.translation.restart_with_channels_last(view)
        raise self.node.unsupported(
            f"has {what} of shape {list(values.shape)} for a tensor of {list(view.dims)}, which varies within a "
            "channel; expected one number, or one number per channel"
        )
