"""Writer of the C lines of a host graph: its arrays, its constants, and the loops that fill them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from deploy.host_c.views import Kind, View, in_order, indices, loop, merged
from deploy.host_step import HostStep

MAX_ELEMENTS: Final = 2**22
"""Largest number of elements of one array: more than the RAM of a microcontroller."""

_KINDS: Final = {
    "float32": Kind.REAL, "int64": Kind.WHOLE, "int32": Kind.WHOLE, "bool": Kind.TRUTH,
}  # fmt: skip

_INT32: Final = np.iinfo(np.int32)

_NUMBERS_ON_A_LINE: Final = 10


class NoForm(Exception):
    """Raised for an operator, or a form of an operator, for which there is no C."""


class Writer:
    """State of the C lines of one host graph."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.arrays: dict[str, tuple[Kind, int]] = {}
        self.constants: list[str] = []

    def new(self, kind: Kind, shape: tuple[int, ...], name: str | None = None) -> View:
        """Return a new array of the caller's structure, in order.

        Raises:
            NoForm: If it is too large.
        """
        elements = math.prod(shape)
        if not 0 < elements <= MAX_ELEMENTS:
            raise NoForm
        name = name or f"v{len(self.arrays)}"
        self.arrays[name] = kind, elements
        return View(f"values->{name}", kind, shape, in_order(shape))

    def constant(self, values: npt.NDArray[Any]) -> View:
        """Return a constant: a number in the text, or an array of the file.

        Raises:
            NoForm: If the type of its elements has no form in C, or a whole number needs more than 32 bits.
        """
        kind = _KINDS.get(values.dtype.name)
        if kind is None or not 0 < values.size <= MAX_ELEMENTS:
            raise NoForm
        if kind is Kind.WHOLE and (values.min() < _INT32.min or values.max() > _INT32.max):
            raise NoForm
        numbers = [_number(each, kind) for each in values.reshape(-1)]
        if len(numbers) == 1:
            return View(numbers[0], kind, values.shape, (0,) * values.ndim, is_number=True)
        name = f"c{len(self.constants)}"
        rows = [
            f"    {', '.join(numbers[at : at + _NUMBERS_ON_A_LINE])},"
            for at in range(0, len(numbers), _NUMBERS_ON_A_LINE)
        ]
        self.constants.append("\n".join([f"static const {kind} {name}[{len(numbers)}] = {{", *rows, "};"]))
        return View(name, kind, values.shape, in_order(values.shape))

    def fill(self, target: View, sources: Sequence[View], expression: str) -> None:
        """Append the loop that computes each element of an array from the elements at its place in others.

        Args:
            target: The array.
            sources: The others, which are broadcast to its extents; their elements are `a`, `b` and `c`.
            expression: C expression of the element.
        """
        target, *given = merged([target, *(each.broadcast(target.shape) for each in sources)])
        at = indices("i", target.shape)
        loads = [f"const {view.kind} {letter} = {view.at(at)};" for letter, view in zip("abc", given, strict=False)]
        self.lines += loop("i", target.shape, [*loads, f"{target.at(at)} = {expression};"])

    def computed(self, kind: Kind, sources: Sequence[View], expression: str) -> View:
        """Return a new array whose elements are computed from those of others, broadcast to each other."""
        target = self.new(kind, np.broadcast_shapes(*(each.shape for each in sources)))
        self.fill(target, sources, expression)
        return target

    def copied(self, view: View) -> View:
        """Return a new array, in order, with the elements of a view."""
        return self.computed(view.kind, [view], "a")

    def reshaped(self, view: View, shape: tuple[int, ...]) -> View:
        """Return a view with other extents; its elements are copied first if they are not in order."""
        if math.prod(shape) != view.elements:
            raise NoForm
        return (view if view.is_in_order else self.copied(view)).reshaped(shape)


def _number(value: Any, kind: Kind) -> str:
    if kind is not Kind.REAL:
        whole = int(value)
        return f"(-{-(whole + 1)} - 1)" if whole == _INT32.min else str(whole)
    return real_number(value)


def real_number(value: Any) -> str:
    """Return a number as a C constant of the type float."""
    single = np.float32(value)
    if np.isnan(single):
        return "NAN"
    if np.isinf(single):
        return "INFINITY" if single > 0 else "-INFINITY"
    return f"{single}f"


Form = Callable[[Writer, HostStep, tuple[View, ...]], tuple[View, ...]]
"""Function that appends the C of an operator to the writer, and returns the views of the outputs."""
