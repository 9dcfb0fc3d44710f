"""Conversion of the program that torch.export returns to the graph of ONNX operators that the ONNX reader reads.

Nodes that depend on constants only (a normalised weight, a transposed matrix) are computed by torch during the
conversion.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np
import torch
from torch import Tensor, fx

from network.errors import InvalidNetwork, UnsupportedOperator
from network.names import MAX_NAME_LENGTH, is_name
from network.network import MAX_TENSOR_ELEMENTS
from network.onnx_reading.causes import Cause, UnsupportedNode
from network.onnx_reading.graph import UNREADABLE, Graph, GraphInput, Node
from network.onnx_reading.tensors import ConstantArray
from qat.torch_reader.advice import advice_for, cause_for, onnx_name_of
from qat.torch_reader.call import AtenCall, AtenNode, aten_name, changed_arguments, extents, named_arguments
from qat.torch_reader.exporting import Exported
from qat.torch_reader.host_operators import HOST_OPERATORS
from qat.torch_reader.operators import OPERATORS

_OPSET: Final = 17
"""Version of the ONNX operator set to which ATen operators are converted."""

_CHECKS: Final = frozenset({"aten._assert_async", "aten._assert_scalar", "aten._assert_tensor_metadata"})
"""ATen operators that torch.export adds to check its assumptions; they compute nothing and are skipped."""

_TORCH_NAMES: Final = {"aten.addmm": "linear", "aten.constant_pad_nd": "pad", "aten.mm": "linear"}
"""Names of the torch functions that correspond to ATen operators of another name."""


def graph_of(exported: Exported) -> Graph:
    """Convert a program that torch.export returned to a graph of ONNX operators.

    Args:
        exported: The program.

    Raises:
        UnsupportedOperator: if an operator, or one of its arguments, is not in the table; the message names the
            operator and its module.
        InvalidNetwork: if an output does not depend on the input.
    """
    builder = _GraphBuilder(exported)
    nodes = tuple(builder.nodes())
    outputs = tuple(builder.output(node) for node in exported.outputs)
    batch, *dims = exported.input_dims
    return Graph(
        opset=_OPSET,
        inputs=(GraphInput(builder.input, tuple(dims), batch),),
        nodes=nodes,
        outputs=outputs,
        initializers=builder.initializers,
        size_bytes=sum(array.nbytes for array in builder.initializers.values()),
        sources=builder.sources,
    )


class _GraphBuilder:
    """Converter of an exported torch program's nodes to ONNX nodes, one after the other in the order in which they run.

    Attributes:
        input: Name of the network's input tensor.
        initializers: Constants that ONNX nodes read, by name; complete after all nodes are converted.
        sources: Name of each constant that torch computed from others -> name of the module's constant behind it.
    """

    def __init__(self, exported: Exported) -> None:
        self._exported = exported
        self.input = exported.input.name
        self.initializers: dict[str, ConstantArray] = {}
        self.sources: dict[str, str] = {}
        self._constants: dict[fx.Node, Any] = {}  # values of nodes that depend on constants only
        self._tensors: dict[fx.Node, str] = {exported.input: self.input}  # names of activation tensors
        self._used_names = {self.input}
        self._name_counts: dict[str, int] = {}

    def nodes(self) -> Iterator[Node]:
        """Convert all nodes of the exported torch program to ONNX nodes.

        Yields:
            The ONNX nodes, in the order in which they run.

        Raises:
            UnsupportedOperator: if an operator, or one of its arguments, is not in the table.
        """
        for node in self._exported.nodes:
            if node.name in self._exported.constants:
                self._constants[node] = self._exported.constants[node.name]
            elif node.op == "call_function" and aten_name(node) not in _CHECKS:
                yield from self._converted(node)

    def output(self, node: fx.Node) -> str:
        """Return the name of the ONNX value that a node of the torch program, which is an output of the module, became.

        Args:
            node: The node whose result the module returns.

        Raises:
            InvalidNetwork: if the output does not depend on the input.
        """
        if node not in self._tensors:
            raise InvalidNetwork(
                "an output of the module is a constant, because it does not depend on the input; expected "
                "outputs that depend on the input: remove it from the result"
            )
        return self._tensors[node]

    def _converted(self, node: fx.Node) -> Iterator[Node]:
        if node.target is operator.getitem and (source := node.all_input_nodes[0]) in self._tensors:
            self._tensors[node] = _result_name(self._tensors[source], cast("int", node.args[1]))
            return
        aten, path = aten_name(node), _path(node)
        if all(source in self._constants for source in node.all_input_nodes):
            self._constants[node] = self._computed(node, AtenNode("", "", (), (), {}, aten, path))
            if node.all_input_nodes:
                largest = _constant_name(self._largest(node.all_input_nodes))
                self.sources[_constant_name(node)] = self.sources.get(largest, largest)
            return
        name = self._unused_name(node, path)
        named = AtenNode(name, "", (), _result_names(name, node), {}, aten, path)
        try:
            yield self._read(node, named)
        except UnsupportedNode as refusal:
            yield self._refused(node, named, refusal)
        self._tensors[node] = name

    def _read(self, node: fx.Node, named: AtenNode) -> AtenNode:
        """Return the ONNX node to which a call of an ATen operator is converted.

        Raises:
            UnsupportedNode: if the operator, or one of its arguments, is not supported.
        """
        known = OPERATORS.get(named.aten)
        if known is None:
            raise named.unsupported(f"is not supported; {advice_for(named.aten)}", cause_for(named.aten))
        if len(named.outputs) > 1:
            raise named.unsupported("has a second result that is read; use only the first result")
        arguments = named_arguments(node)
        for argument in sorted(changed_arguments(node) - known.arguments):
            raise named.unsupported(
                f"is called with {argument}={str(arguments[argument])[:60]}, which is not supported; leave the "
                "argument at its default value"
            )
        return known.read(AtenCall(named, arguments | {"result": _result_extents(node)}, self._name_of(named)))

    def _refused(self, node: fx.Node, named: AtenNode, refusal: UnsupportedNode) -> AtenNode:
        """Return the ONNX node that stands for a call of an ATen operator that cannot be read.

        The ONNX reader lists all such nodes in one error, or leaves them to the host if no layer is behind them.
        """
        name_of = self._name_of(named)
        if named.aten in HOST_OPERATORS and len(named.outputs) == 1:
            call = AtenCall(named, named_arguments(node) | {"result": _result_extents(node)}, name_of)
            if (faithful := HOST_OPERATORS[named.aten](call)) is not None:
                return replace(faithful, refusal=refusal)
        sources = tuple(map(name_of, node.all_input_nodes))
        operator = "ConvTranspose" if refusal.cause is Cause.TRANSPOSED_CONVOLUTION else onnx_name_of(named.aten)
        # The arguments of the operator are not converted, so that nothing may compute the node by its ONNX name.
        return replace(named, operator=operator, inputs=sources, attributes={"arguments": UNREADABLE}, refusal=refusal)

    def _computed(self, node: fx.Node, unnamed: AtenNode) -> Any:
        """Compute the result of an ATen operator whose inputs are all constants.

        Raises:
            UnsupportedOperator: if the operator draws random numbers, or its result has more elements than a network's
                tensor can have.
        """
        target: Any = node.target
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
            raise unnamed.unsupported(
                "draws random numbers; expected a module that always computes the same result: remove the operator "
                "from its forward"
            )
        elements = sum(each.numel() for each in _tensors(node.meta.get("val")))
        if elements > MAX_TENSOR_ELEMENTS:
            raise unnamed.unsupported(
                f"computes a constant of {elements} elements; expected at most {MAX_TENSOR_ELEMENTS} elements: "
                "use a smaller constant"
            )
        lookup = self._constants.__getitem__
        kwargs = {name: value for name, value in node.kwargs.items() if name != "device"}  # constants are on the CPU
        with torch.no_grad():
            return target(*fx.map_arg(node.args, lookup), **fx.map_arg(kwargs, lookup))

    def _largest(self, nodes: list[fx.Node]) -> fx.Node:
        """Return the node, of several constants, whose value has the most elements."""
        return max(nodes, key=lambda node: sum(each.numel() for each in _tensors(self._constants[node])))

    def _name_of(self, consumer: AtenNode) -> Any:
        """Return a function that maps an argument of an ATen operator to the name of the argument's ONNX value."""

        def name_of(argument: Any) -> str:
            if argument is None:
                return ""
            if not isinstance(argument, fx.Node):
                array = argument if isinstance(argument, np.ndarray) else np.asarray(argument, np.float64)
                return self._initializer(f"%{consumer.name}:{len(self.initializers)}", array)
            if argument in self._constants:
                return self._initializer(_constant_name(argument), _array(self._constants[argument]))
            return self._tensors[argument]

        return name_of

    def _initializer(self, name: str, array: ConstantArray) -> str:
        self.initializers[name] = array
        return name

    def _unused_name(self, node: fx.Node, path: str) -> str:
        """Return a name for the layer and tensor of a node that no earlier node has.

        The name is the path of the module if the module is one of torch's own, else the path and the operator's name.
        """
        aten = aten_name(node)
        operator_name = _TORCH_NAMES.get(aten, aten.partition(".")[2].strip("_"))
        with_operator = f"{path}.{operator_name}" if path else operator_name
        base = path if path and _is_torchs_own(node) else with_operator
        if not is_name(base):
            raise InvalidNetwork(
                f"a submodule has the path {base[:60]!r}; expected printable text of at most {MAX_NAME_LENGTH} "
                "characters: rename the submodule"
            )
        name = base
        while name in self._used_names:
            self._name_counts[base] = self._name_counts.get(base, 1) + 1
            name = f"{base}_{self._name_counts[base]}"
        self._used_names.add(name)
        return name


def _constant_name(node: fx.Node) -> str:
    """Return the name of the ONNX value of a node that depends on constants only."""
    return f"%{node.name}"


def _module(node: fx.Node) -> tuple[str, str]:
    """Return the path and the class of the innermost torch module whose forward calls a node's operator."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(stack.values()), ("", ""))
    return str(path).partition("@")[0], str(kind)


def _path(node: fx.Node) -> str:
    return _module(node)[0]


def _is_torchs_own(node: fx.Node) -> bool:
    return _module(node)[1].startswith("torch.nn.")


def _result_names(name: str, node: fx.Node) -> tuple[str, ...]:
    """Return the names of the results of a node, up to the last one that another node reads."""
    indices = (cast("int", each.args[1]) for each in node.users if each.target is operator.getitem)
    return tuple(_result_name(name, index) for index in range(max(indices, default=0) + 1))


def _result_name(name: str, index: int) -> str:
    return f"{name}:{index}" if index else name


def _result_extents(node: fx.Node) -> tuple[int, ...] | None:
    return extents(node) if isinstance(node.meta.get("val"), Tensor) else None


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _array(value: Any) -> ConstantArray:
    """Convert a constant of a torch program to a numpy array: float16 and bfloat16 become float32, integers stay
    integers.

    Raises:
        UnsupportedOperator: if the constant is complex or quantized.
    """
    if not isinstance(value, Tensor):
        return np.asarray(value)
    if value.is_complex() or value.is_quantized:
        raise UnsupportedOperator(
            f"the module holds a constant of type {value.dtype}; expected real floats or integers: use the float "
            "module, before its quantization"
        )
    if value.is_floating_point() and value.dtype != torch.float64:
        value = value.float()
    array: ConstantArray = value.contiguous().numpy()
    return array
