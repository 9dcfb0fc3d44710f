"""Operators of the host program whose output elements each depend on one element of each input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from onnx import TensorProto

from deploy.host_c.views import Kind, View
from deploy.host_c.writer import Form, NoForm, Writer
from deploy.host_step import HostStep

_KINDS: Final[Mapping[int, Kind]] = {
    TensorProto.FLOAT: Kind.REAL, TensorProto.INT64: Kind.WHOLE, TensorProto.INT32: Kind.WHOLE,
    TensorProto.BOOL: Kind.TRUTH,
}  # fmt: skip
"""Type in C by ONNX element type."""


def require(kind: Kind, *views: View) -> None:
    """Reject views of another kind."""
    if any(view.kind is not kind for view in views):
        raise NoForm


def real_form(expression: str, **numbers: float) -> Form:
    """Return the form of an operator that computes each element of one array of real numbers.

    Args:
        expression: C expression, with the element `a` and the attributes in braces.
        numbers: Default value of each attribute.
    """

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        require(Kind.REAL, views[0])
        given = {name: f"{step.number(name, default)}f" for name, default in numbers.items()}
        return (writer.computed(Kind.REAL, views[:1], expression.format(**given)),)

    return form


def same_form(expression: str, *, is_folded: bool = False) -> Form:
    """Return the form of an operator on two arrays of numbers of one type; or on one or more, from left to right."""

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        if Kind.TRUTH in {view.kind for view in views}:
            raise NoForm
        require(views[0].kind, *views)
        if not is_folded and len(views) != 2:  # an operator on two arrays
            raise NoForm
        total = views[0]
        for view in views[1:]:
            total = writer.computed(total.kind, (total, view), expression)
        return (total,)

    return form


def compared_form(expression: str) -> Form:
    """Return the form of a comparison of two arrays of one type."""

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        require(views[0].kind, *views)
        return (writer.computed(Kind.TRUTH, views, f"(uint8_t)({expression})"),)

    return form


def logical_form(expression: str) -> Form:
    """Return the form of an operator on truth values."""

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        require(Kind.TRUTH, *views)
        return (writer.computed(Kind.TRUTH, views, f"(uint8_t)({expression})"),)

    return form


def signed_form(real: str, whole: str) -> Form:
    """Return the form of an operator with one expression for real and one for whole numbers."""

    def form(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
        if views[0].kind is Kind.TRUTH:
            raise NoForm
        return (writer.computed(views[0].kind, views[:1], real if views[0].kind is Kind.REAL else whole),)

    return form


def divided(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of a division; whole numbers are divided toward zero, and by zero to zero."""
    is_real = views[0].kind is Kind.REAL
    return same_form("a / b" if is_real else "b == 0 ? 0 : a / b")(writer, step, views)


def powered(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of a power of real numbers."""
    require(Kind.REAL, views[0])
    return (writer.computed(Kind.REAL, views, "powf(a, b)" if views[1].kind is Kind.REAL else "powf(a, (float)b)"),)


def prelu(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of PRelu, whose slopes are an array."""
    require(Kind.REAL, *views)
    return (writer.computed(Kind.REAL, views, "a > 0.0f ? a : b * a"),)


def relu(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of Relu."""
    if views[0].kind is Kind.TRUTH:
        raise NoForm
    return (writer.computed(views[0].kind, views[:1], "a > 0 ? a : 0"),)


def cast(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of a conversion to another type of numbers."""
    kind = _KINDS.get(step.integer("to"))
    if kind is None:
        raise NoForm
    if kind is views[0].kind:
        return views[:1]
    return (writer.computed(kind, views[:1], "(uint8_t)(a != 0)" if kind is Kind.TRUTH else f"({kind})a"),)


def clip(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of Clip with bounds that are arrays of one element."""
    if "min" in step.attributes or "max" in step.attributes or len(views) != sum(map(bool, step.inputs)):
        raise NoForm
    require(views[0].kind, *views)
    result, bounds = views[0], iter(views[1:])
    for index, expression in ((1, "a < b ? b : a"), (2, "a > b ? b : a")):
        if step.has(index):
            result = writer.computed(result.kind, (result, next(bounds)), expression)
    return (result,)


def where(writer: Writer, step: HostStep, views: tuple[View, ...]) -> tuple[View, ...]:
    """Append the C of a choice between two arrays."""
    require(Kind.TRUTH, views[0])
    require(views[1].kind, views[2])
    return (writer.computed(views[1].kind, views, "a ? b : c"),)
