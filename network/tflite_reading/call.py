"""Access to one operator for the function that translates it: inputs, options, and errors that name the operator."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from network.errors import InvalidNetwork, UnsupportedOperator
from network.layers import LINEAR, RELU, RELU6, ActivationFunction, Float32Array, Shape
from network.names import shown
from network.tflite_reading.constants import ConstantArray, real_range
from network.tflite_reading.graph import OPEN, Node
from network.tflite_reading.translation import Translation, Value
from network.tflite_reading.views import View, image_shape

FUSED: Final[dict[int, ActivationFunction]] = {0: LINEAR, 1: RELU, 2: ActivationFunction(-1.0, 1.0), 3: RELU6}
"""Number of a fused activation function in the schema -> the function. TANH (4) and SIGN_BIT (5) are not supported."""

_MAX_NUMBERS: Final = 64
"""Largest length of a list of axes, pads or extents."""


class UnsupportedForm(UnsupportedOperator):
    """Error of a form of an operator that is not supported; the message is the cause without the operator's name."""


@dataclass(frozen=True, eq=False)
class Call:
    """An operator of the graph together with the state of the translation.

    Attributes:
        node: The operator.
        translation: The values and layers of the operators before it.
    """

    node: Node
    translation: Translation

    @property
    def name(self) -> str:
        """Name of the layer that the operator becomes: that of the tensor that it writes."""
        return self.translation.name_of(self.node.outputs[0])

    @property
    def output_dims(self) -> tuple[int, ...]:
        """Extents that the file gives the output."""
        return self.translation.tensor(self.node.outputs[0]).dims

    def __str__(self) -> str:
        return f"operator {self.node.operator} ('{shown(self.name)}')"

    def unsupported(self, cause: str) -> UnsupportedForm:
        """Return the error for a form that is not supported."""
        return UnsupportedForm(cause)

    def invalid(self, problem: str) -> InvalidNetwork:
        """Return the error for inputs or options that contradict each other."""
        return InvalidNetwork(f"{self} {problem}")

    def has(self, index: int) -> bool:
        """Return whether the operator has the optional input with this index, counted from 0."""
        return index < len(self.node.inputs) and self.node.inputs[index] >= 0

    def value(self, index: int) -> Value:
        """Return the value of an input.

        Raises:
            InvalidNetwork: If the operator does not have the input, or if the input is not written before.
        """
        if not self.has(index):
            raise self.invalid(f"does not have the input number {index + 1}, which it requires")
        return self.translation.value(self.node.inputs[index], str(self))

    def values(self) -> Iterable[Value]:
        """Return the values of all inputs, in the operator's order."""
        return (self.value(index) for index in range(len(self.node.inputs)))

    def view(self, index: int = 0, *, may_be_channels_first: bool = False) -> View:
        """Return an input that is an activation tensor, as the operand of a computation.

        Args:
            index: Index of the input, from 0.
            may_be_channels_first: Whether elements in the order channels, height, width are allowed.

        Raises:
            UnsupportedForm: If the input is a constant, computed by a softmax, or in an order that is not allowed.
            InputLayoutRequired: If another layout of the network's input gives the order.
        """
        value = self.value(index)
        if not isinstance(value, View):
            raise self.unsupported("computes from constants only; expected an activation tensor as input")
        if value.after_softmax:
            raise self.unsupported("reads the result of a softmax; expected a softmax at the end of the network only")
        if value.is_channels_first and not may_be_channels_first:
            self.translation.restart_with_transposed_sequence(value)
            raise self.unsupported("reads a tensor that is transposed to channels first; expected channels last")
        return value

    def shape(self, view: View) -> Shape:
        """Return the shape of the tensor behind a view."""
        return self.translation.shapes[view.tensor]

    def image(self, index: int = 0) -> tuple[View, Shape]:
        """Return an input that is a batch of 1, height, width and channels, and its shape.

        Raises:
            UnsupportedForm: If the input is not an image.
            InputLayoutRequired: If it becomes one with another layout of the network's input.
        """
        view = self.view(index)
        required = image_shape(view.dims)
        if required is not None and len(view.dims) in (3, 4):
            if self.shape(view) == required:
                return view, required
            if view.is_assumed:
                return self._assumed_image(view, required)
            self.translation.restart_with_image(view)
        raise self.unsupported(
            f"reads a tensor of shape {self.shape(view)} that is reshaped to {list(view.dims)}; expected a batch of 1, "
            "height, width and channels as the operator before computed them"
        )

    def _assumed_image(self, view: View, required: Shape) -> tuple[View, Shape]:
        """Return a view of a new tensor in place of a view whose tensor an operator that is refused writes."""
        name = self.translation.free_name(view.tensor, self.node.outputs[0])
        self.translation.shapes[name] = required
        return View(name, view.dims, is_assumed=True), required

    def constant(self, index: int) -> ConstantArray:
        """Return an input that must be a constant.

        Raises:
            InvalidNetwork: If the operator does not have the input.
            UnsupportedForm: If the input is computed from the network's input.
        """
        value = self.value(index)
        if isinstance(value, View):
            raise self.unsupported(
                f"computes its input number {index + 1} from the network's input; expected a constant"
            )
        return value

    def buffer(self, index: int) -> str:
        """Return a name of the buffer of the file that has the data of a constant input.

        Constants that an operator computes, such as the DEQUANTIZE of float16 weights, have the name of their tensor.
        """
        tensor = self.translation.tensor(self.node.inputs[index])
        return f"tensor {self.node.inputs[index]}" if tensor.data is None else f"buffer {tensor.buffer}"

    def parameter(self, index: int, what: str) -> Float32Array:
        """Return a constant input of real numbers: floats, or integers with a scale.

        Args:
            index: Index of the input, from 0.
            what: Name of the input in error messages, e.g. "weights".

        Raises:
            UnsupportedForm: If the input is not a constant, or has integers without a scale.
        """
        constant = self.constant(index)
        if constant.dtype.kind != "f":
            raise self.unsupported(f"has integers without a scale as its {what}; expected floats, or integers with one")
        return constant.astype(np.float32, copy=False)

    def integers(self, index: int, what: str) -> npt.NDArray[np.int64]:
        """Return a constant input of at most 64 whole numbers.

        Raises:
            InvalidNetwork: If the input has another type or length.
        """
        constant = self.constant(index)
        if constant.dtype.kind != "i" or constant.size > _MAX_NUMBERS:
            raise self.invalid(f"has {what} of another type; expected at most {_MAX_NUMBERS} whole numbers")
        return constant.astype(np.int64, copy=False)

    def option(self, name: str, default: int) -> int:
        """Return the value of a whole-number option, or the default if the file leaves the options out."""
        given = self.node.attributes.get(name, default)
        return given if isinstance(given, int) else default

    def extents(self, height: str, width: str, default: int | None = None) -> tuple[int, int]:
        """Return two options that are extents, strides or dilations, each 1 or more.

        Args:
            height: Name of the vertical one.
            width: Name of the horizontal one.
            default: Value if the file leaves the options out; None if they are required.

        Raises:
            InvalidNetwork: If one of them is missing or less than 1.
        """
        pair = self.option(height, default or 0), self.option(width, default or 0)
        if min(pair) < 1:
            raise self.invalid(f"has {height}={pair[0]} and {width}={pair[1]}; expected 1 or more")
        return pair

    def fused_activation(self) -> ActivationFunction:
        """Return the activation function that is fused into the operator.

        Raises:
            UnsupportedForm: If the function is not a clamp.
        """
        number = self.option("FusedActivationFunction", 0)
        if number not in FUSED:
            raise self.unsupported(
                f"has the fused activation function number {number}; expected none, RELU, RELU_N1_TO_1 or RELU6"
            )
        return FUSED[number]

    def computed_activation(self) -> ActivationFunction:
        """Return the fused activation function of an operator that computes new codes.

        A quantized output whose lowest code is the real 0 clamps as ReLU does, with or without the fused function.
        """
        fused = self.fused_activation()
        interval = real_range(self.translation.tensor(self.node.outputs[0]))
        return RELU if fused.is_linear and interval is not None and interval[0] == 0 else fused

    def emitted(self, shape: Shape) -> View:
        """Return the output of the operator as a view of the tensor that its layer writes.

        Args:
            shape: Shape that the layer computes.

        Raises:
            InvalidNetwork: If the file gives the output another number of elements, or other channels.
        """
        dims = self.output_dims
        if OPEN in dims:
            image = {4: (1, shape.height, shape.width), 3: (1, shape.width), 2: (1,)}.get(len(dims), ())
            computed = (*image, shape.channels)
            dims = computed if self.translation.tensor(self.node.outputs[0]).has(computed) else dims
        if image_shape(dims) == shape or (dims and dims[-1] == shape.channels and math.prod(dims) == shape.elements):
            return View(self.name, dims)
        raise self.invalid(f"has an output of extents {list(dims)} in the file; its inputs and options give {shape}")
