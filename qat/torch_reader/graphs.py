"""From torch.export's program to the graph that the ONNX reader reads.

What depends on constants alone (a weight that is normalised, a transposed matrix) is computed by torch while reading.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, fx

from network.errors import InvalidNetwork, UnsupportedOperator
from network.names import MAX_NAME_LENGTH, is_name
from network.network import MAX_TENSOR_ELEMENTS
from network.onnx_reading.proto import Graph, Node
from network.onnx_reading.tensors import ConstantArray
from qat.torch_reader.advice import advice_for
from qat.torch_reader.call import AtenCall, AtenNode, aten_name, changed_arguments, extents, named_arguments
from qat.torch_reader.exporting import Exported
from qat.torch_reader.operators import OPERATORS

_OPSET: Final = 18
"""The version of ONNX's operators that `operators` speaks."""

_CHECKS: Final = frozenset({"aten._assert_async", "aten._assert_scalar", "aten._assert_tensor_metadata"})
"""What torch.export adds to be sure of its assumptions; they compute nothing."""

_SHORTER: Final = {"aten.addmm": "linear", "aten.constant_pad_nd": "pad", "aten.mm": "linear"}
"""What functions of torch are called that ATen has other names for."""


def graph_of(exported: Exported) -> Graph:
    """The program as ONNX operators.

    Raises:
        UnsupportedOperator: an operator, or a form of one, outside the table; names it and its module.
        InvalidNetwork: an output that does not depend on the input.
    """
    walk = _Walk(exported)
    nodes = tuple(walk.nodes())
    outputs = tuple(walk.output(node) for node in exported.outputs)
    batch, *dims = exported.input_dims
    return Graph(
        opset=_OPSET,
        input=walk.input,
        input_dims=tuple(dims),
        batch=batch,
        nodes=nodes,
        outputs=outputs,
        initializers=walk.initializers,
        size_bytes=sum(array.nbytes for array in walk.initializers.values()),
    )


class _Walk:
    """Once over the program.

    Attributes:
        input: the name of the network's input.
        initializers: the constants that activation tensors meet, by name.
    """

    def __init__(self, exported: Exported) -> None:
        self._exported = exported
        self.input = exported.input.name
        self.initializers: dict[str, ConstantArray] = {}
        self._computed: dict[fx.Node, Any] = {}  # of constants alone
        self._named: dict[fx.Node, str] = {exported.input: self.input}
        self._taken = {self.input}
        self._times: dict[str, int] = {}

    def nodes(self) -> Iterator[Node]:
        for node in self._exported.nodes:
            if node.name in self._exported.constants:
                self._computed[node] = self._exported.constants[node.name]
            elif node.op == "call_function" and aten_name(node) not in _CHECKS:
                yield from self._read(node)

    def output(self, node: fx.Node) -> str:
        if node not in self._named:
            raise InvalidNetwork("an output of the module is a constant: it does not depend on the input")
        return self._named[node]

    def _read(self, node: fx.Node) -> Iterator[Node]:
        if node.target is operator.getitem and (source := node.all_input_nodes[0]) in self._named:
            # Of an operator's several results the first is the tensor; the others are missed when they are read.
            if node.args[1] == 0:
                self._named[node] = self._named[source]
            return
        aten, path = aten_name(node), _path(node)
        place = AtenNode("", "", (), (), {}, aten, path)
        if all(source in self._computed for source in node.all_input_nodes):
            self._computed[node] = self._constant(node, place)
            return
        known = OPERATORS.get(aten)
        if known is None:
            raise place.unsupported(f"is not read; {advice_for(aten)}")
        arguments = named_arguments(node)
        for argument in sorted(changed_arguments(node) - known.arguments):
            raise place.unsupported(f"has {argument}={str(arguments[argument])[:60]}, which is not read")
        name = self._free_name(node, path)
        place = AtenNode(name, "", (), (name,), {}, aten, path)
        yield known.read(AtenCall(place, arguments | {"result": _result_extents(node)}, self._name_of(place)))
        self._named[node] = name

    def _constant(self, node: fx.Node, place: AtenNode) -> Any:
        """What the operator computes from constants, really computed.

        Raises:
            UnsupportedOperator: it draws at random, or makes more than a device could ever hold.
        """
        target: Any = node.target
        if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
            raise place.unsupported("draws numbers at random; expected a module that computes the same every time")
        elements = sum(each.numel() for each in _tensors(node.meta.get("val")))
        if elements > MAX_TENSOR_ELEMENTS:
            raise place.unsupported(f"makes a constant of {elements} elements; at most {MAX_TENSOR_ELEMENTS} are taken")
        lookup = self._computed.__getitem__
        kwargs = {name: value for name, value in node.kwargs.items() if name != "device"}  # constants are on the CPU
        with torch.no_grad():
            return target(*fx.map_arg(node.args, lookup), **fx.map_arg(kwargs, lookup))

    def _name_of(self, place: AtenNode) -> Any:
        def name_of(argument: Any) -> str:
            if argument is None:
                return ""
            if not isinstance(argument, fx.Node):
                return self._initializer(f"%{place.name}:{len(self.initializers)}", np.asarray(argument, np.float64))
            if argument in self._computed:
                return self._initializer(f"%{argument.name}", _array(self._computed[argument]))
            if argument not in self._named:
                raise place.unsupported("reads a second result of another operator, which is not computed")
            return self._named[argument]

        return name_of

    def _initializer(self, name: str, array: ConstantArray) -> str:
        self.initializers[name] = array
        return name

    def _free_name(self, node: fx.Node, path: str) -> str:
        """The path of torch's own modules; for the operators of other modules, their path and the operator's name."""
        aten = aten_name(node)
        own = _SHORTER.get(aten, aten.partition(".")[2].strip("_"))
        base = path if path and _is_torchs_own(node) else f"{path}.{own}" if path else own
        if not is_name(base):
            raise InvalidNetwork(
                f"a module has the path {base[:60]!r}; expected printable text of at most {MAX_NAME_LENGTH} characters"
            )
        name = base
        while name in self._taken:
            self._times[base] = self._times.get(base, 1) + 1
            name = f"{base}_{self._times[base]}"
        self._taken.add(name)
        return name


def _module(node: fx.Node) -> tuple[str, str]:
    """The path and the class of the innermost module that the node's operator stands in."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = next(reversed(stack.values()), ("", ""))
    return str(path).partition("@")[0], str(kind)


def _path(node: fx.Node) -> str:
    return _module(node)[0]


def _is_torchs_own(node: fx.Node) -> bool:
    return _module(node)[1].startswith("torch.nn.")


def _result_extents(node: fx.Node) -> tuple[int, ...] | None:
    return extents(node) if isinstance(node.meta.get("val"), Tensor) else None


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _array(value: Any) -> ConstantArray:
    """A constant as the ONNX reader takes it: halves widened, whole numbers as they are."""
    if not isinstance(value, Tensor):
        return np.asarray(value)
    if value.is_complex() or value.is_quantized:
        raise UnsupportedOperator(f"the module holds a constant of type {value.dtype}; expected floats")
    if value.is_floating_point() and value.dtype != torch.float64:
        value = value.float()
    array: ConstantArray = value.contiguous().numpy()
    return array
