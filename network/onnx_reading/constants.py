"""Operators whose inputs are all constants: computed while reading, as exporters leave them in the file.

They transpose a weight, take a batch norm apart, or compute a reshape's target from a tensor's dimensions. The batch's
extent is unknown then; `BATCH` stands for it and may be moved, not computed with. What is computed stays in proportion
to the file: room for it is asked for before memory is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from onnx import TensorProto

from network.onnx_reading.call import Call
from network.onnx_reading.tensors import ConstantArray, element_type_name, to_array
from network.onnx_reading.translation import BATCH

_CAST_TO: Final[dict[int, str]] = {
    TensorProto.FLOAT: "f4", TensorProto.FLOAT16: "f4", TensorProto.BFLOAT16: "f4", TensorProto.DOUBLE: "f8",
    TensorProto.INT64: "i8", TensorProto.INT32: "i8",
}  # fmt: skip
"""Integers stay at 64 bits, so that the batch's placeholder survives; halves are widened."""

Result = TypeVar("Result")


def constant(call: Call) -> ConstantArray:
    """Constant, of any attribute that numbers come in."""
    if len(call.node.attributes) != 1:
        raise call.node.invalid(f"has {len(call.node.attributes)} values; expected one")
    ((name, value),) = call.node.attributes.items()
    if isinstance(value, TensorProto):
        return to_array(value, str(call.node))
    if isinstance(value, str):
        raise call.node.unsupported(f"is a text ({name}); expected numbers")
    return np.array(value, dtype=np.int64 if name.startswith("value_int") else np.float32)


def constant_of_shape(call: Call) -> ConstantArray:
    """ConstantOfShape: one number, repeated."""
    extents = call.integers("shape", 0) or ()
    if min(extents, default=0) < 0:
        raise call.node.unsupported("makes a constant of a negative extent, or of the batch's")
    call.translation.take_room(math.prod(extents), str(call.node))
    value = call.node.attributes.get("value")
    number = to_array(value, str(call.node)) if isinstance(value, TensorProto) else np.zeros(1, np.float32)
    if number.size != 1:
        raise call.node.invalid(f"repeats {number.size} numbers; expected one")
    return np.full(extents, number.reshape(-1)[0])


def _identity(call: Call) -> ConstantArray:
    return _given(call, 0)


def _cast(call: Call) -> ConstantArray:
    target = call.integer("to", 0)
    if target not in _CAST_TO:
        raise call.node.unsupported(f"casts a constant to {element_type_name(target)}; expected floats or integers")
    source = _given(call, 0)
    call.translation.take_room(source.size, str(call.node))
    return source.astype(_CAST_TO[target])


def _transpose(call: Call) -> ConstantArray:
    source = _given(call, 0)
    order = call.integers("perm") or tuple(reversed(range(source.ndim)))
    if sorted(order) != list(range(source.ndim)):
        raise call.node.invalid(f"has perm={list(order)[:8]} for {source.ndim} dimensions")
    return source.transpose(order)


def _reshape(call: Call) -> ConstantArray:
    source = _given(call, 0)
    wanted = list(call.integers("shape", 1) or ())
    for axis, extent in enumerate(wanted):
        if extent == 0 and axis < source.ndim and not call.integer("allowzero", 0):
            wanted[axis] = source.shape[axis]
    return _or_invalid(call, lambda: source.reshape(wanted))


def _squeeze(call: Call) -> ConstantArray:
    return _or_invalid(call, lambda: np.squeeze(_given(call, 0), axis=call.integers("axes", 1)))


def _unsqueeze(call: Call) -> ConstantArray:
    axes = call.integers("axes", 1)
    if axes is None:
        raise call.node.invalid("lacks its axes")
    return _or_invalid(call, lambda: np.expand_dims(_given(call, 0), axis=axes))


def _concat(call: Call) -> ConstantArray:
    parts = [_given(call, index) for index in range(len(call.node.inputs))]
    call.translation.take_room(sum(part.size for part in parts), str(call.node))
    return _or_invalid(call, lambda: np.concatenate(parts, axis=call.integer("axis", 0)))


def _gather(call: Call) -> ConstantArray:
    source, places = _given(call, 0), _given(call, 1)
    axis = call.integer("axis", 0)
    if places.dtype.kind != "i" or not -source.ndim <= axis < source.ndim:
        raise call.node.invalid(f"gathers along axis {axis} of a constant of {source.ndim} dimensions")
    others = source.size // max(source.shape[axis], 1)
    call.translation.take_room(others * places.size, str(call.node))
    return _or_invalid(call, lambda: np.take(source, places, axis=axis))


def _slice(call: Call) -> ConstantArray:
    source = _given(call, 0)
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        raise call.node.invalid("lacks its starts or ends")
    axes = call.integers("axes", 3) or tuple(range(len(starts)))
    steps = call.integers("steps", 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.node.invalid("has starts, ends, axes and steps of different lengths, or a step of 0")
    cut = [slice(None)] * source.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not -source.ndim <= axis < source.ndim:
            raise call.node.invalid(f"slices axis {axis} of a constant of {source.ndim} dimensions")
        # Backwards to before the first element is None in Python, a very negative number in ONNX.
        cut[axis] = slice(start, None if step < 0 and end < -source.shape[axis] else end, step)
    return source[tuple(cut)]


def _shape(call: Call) -> ConstantArray:
    extents = _given(call, 0).shape
    return np.array(extents[call.integer("start", 0) : call.integer("end", len(extents))], dtype=np.int64)


def _computed(compute: Callable[..., Any]) -> Callable[[Call], ConstantArray]:
    """An elementwise operator, with numpy's broadcasting."""

    def fold(call: Call) -> ConstantArray:
        operands = [_computable(call, index) for index in range(len(call.node.inputs))]
        extents = _or_invalid(call, lambda: np.broadcast_shapes(*(operand.shape for operand in operands)))
        call.translation.take_room(math.prod(extents), str(call.node))
        # What overflows or divides by zero is NaN or infinite, and refused where it becomes a weight.
        with np.errstate(all="ignore"):
            result = compute(*operands)
        return np.asarray(result, dtype=operands[0].dtype)

    return fold


def _reduced(compute: Callable[..., Any]) -> Callable[[Call], ConstantArray]:
    """An operator that makes one number out of all along some axes, as in the norm of each filter of a weight."""

    def fold(call: Call) -> ConstantArray:
        source = _computable(call, 0)
        axes = call.integers("axes", 1) or None
        if axes is None and call.integer("noop_with_empty_axes", 0):
            return source
        keeps = bool(call.integer("keepdims", 1))
        with np.errstate(all="ignore"):
            result = _or_invalid(call, lambda: compute(source, axis=axes, keepdims=keeps))
        return np.asarray(result, dtype=source.dtype)

    return fold


def _root_of_squares(source: ConstantArray, **along: Any) -> ConstantArray:
    return np.asarray(np.sqrt(np.sum(np.square(source), **along)))


def _divided(dividend: ConstantArray, divisor: ConstantArray) -> ConstantArray:
    if dividend.dtype.kind == "f":
        return np.asarray(dividend / divisor)
    return np.asarray(np.trunc(dividend / divisor))


def _given(call: Call, index: int) -> ConstantArray:
    value = call.constant(index)
    if value is None:
        raise call.node.invalid(f"lacks its input number {index + 1}")
    return value


def _computable(call: Call, index: int) -> ConstantArray:
    """An input whose numbers are all known: the batch's extent is not."""
    given = _given(call, index)
    if given.dtype.kind == "i" and (given == BATCH).any():
        raise call.node.unsupported("computes with the batch's extent; export the network with a fixed batch of 1")
    return given


def _or_invalid(call: Call, compute: Callable[[], Result]) -> Result:
    try:
        return compute()
    except (ValueError, IndexError, OverflowError) as error:
        raise call.node.invalid(f"has constants that do not fit each other: {error}") from error


FOLDS: Final[Mapping[str, Callable[[Call], ConstantArray]]] = {
    "Add": _computed(np.add),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _computed(_divided),
    "Gather": _gather,
    "Identity": _identity,
    "Mul": _computed(np.multiply),
    "Neg": _computed(np.negative),
    "Reciprocal": _computed(np.reciprocal),
    "ReduceL2": _reduced(_root_of_squares),
    "ReduceMean": _reduced(np.mean),
    "ReduceProd": _reduced(np.prod),
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Sqrt": _computed(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _computed(np.subtract),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""By ONNX's name: what is computed when every input is a constant."""
