"""One node as its operator's function sees it: inputs looked up, attributes checked, errors named."""

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
"""No list of axes, pads or extents is longer."""


@dataclass(frozen=True, eq=False)
class Call:
    """A node and the state of the reading."""

    node: Node
    translation: Translation

    @property
    def opset(self) -> int:
        return self.translation.graph.opset

    @property
    def output(self) -> str:
        return self.node.outputs[0]

    def has(self, index: int) -> bool:
        """Whether the optional input is given."""
        return index < len(self.node.inputs) and bool(self.node.inputs[index])

    def value(self, index: int) -> Value:
        if not self.has(index):
            raise self.node.invalid(f"lacks its input number {index + 1}")
        return self.translation.value(self.node.inputs[index], str(self.node))

    def values(self) -> Iterable[Value]:
        return (self.value(index) for index in range(len(self.node.inputs)))

    def view(self, index: int = 0) -> View:
        """An input that is an activation tensor, to compute from."""
        view = self.any_view(index)
        if view.after_softmax:
            raise self.node.unsupported("reads the result of a softmax; a softmax is read only at the network's end")
        return view

    def any_view(self, index: int = 0, *, may_lack_batch: bool = False) -> View:
        """An input that is an activation tensor, to be moved only."""
        value = self.value(index)
        if not isinstance(value, View):
            raise self.node.unsupported(
                f"has a constant as its input '{self.node.inputs[index][:80]}'; expected an activation tensor"
            )
        if value.without_batch and not may_lack_batch:
            raise self.node.unsupported("reads a tensor whose batch of 1 was squeezed away; squeeze named axes only")
        return value

    def constant(self, index: int) -> ConstantArray | None:
        """An input that must be a constant; None where it is left out."""
        if not self.has(index):
            return None
        value = self.value(index)
        if isinstance(value, View):
            raise self.node.unsupported(
                f"computes its input '{self.node.inputs[index][:80]}' while the network runs; expected a constant"
            )
        return value

    def parameter(self, index: int, what: str) -> Float32Array:
        """A constant that must be there, of floats; what is too large for float32 becomes infinite."""
        constant = self.constant(index)
        if constant is None:
            raise self.node.invalid(f"lacks its {what}")
        if constant.dtype.kind != "f":
            raise self.node.unsupported(f"has {what} of type {constant.dtype}; expected floats")
        with np.errstate(over="ignore"):
            return constant.astype(np.float32, copy=False)

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """Whole numbers from an attribute or, in newer opsets, from the input `index`."""
        given: Any = self.node.attributes.get(name)
        if given is None and index is not None and (constant := self.constant(index)) is not None:
            if constant.dtype.kind != "i" or constant.ndim > 1 or constant.size > _MAX_NUMBERS:
                raise self.node.invalid(f"needs whole numbers in a row as its {name}")
            given = tuple(constant.reshape(-1).tolist())
        if given is None:
            return None
        if isinstance(given, int):
            return (given,)
        if not isinstance(given, tuple) or any(not isinstance(each, int) for each in given):
            raise self.node.invalid(f"needs whole numbers as its attribute '{name}'")
        return given

    def integer(self, name: str, default: int) -> int:
        given = self.node.attributes.get(name, default)
        if not isinstance(given, int):
            raise self.node.invalid(f"needs a whole number as its attribute '{name}'")
        return given

    def number(self, name: str, default: float) -> float:
        given = self.node.attributes.get(name, default)
        if not isinstance(given, int | float):
            raise self.node.invalid(f"needs a number as its attribute '{name}'")
        return float(given)

    def text(self, name: str, default: str) -> str:
        given = self.node.attributes.get(name, default)
        if not isinstance(given, str):
            raise self.node.invalid(f"needs a text as its attribute '{name}'")
        return given

    def refuse_unless(self, name: str, value: Any, meaning: str) -> None:
        """An attribute that is read at one value only."""
        given = self.node.attributes.get(name, value)
        if isinstance(given, tuple) and not isinstance(value, tuple):
            refused = any(each != value for each in given)
        else:
            refused = given != value
        if refused:
            raise self.node.unsupported(f"has {name}={given}: {meaning}")

    def axis(self, axis: int, rank: int) -> int:
        """An axis counted from either end -> its place behind the batch, from 0."""
        if not -rank <= axis < rank:
            raise self.node.invalid(f"names the axis {axis} of a tensor of {rank} dimensions")
        axis %= rank
        if axis == 0:
            raise self.node.unsupported("works along the batch; expected the batch to stay as it is")
        return axis - 1

    def shape(self, view: View) -> Shape:
        """The shape of the tensor that a view shows."""
        return self.translation.shapes[view.tensor]

    def image(self, index: int = 0) -> tuple[View, Shape]:
        """An input that must be a tensor of ours as it is: channels, height, width.

        Raises:
            UnsupportedOperator: it is reshaped or transposed on the way.
        """
        view = self.view(index)
        shape = self.shape(view)
        if not view.shows(shape):
            self.translation.suggest_layout_seen_by(view)
            raise self.node.unsupported(
                f"reads the tensor '{view.tensor[:80]}' ({shape}) reshaped or transposed to {list(view.dims)}; "
                "expected batch, channels, height, width as the tensor was written"
            )
        return view, shape

    def channel_axis(self, view: View) -> int | None:
        """The dimension of a view that is its tensor's channels; None where none is."""
        shape = self.shape(view)
        channels = (Loop(shape.channels, shape.height * shape.width),)
        axes = view.axes() or ()
        return next((axis for axis, walk in enumerate(axes) if walk == channels), None)

    def per_channel(self, values: ConstantArray, view: View, what: str) -> npt.NDArray[np.float64]:
        """A constant that is broadcast over a view, as [1] or [channels] numbers.

        Raises:
            UnsupportedOperator: it differs within a channel.
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
                self.translation.suggest_channels_last(view)
        raise self.node.unsupported(
            f"has {what} of shape {list(values.shape)} for {list(view.dims)}, which differs within a channel; "
            "expected one number, or one per channel"
        )
