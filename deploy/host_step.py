"""One operator of a host graph with its inputs as Python expressions, and the checks of its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

MAX_LIST_LENGTH: Final = 64
"""Largest number of axes, extents or bounds that one line of Python has."""

_INT64: Final = np.iinfo(np.int64)


class NoLine(Exception):
    """Raised for an operator, or a form of an operator, for which there is no line of Python."""


@dataclass(frozen=True, eq=False)
class HostStep:
    """One operator of a host graph.

    Attributes:
        inputs: Python expression of each input; empty for an optional input that is left out.
        constants: Value of each input that is a constant; None for the others.
        attributes: Values of the operator's attributes, by name.
        opset: Version of the standard operators.
        outputs: Number of outputs that are used.
    """

    inputs: tuple[str, ...]
    constants: tuple[npt.NDArray[Any] | None, ...]
    attributes: Mapping[str, Any]
    opset: int
    outputs: int

    def x(self, index: int = 0) -> str:
        """Return the expression of an input.

        Raises:
            NoLine: If the operator does not have the input.
        """
        if not self.has(index):
            raise NoLine
        return self.inputs[index]

    def has(self, index: int) -> bool:
        """Return whether the operator has the input."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def integer(self, name: str, default: int | None = None) -> int:
        """Return an attribute that is a whole number.

        Raises:
            NoLine: If the attribute is missing or of another type.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise NoLine
        return value

    def number(self, name: str, default: float) -> str:
        """Return an attribute that is a finite number, as a Python literal.

        Raises:
            NoLine: If the attribute is of another type.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, float) or not np.isfinite(value):
            raise NoLine
        return str(np.float32(value))

    def integers(self, name: str, index: int) -> tuple[int, ...] | None:
        """Return whole numbers from an attribute (older opsets) or from a constant input (newer ones).

        Returns:
            The numbers; None if the operator has neither.

        Raises:
            NoLine: If the input is not a constant, or if there are too many numbers.
        """
        given: Any = self.attributes.get(name)
        if given is None:
            if not self.has(index):
                return None
            values = self.constants[index]
            if values is None or values.dtype.kind != "i":
                raise NoLine
            given = values.reshape(-1).tolist() if values.size <= MAX_LIST_LENGTH else None
        if not isinstance(given, list | tuple) or len(given) > MAX_LIST_LENGTH:
            raise NoLine
        if not all(isinstance(value, int) and _INT64.min <= value <= _INT64.max for value in given):
            raise NoLine
        return tuple(given)

    def required_integers(self, name: str, index: int) -> tuple[int, ...]:
        """Return whole numbers that the operator must have; see `integers`."""
        found = self.integers(name, index)
        if found is None:
            raise NoLine
        return found
