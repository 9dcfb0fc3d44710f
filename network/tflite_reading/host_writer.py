"""Writer of the ONNX nodes of one operator that the host computes behind the network."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper

from network.layers import ActivationFunction
from network.tflite_reading.call import FUSED
from network.tflite_reading.graph import Node
from network.tflite_reading.options import FUSED as FUSED_OPTION
from network.tflite_reading.translation import Translation

_TANH: Final = 4
"""Number of the fused activation function TANH in the schema."""

_MAX_INTEGERS: Final = 64


class HostWriter:
    """Access to one operator, and the ONNX nodes and constants that are written for it.

    Args:
        translation: The translation of the file.
        node: The operator.
        nodes: ONNX nodes so far, to which new ones are appended.
        constants: Constants so far, by name; new ones are added.

    Attributes:
        attributes: Options of the operator, by name.
        inputs: Names of the values that the operator reads; empty for an optional input that is left out.
        outputs: Names of the values that the operator writes.
        input_dims: Extents of each input, with the batch.
        output_dims: Extents of each output, with the batch.
        output_kinds: Element type of each output in the file.
    """

    def __init__(
        self, translation: Translation, node: Node, nodes: list[NodeProto], constants: dict[str, npt.NDArray[Any]]
    ) -> None:
        self.attributes = node.attributes
        self.inputs = tuple(translation.name_of(index) if index >= 0 else "" for index in node.inputs)
        self.outputs = tuple(map(translation.name_of, node.outputs))
        self.input_dims = tuple(translation.tensor(index).dims if index >= 0 else () for index in node.inputs)
        self.output_dims = tuple(translation.tensor(index).dims for index in node.outputs)
        self.output_kinds = tuple(translation.tensor(index).kind for index in node.outputs)
        self._translation = translation
        self._nodes = nodes
        self._constants = constants

    def write(self, operator: str, inputs: tuple[str, ...], outputs: tuple[str, ...], **attributes: Any) -> None:
        """Append an ONNX node."""
        node = helper.make_node(operator, inputs, outputs, name=f"n{len(self._nodes)}", **attributes)
        self._nodes.append(node)

    def fresh(self) -> str:
        """Return a new name for a value."""
        return self._translation.free_name("host", len(self._nodes))

    def add_constant(self, values: npt.ArrayLike, dtype: npt.DTypeLike) -> str:
        """Add a constant, and return its name.

        Raises:
            OverflowError: If a number has no place in the type.
        """
        name = self.fresh()
        self._constants[name] = np.asarray(values, dtype=dtype)
        return name

    def integers(self, index: int) -> list[int]:
        """Return the whole numbers of a constant input.

        Raises:
            LookupError: If the input is not a constant.
            TypeError: If it has real numbers, or more than 64 numbers.
        """
        values = self._constants[self.inputs[index]]
        if values.dtype.kind != "i" or values.size > _MAX_INTEGERS:
            raise TypeError(f"expected at most {_MAX_INTEGERS} whole numbers")
        return [int(value) for value in values.reshape(-1)]

    def write_fused(self, operator: str, inputs: tuple[str, ...], **attributes: Any) -> None:
        """Append an ONNX node, and the operator's fused activation function behind it.

        Raises:
            LookupError: If the fused activation function is unknown.
        """
        number = self.attributes.get(FUSED_OPTION, 0)
        if not isinstance(number, int) or number not in {*FUSED, _TANH}:
            raise LookupError(f"the fused activation function {number} is unknown")
        if number == 0:
            self.write(operator, inputs, self.outputs, **attributes)
            return
        before = self.fresh()
        self.write(operator, inputs, (before,), **attributes)
        if number == _TANH:
            self.write("Tanh", (before,), self.outputs)
        else:
            self.write_clamp(before, FUSED[number])

    def write_clamp(self, value: str, function: ActivationFunction) -> None:
        """Append a clamp of a value to an interval, which may be open above."""
        if np.isinf(function.high):
            self.write("Relu", (value,), self.outputs)
            return
        low, high = (self.add_constant(bound, np.float32) for bound in (function.low, function.high))
        self.write("Clip", (value, low, high), self.outputs)
