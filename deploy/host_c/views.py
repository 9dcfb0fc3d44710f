"""Strided views of C arrays, and the loops over them, from which the C of the host program is made.

Transposes, slices, splits and broadcasts only change strides, as in numpy, so they cost the chip nothing. A reshape
costs a copy only if the elements are not in order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import accumulate

INDENT = "    "


class Kind(StrEnum):
    """Type of the elements of an array in C; whole numbers of all widths have 32 bits there."""

    REAL = "float"
    WHOLE = "int32_t"
    TRUTH = "uint8_t"


@dataclass(frozen=True, slots=True)
class View:
    """Elements of a C array, seen as an array of the file.

    Attributes:
        array: C expression of the array, or of a single number if there are no strides that are not 0.
        kind: Type of the elements.
        shape: The extents.
        strides: Elements of the C array between two neighbours along each dimension; 0 along a dimension that repeats.
        offset: Index of the first element in the C array.
        is_number: Whether `array` is a number instead of an array.
    """

    array: str
    kind: Kind
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    is_number: bool = False

    @property
    def elements(self) -> int:
        """Number of elements of the view."""
        return math.prod(self.shape)

    @property
    def is_in_order(self) -> bool:
        """Whether the elements follow each other in the C array without gaps."""
        wanted = in_order(self.shape)
        return self.is_number or all(
            extent == 1 or stride == expected
            for extent, stride, expected in zip(self.shape, self.strides, wanted, strict=True)
        )

    def reshaped(self, shape: tuple[int, ...]) -> View:
        """Return a view in order with other extents."""
        strides = (0,) * len(shape) if self.is_number else in_order(shape)
        return replace(self, shape=shape, strides=strides)

    def permuted(self, order: Sequence[int]) -> View:
        """Return the view with its dimensions in another order."""
        return replace(
            self, shape=tuple(self.shape[each] for each in order), strides=tuple(self.strides[each] for each in order)
        )

    def cut(self, axis: int, start: int, step: int, extent: int) -> View:
        """Return every `step`-th element along an axis, from the index `start` on."""
        return replace(
            self,
            shape=(*self.shape[:axis], extent, *self.shape[axis + 1 :]),
            strides=(*self.strides[:axis], self.strides[axis] * step, *self.strides[axis + 1 :]),
            offset=self.offset + self.strides[axis] * start,
        )

    def broadcast(self, shape: tuple[int, ...]) -> View:
        """Return the view with extents to which its own ones can be repeated.

        Raises:
            ValueError: If they cannot be repeated to these extents.
        """
        added = len(shape) - len(self.shape)
        own, strides = (1,) * added + self.shape, (0,) * added + self.strides
        if added < 0 or any(extent not in (1, wanted) for extent, wanted in zip(own, shape, strict=True)):
            raise ValueError
        return replace(
            self,
            shape=shape,
            strides=tuple(0 if extent == 1 else stride for extent, stride in zip(own, strides, strict=True)),
        )

    def at(self, indices: Sequence[str]) -> str:
        """Return the C expression of one element.

        Args:
            indices: C expression of the index along each dimension.
        """
        if self.is_number:
            return self.array
        terms = [
            index if stride == 1 else f"{index} * {stride}"
            for index, stride in zip(indices, self.strides, strict=True)
            if stride != 0 and index != "0"
        ]
        if self.offset or not terms:
            terms.append(str(self.offset))
        return f"{self.array}[{' + '.join(terms)}]"


def in_order(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides of elements without gaps, the last dimension fastest."""
    return (
        tuple(accumulate(reversed(shape[1:]), lambda total, extent: total * extent, initial=1))[::-1] if shape else ()
    )


def merged(views: Sequence[View]) -> list[View]:
    """Merge the dimensions of views of the same extents where one loop can run over two of them; drop extents of 1."""
    rank = len(views[0].shape)
    groups: list[list[int]] = []
    for axis in range(rank):
        if views[0].shape[axis] == 1:
            continue
        inner = views[0].shape[axis]
        if groups and all(view.strides[groups[-1][-1]] == view.strides[axis] * inner for view in views):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    shape = tuple(math.prod(views[0].shape[axis] for axis in group) for group in groups)
    return [replace(view, shape=shape, strides=tuple(view.strides[group[-1]] for group in groups)) for view in views]


def loop(letter: str, extents: Sequence[int], body: Iterable[str]) -> list[str]:
    """Return nested C loops around lines; `indices` returns the names of their indices.

    Args:
        letter: First letter of the names of the indices.
        extents: Number of turns of each loop, the outermost first; there is no loop for a single turn.
        body: Lines of C.
    """
    lines = list(body)
    turns = [(name, extent) for name, extent in zip(indices(letter, extents), extents, strict=True) if extent != 1]
    for index, extent in reversed(turns):
        head = f"for (int32_t {index} = 0; {index} < {extent}; ++{index}) {{"
        lines = [head, *(f"{INDENT}{line}" for line in lines), "}"]
    return lines if turns else ["{", *(f"{INDENT}{line}" for line in lines), "}"]


def indices(letter: str, extents: Sequence[int]) -> list[str]:
    """Return the C expression of the index along each dimension inside `loop`."""
    return [f"{letter}{depth}" if extent != 1 else "0" for depth, extent in enumerate(extents)]
