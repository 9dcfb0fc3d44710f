"""Operators of the host program that combine the elements along an axis: softmax, sums, choices, matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from deploy.host_c.views import INDENT, Kind, View, indices, loop
from deploy.host_c.writer import Form, NoForm, Writer
from deploy.host_step import HostStep

_FIRST_AXIS_OPSET: Final = 13
"""First opset in which Softmax sums along one axis; before, along this axis and all axes behind it."""

_MATRIX_RANK: Final = 2


@dataclass(frozen=True)
class _Axes:
    """Split of the dimensions of a view into those that stay, with indices i0, i1, ..., and those that are combined.

    Attributes:
        view: The view.
        combined: The dimensions that are combined, with indices j0, j1, ...
    """

    view: View
    combined: tuple[int, ...]

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(len(self.view.shape)) if axis not in self.combined)

    @property
    def outer(self) -> list[int]:
        """Extents of the dimensions that stay."""
        return [self.view.shape[axis] for axis in self.kept]

    @property
    def inner(self) -> list[int]:
        """Extents of the dimensions that are combined."""
        return [self.view.shape[axis] for axis in self.combined]

    def at(self, inner: Sequence[str] | None = None, *, of: View | None = None) -> str:
        """Return the C expression of an element of the view, or of another one with these dimensions.

        Args:
            inner: Indices along the combined dimensions; None for those of the loops.
            of: The other view.
        """
        named = dict(zip(self.kept, indices("i", self.outer), strict=True))
        named |= zip(self.combined, inner or indices("j", self.inner), strict=True)
        return (of or self.view).at([named[axis] for axis in range(len(self.view.shape))])

    @property
    def index(self) -> str:
        """C expression of the index along the only dimension that is combined."""
        return indices("j", self.inner)[0]

    def first(self) -> str:
        """Return the C expression of the first of the elements that are combined."""
        return self.at(["0"] * len(self.combined))

    def result_shape(self, *, keeps: bool) -> tuple[int, ...]:
        """Return the extents of the result; the combined ones are 1, or are left out."""
        shape = enumerate(self.view.shape)
        return tuple(1 if axis in self.combined else extent for axis, extent in shape if keeps or axis in self.kept)

    def around(self, lines: Sequence[str]) -> list[str]:
        """Return the loops over the dimensions that stay around lines."""
        return loop("i", self.outer, lines)


def softmax_form(*, is_logarithm: bool) -> Form:
    """Return the form of softmax, or of its logarithm; the largest element is subtracted first, against overflow."""

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        view, rank = views[0], len(views[0].shape)
        if view.kind is not Kind.REAL:
            raise NoForm
        is_one_axis = step.opset >= _FIRST_AXIS_OPSET
        axis = step.integer("axis", -1 if is_one_axis else 1) % rank
        axes = _Axes(view, (axis,) if is_one_axis else tuple(range(axis, rank)))
        target = writer.new(Kind.REAL, view.shape)
        at = axes.at(of=target)
        last = f"{at} = {axes.at()} - top - logf(sum);" if is_logarithm else f"{at} /= sum;"
        power = ["const float power = expf({0} - top);", "{1} = power;", "sum += power;"]
        if is_logarithm:
            power = ["sum += expf({0} - top);"]
        writer.lines += axes.around([
            f"float top = {axes.first()};",
            "float sum = 0.0f;",
            *loop("j", axes.inner, [f"const float x = {axes.at()};", "top = x > top ? x : top;"]),
            *loop("j", axes.inner, [line.format(axes.at(), at) for line in power]),
            *loop("j", axes.inner, [last]),
        ])  # fmt: skip
        return (target,)

    return form


def reduction_form(expression: str, *, is_mean: bool = False) -> Form:
    """Return the form of an operator that combines all elements along axes.

    Args:
        expression: C expression of the new total, from the total so far and the element `x`.
        is_mean: Whether the total is divided by the number of elements.
    """

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        view, given = views[0], step.integers("axes", 1)
        if view.kind is Kind.TRUTH or (is_mean and view.kind is not Kind.REAL):
            raise NoForm
        if not given and step.integer("noop_with_empty_axes", 0):
            return (view,)
        rank = len(view.shape)
        axes = _Axes(view, tuple(sorted({axis % rank for axis in given})) if given else tuple(range(rank)))
        shape = axes.result_shape(keeps=bool(step.integer("keepdims", 1)))
        target = writer.new(view.kind, shape)
        starts_at_zero = expression.startswith("total +")
        count = view.elements // target.elements
        result = target.reshaped(tuple(axes.outer)).at(indices("i", axes.outer))
        writer.lines += axes.around([
            f"{view.kind} total = {'0' if starts_at_zero else axes.first()};",
            *loop("j", axes.inner, [f"const {view.kind} x = {axes.at()};", f"total = {expression};"]),
            f"{result} = {f'total / {count}.0f' if is_mean else 'total'};",
        ])  # fmt: skip
        return (target,)

    return form


def arg_form(comparison: str) -> Form:
    """Return the form of an operator that finds the index of the largest or smallest element; the first one wins.

    Args:
        comparison: C operator by which an element replaces the best one so far.
    """

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        if step.integer("select_last_index", 0):
            raise NoForm
        view = views[0]
        axes = _Axes(view, (step.integer("axis", 0) % len(view.shape),))
        target = writer.new(Kind.WHOLE, axes.result_shape(keeps=bool(step.integer("keepdims", 1))))
        result = target.reshaped(tuple(axes.outer)).at(indices("i", axes.outer))
        writer.lines += axes.around([
            "int32_t best = 0;",
            *loop("j", axes.inner, [f"best = {axes.at()} {comparison} {axes.at(['best'])} ? {axes.index} : best;"]),
            f"{result} = best;",
        ])  # fmt: skip
        return (target,)

    return form


def top_k_form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of TopK: the next element in order is searched again and again, which needs no further memory."""
    view = views[0]
    (count,) = step.required_integers("k", 1)
    axes = _Axes(view, (step.integer("axis", -1) % len(view.shape),))
    (extent,), index = axes.inner, axes.index
    if not 1 <= count <= extent:
        raise NoForm
    comparison = ">" if step.integer("largest", 1) else "<"
    shape = tuple(count if axis in axes.combined else each for axis, each in enumerate(view.shape))
    values, places = writer.new(view.kind, shape), writer.new(Kind.WHOLE, shape)
    (place,) = indices("k", [count])
    x, best, last = axes.at(), axes.at(["best"]), axes.at(["last"])
    writer.lines += axes.around([
        "int32_t last = -1;",
        *loop("k", [count], [
            "int32_t best = -1;",
            *loop("j", [extent], [
                f"const int is_left = last < 0 || {last} {comparison} {x} || ({index} > last && {x} == {last});",
                f"if (is_left && (best < 0 || {x} {comparison} {best})) {{", f"{INDENT}best = {index};", "}",
            ]),
            "best = best < 0 ? 0 : best;",
            f"{axes.at([place], of=values)} = {best};",
            f"{axes.at([place], of=places)} = best;",
            "last = best;",
        ]),
    ])  # fmt: skip
    return values, places


def matmul_form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of a matrix product, also of stacks of matrices."""
    left, right = views
    if left.kind is not Kind.REAL or right.kind is not Kind.REAL:
        raise NoForm
    if min(len(left.shape), len(right.shape)) < _MATRIX_RANK or left.shape[-1] != right.shape[-2]:
        raise NoForm
    stack = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = left.broadcast((*stack, *left.shape[-2:])), right.broadcast((*stack, *right.shape[-2:]))
    target = writer.new(Kind.REAL, (*stack, left.shape[-2], right.shape[-1]))
    at, (j,) = indices("i", target.shape), indices("j", left.shape[-1:])
    writer.lines += loop("i", target.shape, [
        "float sum = 0.0f;",
        *loop("j", [left.shape[-1]], [f"sum += {left.at([*at[:-1], j])} * {right.at([*at[:-2], j, at[-1]])};"]),
        f"{target.at(at)} = sum;",
    ])  # fmt: skip
    return (target,)
