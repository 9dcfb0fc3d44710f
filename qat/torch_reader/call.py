"""One ATen operator as the table's functions see it: arguments by name, values by their ONNX names, errors placed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx

from network.errors import UnsupportedOperator
from network.onnx_reading.proto import Node


@dataclass(frozen=True, eq=False)
class AtenNode(Node):
    """A node of the ONNX reader's graph that came from torch, and says so in errors.

    Attributes:
        aten: ATen's name of the operator, e.g. "aten.convolution".
        path: of the module that it belongs to; empty for the whole.
    """

    aten: str
    path: str

    def __str__(self) -> str:
        where = f"module '{self.path[:80]}'" if self.path else "the module"
        return f"operator {self.aten[:60]} of {where}"


@dataclass(frozen=True, eq=False)
class AtenCall:
    """An operator with its arguments.

    Attributes:
        place: the node to be made, without its ONNX operator yet.
        arguments: by the schema's names; defaults where none is given.
        name_of: an argument -> the name of the ONNX value that it stands for; "" for None.
    """

    place: AtenNode
    arguments: Mapping[str, Any]
    name_of: Callable[[Any], str]

    def onnx(self, operator: str, *inputs: str, **attributes: Any) -> AtenNode:
        """The node, as an operator of ONNX with these inputs ("" for one left out) and attributes."""
        return replace(self.place, operator=operator, inputs=inputs, attributes=attributes)

    def value(self, argument: str) -> str:
        """The ONNX value of a tensor or number among the arguments; "" where it is None or not in this overload."""
        return self.name_of(self.arguments.get(argument))

    def dims(self, argument: str = "self") -> tuple[int, ...]:
        """The extents of a tensor argument, with the batch."""
        return extents(self.arguments[argument])

    def integers(self, argument: str, count: int) -> tuple[int, ...]:
        """A list of whole numbers, one for each of `count` dimensions; one number stands for all."""
        given = self.arguments[argument]
        numbers = tuple(given) if isinstance(given, (list, tuple)) else (given,)
        return numbers * count if len(numbers) == 1 else numbers

    def unsupported(self, what: str) -> UnsupportedOperator:
        return self.place.unsupported(what)


def extents(node: fx.Node) -> tuple[int, ...]:
    """What torch.export found the extents of a node's tensor to be, with the batch."""
    return tuple(int(extent) for extent in node.meta["val"].shape)


def aten_name(node: fx.Node) -> str:
    """'aten.add' for aten.add.Tensor."""
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target).rpartition(".")[0]
    return getattr(node.target, "__name__", str(node.target))


def named_arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of an operator by the schema's names; defaults where none is given."""
    arguments = _defaults(node)
    return arguments | dict(zip(arguments, node.args, strict=False)) | dict(node.kwargs)


def changed_arguments(node: fx.Node) -> set[str]:
    """The names of the arguments that do not have their defaults."""
    defaults = _defaults(node)
    return {
        name for name, value in named_arguments(node).items() if isinstance(value, fx.Node) or value != defaults[name]
    }


def _defaults(node: fx.Node) -> dict[str, Any]:
    target: Any = node.target
    return {argument.name: argument.default_value for argument in target._schema.arguments}
