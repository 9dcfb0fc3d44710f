"""State of the pass that removes quantization: the float nodes so far, and what is known about every value.

A value that holds codes in the file holds the real numbers behind these codes in the float graph, under the same name.
Codes that the caller gives, as the network's input, are the exception: they become real where a node first reads them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from network.onnx_reading.graph import Graph, Node
from network.onnx_reading.quantized.parameters import Interval, Quantization, dequantized, quantization
from network.onnx_reading.tensors import ConstantArray, to_array

_MAX_GROWTH: Final = 4
"""Largest number of dequantized elements per byte of the file: each one-byte code may be shared by 4 nodes."""

_ALWAYS_ALLOWED: Final = 2**20
"""Number of dequantized elements that are allowed whatever the size of the file."""

_MAX_BASE_LENGTH: Final = 900
"""Largest number of characters that a new name takes over, so that it stays a valid name."""


_WITHIN_ZERO_AND_ONE: Final = frozenset({"HardSigmoid", "Sigmoid", "Softmax"})

_KEEPS_INTERVAL: Final = frozenset(
    {
        "AveragePool", "Cast", "Concat", "DepthToSpace", "Div", "Dropout", "Flatten", "Gather", "GlobalAveragePool",
        "GlobalMaxPool", "Identity", "MaxPool", "Mul", "Pad", "ReduceMax", "ReduceMean", "Reshape", "Slice", "Squeeze",
        "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators that move, pool or scale: their result needs no clamp if what they read does not."""


@dataclass(eq=False)
class Rewriting:
    """State of one pass over the nodes of a quantized graph.

    Attributes:
        graph: The quantized graph.
        nodes: The nodes of the float graph so far.
        constants: The constants by name; decoded where a node has read them.
        quantizations: Quantization of every value that holds codes in the file, by the name of the value.
        intervals: Real interval of every value that the file quantizes with constant scales, by the name of the value.
        clamped: Names of the values that need no clamp to the interval of their codes: the input and its scaled forms,
            for which the caller vouches, values that were clamped, and what is moved or pooled from these.
        unscaled: Names of the values that a first scale may be applied to: the input, its rearranged forms, and the
            accumulators of integer products.
        elements_taken: Number of elements of dequantized constants so far.
        sources: Name of each quantized or dequantized constant -> name of the constant of the file behind it.
    """

    graph: Graph
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, TensorProto | ConstantArray] = field(default_factory=dict)
    quantizations: dict[str, Quantization] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    clamped: set[str] = field(default_factory=set)
    unscaled: set[str] = field(default_factory=set)
    elements_taken: int = 0
    sources: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.constants.update(self.graph.initializers)
        inputs = self.graph.input_names
        self.clamped.update(inputs)
        self.unscaled.update(inputs)
        self._taken_names = {*inputs, *self.graph.unreadable_inputs, *self.graph.initializers}
        self._taken_names |= {name for node in self.graph.nodes for name in (node.name, *node.inputs, *node.outputs)}
        self._name_counts: Counter[str] = Counter()
        self._scaled: dict[str, tuple[str, Quantization]] = {}

    def fresh(self, base: str) -> str:
        """Return a new name for a value or node, built from a name of the file."""
        base = name = base[:_MAX_BASE_LENGTH]
        while name in self._taken_names:
            self._name_counts[base] += 1
            name = f"{base}_{self._name_counts[base] + 1}"
        self._taken_names.add(name)
        return name

    def take_room(self, elements: int, node: Node) -> None:
        """Count elements of constants before they are computed.

        Raises:
            UnsupportedOperator: If all elements together exceed 4 per byte of the file and 2^20 more.
        """
        self.elements_taken += elements
        limit = _MAX_GROWTH * self.graph.size_bytes + _ALWAYS_ALLOWED
        if self.elements_taken > limit:
            raise node.unsupported(
                f"increases the dequantized constants to {self.elements_taken} elements; expected at most {limit} for "
                f"a file of {self.graph.size_bytes} bytes: quantize the network again"
            )

    def constant(self, name: str) -> ConstantArray | None:
        """Return the constant with this name, decoded; None if the value is not a constant."""
        found = self.constants.get(name)
        if isinstance(found, TensorProto):
            found = to_array(found, f"initializer '{name[:80]}'")
            self.constants[name] = found
        return found

    def parameter(self, node: Node, index: int, what: str) -> ConstantArray:
        """Return an input of a node that must be a constant.

        Raises:
            UnsupportedOperator: If the node does not have the input, or if the input is not a constant.
        """
        found = self.constant(name_of(node, index))
        if found is None:
            raise node.unsupported(
                f"does not have a constant as its input number {index + 1}; expected a constant {what}: "
                "quantize the network with fixed scales"
            )
        return found

    def quantization(
        self, node: Node, scale: int, zero_point: int, code_type: npt.DTypeLike = np.uint8
    ) -> Quantization:
        """Return the quantization that two inputs of a node describe.

        Args:
            node: The node.
            scale: Index of the input with the scale.
            zero_point: Index of the input with the zero point, which may be left out.
            code_type: Integer type of the codes if there is no zero point.

        Raises:
            InvalidNetwork: If a scale is not a finite number above zero, or if the numbers of both differ.
            UnsupportedOperator: If one of them is not a constant, or has several dimensions.
        """
        scales = self.parameter(node, scale, "scale")
        self.take_room(scales.size, node)
        zeros = self.parameter(node, zero_point, "zero point") if name_of(node, zero_point) else None
        return quantization(node, scales, zeros, code_type)

    def real(self, node: Node, index: int, used: Quantization, axis: int = 1) -> str:
        """Return the name of the value that holds the real numbers behind the codes in an input of a node.

        Args:
            node: The node that reads the codes.
            index: Index of the input with the codes.
            used: The quantization by which the node reads the codes.
            axis: Axis of the scales, if the codes are a constant with several scales.

        Raises:
            InvalidNetwork: If the codes were written with another quantization.
            UnsupportedOperator: If the codes are the network's input and have several scales.
        """
        name = name_of(node, index)
        codes = self.constant(name)
        if codes is not None:
            self.take_room(codes.size, node)
            real = self.add_constant(f"{name}_real", dequantized(node, codes, used, axis))
            self.record_source(real, name)
            return real
        written = self.quantizations.get(name)
        if written is None and name in self.unscaled:
            return self._scale(node, name, used)
        if written is None:
            raise node.invalid(
                f"reads '{name[:80]}' as codes, but no node quantizes it; expected QuantizeLinear before it"
            )
        self._check_equal(node, name, written, used)
        return name

    def _check_equal(self, node: Node, name: str, written: Quantization, used: Quantization) -> None:
        if not written.equals(used):
            raise node.invalid(
                f"reads '{name[:80]}' with the scale {used.scale[0]:g} and the zero point {used.zero_point[0]}, which "
                f"was written with {written.scale[0]:g} and {written.zero_point[0]}; expected the same: quantize the "
                "network again"
            )

    def _scale(self, node: Node, name: str, used: Quantization) -> str:
        """Return the name of the real numbers behind codes that no node has scaled yet: (code - zero point) * scale."""
        if used.scale.size != 1:
            raise node.unsupported(f"has several scales for '{name[:80]}', which is not a constant; expected one scale")
        if name in self._scaled:
            real, written = self._scaled[name]
            self._check_equal(node, name, written, used)
            return real
        numbers, shifted, real = (self.fresh(f"{name}_{what}") for what in ("cast", "shifted", "real"))
        zero_point = self.add_constant(f"{name}_zero_point", used.zero_point.astype(np.float32).reshape(()))
        scale = self.add_constant(f"{name}_scale", used.scale.astype(np.float32).reshape(()))
        self.write("Cast", (name,), (numbers,), {"to": TensorProto.FLOAT})
        self.write("Sub", (numbers, zero_point), (shifted,))
        self.write("Mul", (shifted, scale), (real,))
        if name in self.clamped and used.interval[0] >= 0:
            self.clamped.add(real)
        self.intervals[real] = used.interval
        self._scaled[name] = real, used
        return real

    def add_constant(self, base: str, values: ConstantArray) -> str:
        """Add a constant to the float graph, and return its name."""
        name = self.fresh(base)
        self.constants[name] = values
        return name

    def record_source(self, name: str, source: str) -> None:
        """Note that a constant was computed from another one, or from the one behind that."""
        self.sources[name] = self.sources.get(source, source)

    def needs_no_clamp(self, operator: str, inputs: Iterable[str]) -> bool:
        """Return whether an operator's result is within the interval of its codes as far as what it reads is."""
        return operator in _WITHIN_ZERO_AND_ONE or (
            operator in _KEEPS_INTERVAL and all(self._is_clamped(name) for name in inputs if name)
        )

    def _is_clamped(self, name: str) -> bool:
        """Return whether a value was clamped, or is a constant without negative floats."""
        numbers = self.constant(name)
        if numbers is None:
            return name in self.clamped
        return numbers.dtype.kind != "f" or bool((numbers >= 0).all())

    def write(
        self,
        operator: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        attributes: Mapping[str, Any] | None = None,
        name: str = "",
    ) -> None:
        """Append a node to the float graph; without a name of the file, it gets a new one."""
        self.nodes.append(Node(name or self.fresh(f"{outputs[0]}_node"), operator, inputs, outputs, attributes or {}))

    def write_quantized(
        self,
        node: Node,
        operator: str,
        inputs: tuple[str, ...],
        used: Quantization,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Append the float form of a node whose result the file quantizes.

        Quantization whose lowest code is zero clamps like a ReLU, and most exporters then leave the ReLU out. Such a
        quantization becomes a Clip to its interval. No other saturation is kept; its interval is recorded.

        Args:
            node: The node in the file; the float node takes its name and writes its first output.
            operator: Name of the float operator.
            inputs: Names of the real inputs.
            used: Quantization of the result.
            attributes: Attributes of the float node.
        """
        output = node.outputs[0]
        low, high = used.interval
        if low == 0 and not self.needs_no_clamp(operator, inputs):
            unclamped = self.fresh(f"{output}_unclamped")
            bounds = (self.add_constant(f"{output}_{at:g}", np.array(at, np.float32)) for at in (low, high))
            self.write(operator, inputs, (unclamped,), attributes, node.name)
            self.write("Clip", (unclamped, *bounds), (output,))
        else:
            self.write(operator, inputs, (output,), attributes, node.name)
        if low >= 0:
            self.clamped.add(output)
        self.quantizations[output] = used
        self.intervals[output] = used.interval


def name_of(node: Node, index: int) -> str:
    """Return the name of an input of a node; "" if the node does not have the input."""
    return node.inputs[index] if index < len(node.inputs) else ""
