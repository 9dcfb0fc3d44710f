"""Access to the inputs of one node: constants, views of activation tensors, and values of which nothing is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from network.layers import Float32Array
from network.onnx_reading.causes import Cause, Unknown
from network.onnx_reading.graph import Node
from network.onnx_reading.tensors import ConstantArray
from network.onnx_reading.translation import Translation, Value
from network.onnx_reading.views import View

_MAX_NUMBERS = 64
"""Largest length of a list of axes, pads or extents."""


_MULTIPLIES: Final = frozenset(("Conv", "Gemm", "MatMul"))
"""Operators that multiply their first input by constant weights."""


@dataclass(frozen=True, eq=False)
class CallInputs:
    """Inputs of a node of the graph.

    Attributes:
        node: The node that is translated.
        translation: The values and layers of the nodes before it.
    """

    node: Node
    translation: Translation

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

    def known_values(self) -> Iterable[Value | Unknown]:
        """Return the values of the inputs that have one, without decoding initializers."""
        found = (self.translation.values.get(name) for name in self.node.reads)
        return (value for value in found if value is not None)

    def reads_unknown(self) -> bool:
        """Return whether an input depends on a node that cannot be read, so that nothing is known of its elements."""
        return any(isinstance(value, Unknown) for value in self.known_values())

    def reads_unknown_activation(self) -> bool:
        """Return whether an input of which nothing is known depends on the elements of the network's input."""
        return Unknown(is_constant=False) in [value for value in self.known_values() if isinstance(value, Unknown)]

    def is_activation(self, index: int) -> bool:
        """Return whether an input depends on the elements of the network's input."""
        value = self.translation.values.get(self.node.inputs[index])
        return isinstance(value, View) or (isinstance(value, Unknown) and not value.is_constant)

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
                "expected a constant",
                Cause.PRODUCT if self.node.operator in _MULTIPLIES else Cause.FORM,
            )
        return value

    def largest_constant(self) -> str:
        """Return the name of the input with the most elements, if all inputs of the node are constants."""
        sizes = {
            name: constant.size
            for index, name in enumerate(self.node.inputs)
            if (constant := self.constant(index)) is not None
        }
        return max(sizes, key=sizes.__getitem__)

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
