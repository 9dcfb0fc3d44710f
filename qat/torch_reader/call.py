"""Call of one ATen operator of torch: its arguments, the names of its ONNX inputs, and its error messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from network.onnx_reading.causes import Cause, UnsupportedNode
from network.onnx_reading.graph import Node


@dataclass(frozen=True, eq=False)
class AtenNode(Node):
    """An ONNX node made from an ATen operator; error messages name the operator and its torch module.

    Attributes:
        aten: Name of the ATen operator, e.g. "aten.convolution".
        path: Path of the module that the operator belongs to; empty for the root module.
    """

    aten: str
    path: str

    def __str__(self) -> str:
        where = f"module '{self.path[:80]}'" if self.path else "the module"
        return f"operator {self.aten[:60]} of {where}"


@dataclass(frozen=True, eq=False)
class AtenCall:
    """A call of an ATen operator that is converted to an ONNX node.

    Attributes:
        node: The node to complete; its ONNX operator, inputs and attributes are still empty.
        arguments: All arguments by their names in the operator's schema, including default values.
        name_of: Function that returns the name of the ONNX value of an argument, or "" for None.
    """

    node: AtenNode
    arguments: Mapping[str, Any]
    name_of: Callable[[Any], str]

    def onnx(self, operator: str, *inputs: str, **attributes: Any) -> AtenNode:
        """Return the ONNX node to which the call of the ATen operator is converted.

        Args:
            operator: Name of the ONNX operator, e.g. "Conv".
            inputs: Names of the input values; "" for an optional input that is missing.
            attributes: Attributes of the ONNX operator.
        """
        return replace(self.node, operator=operator, inputs=inputs, attributes=attributes)

    def value(self, argument: str) -> str:
        """Return the name of the ONNX value of an argument of the ATen operator; "" if the argument is None or the
        overload lacks it.

        Args:
            argument: Name of an argument that is a tensor or a number.
        """
        return self.name_of(self.arguments.get(argument))

    def dims(self, argument: str = "self") -> tuple[int, ...]:
        """Return the shape of a tensor that is an argument of the ATen operator, with the batch dimension.

        Args:
            argument: Name of the argument.
        """
        return extents(self.arguments[argument])

    def integers(self, argument: str, count: int) -> tuple[int, ...]:
        """Return an argument of the ATen operator as one whole number for each dimension; a single number is repeated.

        Args:
            argument: Name of the argument, a whole number or a list of them.
            count: Number of dimensions, from 1.
        """
        given = self.arguments[argument]
        numbers = tuple(given) if isinstance(given, (list, tuple)) else (given,)
        return numbers * count if len(numbers) == 1 else numbers

    def unsupported(self, problem: str, cause: Cause = Cause.FORM) -> UnsupportedNode:
        """Return an `UnsupportedOperator` error whose message names the ATen operator, its torch module and the
        problem.

        Args:
            problem: Rest of the sentence that begins with the operator, e.g. "is a transposed convolution; ...".
            cause: Cause that groups the operator with others in a refusal.
        """
        return self.node.unsupported(problem, cause)


def extents(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of the tensor that a node of an exported torch program computes, with the batch dimension.

    Args:
        node: A node of torch.export's program whose result is a tensor.
    """
    return tuple(int(extent) for extent in node.meta["val"].shape)


def aten_name(node: fx.Node) -> str:
    """Return the name of the ATen operator that a node calls, without its overload, e.g. "aten.add" for
    aten.add.Tensor.

    Args:
        node: A node of torch.export's program that calls an operator.
    """
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target).rpartition(".")[0]
    return getattr(node.target, "__name__", str(node.target))


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """Return all arguments of a call of an ATen operator by their names in its schema, including default values.

    Args:
        node: A node of torch.export's program that calls an operator.
    """
    arguments = _defaults(node)
    return arguments | dict(zip(arguments, node.args, strict=False)) | dict(node.kwargs)


def changed_arguments(node: fx.Node) -> set[str]:
    """Return the names of the arguments of a call of an ATen operator that differ from their default values.

    Args:
        node: A node of torch.export's program that calls an operator.
    """
    defaults = _defaults(node)
    return {
        name for name, value in named_arguments(node).items() if isinstance(value, fx.Node) or value != defaults[name]
    }


def _defaults(node: fx.Node) -> dict[str, Any]:
    target: Any = node.target
    return {argument.name: argument.default_value for argument in target._schema.arguments}
