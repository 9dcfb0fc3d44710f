"""Translation of a host graph to lines of numpy: names of the file become our identifiers and comments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, helper, numpy_helper

from deploy.host_lines import FUNCTIONS, LINES
from deploy.host_step import HostStep, NoLine

_INLINE_ELEMENTS: Final = 16
"""Largest number of elements of a constant that is written into the text."""

_SHOWN_LENGTH: Final = 60

_TYPES: Final = frozenset(("float32", "int64", "int32", "int16", "int8", "uint16", "uint8", "bool"))


@dataclass(frozen=True, eq=False)
class HostLines:
    """Lines of Python that compute a host graph.

    Attributes:
        lines: The lines, without indentation.
        identifiers: Identifier of each value that the lines compute, by its name in the file.
        constants: Arrays that the lines read as CONSTANTS["c0"], CONSTANTS["c1"], ..., by these keys.
        functions: Names of the functions of `deploy.host_lines` that the lines call.
    """

    lines: tuple[str, ...]
    identifiers: Mapping[str, str]
    constants: Mapping[str, npt.NDArray[Any]]
    functions: tuple[str, ...]


def comment(name: str) -> str:
    """Return a name of a file as text for a comment: printable ASCII on one line."""
    return ascii(name[:_SHOWN_LENGTH])


def operators_without_line(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the operators of a model that `host_lines` has no row for, without duplicates."""
    return tuple(dict.fromkeys(node.op_type for node in model.graph.node if node.domain or node.op_type not in LINES))


def host_lines(model: onnx.ModelProto, inputs: Mapping[str, str]) -> HostLines | None:
    """Translate the nodes of a model to lines of Python.

    Args:
        model: ONNX model of a host graph.
        inputs: Identifier of each value that the model reads, by its name in the file.

    Returns:
        The lines; None if a node has no line.
    """
    writer = _Writer(model, dict(inputs))
    try:
        for node in model.graph.node:
            writer.write(node)
    except (NoLine, LookupError, ValueError, TypeError):  # a damaged model of an untrusted description
        return None
    called = set(re.findall(r"\b([a-z_]+)\(", "\n".join(writer.code)))
    return HostLines(
        tuple(writer.lines), writer.identifiers, writer.constants, tuple(each for each in FUNCTIONS if each in called)
    )


class _Writer:
    """State of the translation of one model.

    Args:
        model: The model.
        identifiers: Identifier of each value so far, by its name in the file.
    """

    def __init__(self, model: onnx.ModelProto, identifiers: dict[str, str]) -> None:
        self.identifiers = identifiers
        self.lines: list[str] = []
        self.code: list[str] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self._opset = next((each.version for each in model.opset_import if not each.domain), 0)
        self._initializers = {each.name: each for each in model.graph.initializer}
        self._values: dict[str, npt.NDArray[Any]] = {}
        self._count = 0

    def write(self, node: NodeProto) -> None:
        """Append the line of a node."""
        line = None if node.domain else LINES.get(node.op_type)
        if line is None:
            raise NoLine
        values = tuple(self._constant(name) for name in node.input)
        attributes = {each.name: plain_attribute(helper.get_attribute_value(each)) for each in node.attribute}
        expressions = tuple(
            self._expression(name, value) if name else "" for name, value in zip(node.input, values, strict=True)
        )
        text = line(HostStep(expressions, values, attributes, self._opset, len(node.output)))
        targets = [self._identifier(name) if name else "_" for name in node.output]
        if len(targets) > 1 and node.op_type not in ("Split", "TopK"):
            raise NoLine
        self.code.append(text)
        self.lines.append(f"{', '.join(targets)} = {text}  # {node.op_type} -> {comment(node.output[0])}")

    def _constant(self, name: str) -> npt.NDArray[Any] | None:
        if name in self._initializers and name not in self._values:
            self._values[name] = numpy_helper.to_array(self._initializers[name])
        return self._values.get(name)

    def _expression(self, name: str, value: npt.NDArray[Any] | None) -> str:
        if name in self.identifiers:
            return self.identifiers[name]
        if value is None or value.dtype.name not in _TYPES:
            raise NoLine
        return _literal(value) or self._stored(name, value)

    def _stored(self, name: str, value: npt.NDArray[Any]) -> str:
        """Return the expression of a constant that is stored in the file of arrays."""
        key = f"c{len(self.constants)}"
        self.constants[key] = value
        self.identifiers[name] = f'CONSTANTS["{key}"]'
        return self.identifiers[name]

    def _identifier(self, name: str) -> str:
        self.identifiers[name] = f"v{self._count}"
        self._count += 1
        return self.identifiers[name]


def _literal(value: npt.NDArray[Any]) -> str | None:
    """Return a small constant as a Python expression; None if it is too large or has NaN or infinite elements."""
    if value.size > _INLINE_ELEMENTS or not np.isfinite(value).all():
        return None
    kind = f"np.{'bool_' if value.dtype.name == 'bool' else value.dtype.name}"
    numbers = [str(number) for number in value.reshape(-1)]
    if value.ndim == 0:
        return f"{kind}({numbers[0]})"
    text = f"np.array([{', '.join(numbers)}], dtype={kind})"
    return text if value.ndim == 1 else f"{text}.reshape{value.shape}"


def plain_attribute(value: Any) -> Any:
    """Return an attribute as a number or a tuple of numbers; None if it is of another type."""
    if isinstance(value, int | float):
        return value
    if isinstance(value, bytes | str) or not hasattr(value, "__iter__"):
        return None
    values = tuple(value)
    return values if all(isinstance(each, int | float) for each in values) else None
