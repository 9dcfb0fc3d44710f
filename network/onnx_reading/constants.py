"""Constant folding: nodes whose inputs are all constants are computed while the file is read.

Exporters write such nodes to transpose a weight, to decompose a batch norm, or to compute the target of a reshape from
the dimensions of a tensor. The extent of the batch is unknown at that time. The placeholder `BATCH` stands for it; it
can be moved, but not computed with. The number of computed elements is limited in proportion to the size of the file,
and is checked before memory is allocated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from onnx import TensorProto

from network.onnx_reading.call import Call
from network.onnx_reading.tensors import ConstantArray, element_type_name, to_array
from network.onnx_reading.translation import BATCH, shown_extents

_CAST_TO: Final[dict[int, str]] = {
    TensorProto.FLOAT: "f4", TensorProto.FLOAT16: "f4", TensorProto.BFLOAT16: "f4", TensorProto.DOUBLE: "f8",
    TensorProto.INT64: "i8", TensorProto.INT32: "i8",
}  # fmt: skip
"""Numpy type to which a constant is cast, by ONNX element type.

All integers have 64 bits, so that they can hold the placeholder of the batch; 16-bit floats become float32.
"""

Result = TypeVar("Result")


def constant(call: Call) -> ConstantArray:
    """Return the value of a Constant node, from whichever attribute holds the numbers."""
    if len(call.node.attributes) != 1:
        raise call.node.invalid(f"has {len(call.node.attributes)} attributes; expected one that holds the value")
    ((name, value),) = call.node.attributes.items()
    if isinstance(value, TensorProto):
        return to_array(value, str(call.node))
    if isinstance(value, str):
        raise call.node.unsupported(f"is a constant string (attribute '{name}'); expected numbers")
    return np.array(value, dtype=np.int64 if name.startswith("value_int") else np.float32)


def constant_of_shape(call: Call) -> ConstantArray:
    """Return the value of a ConstantOfShape node: one number, repeated to the given shape."""
    extents = call.integers("shape", 0) or ()
    if min(extents, default=0) < 0:
        raise call.node.unsupported(
            f"has the shape {shown_extents(extents)}; expected extents of 0 or more that do not depend on the batch: "
            "export the network with a fixed batch of 1"
        )
    call.translation.take_room(math.prod(extents), str(call.node))
    value = call.node.attributes.get("value")
    number = to_array(value, str(call.node)) if isinstance(value, TensorProto) else np.zeros(1, np.float32)
    if number.size != 1:
        raise call.node.invalid(f"has {number.size} numbers as its value; expected one number to repeat")
    return np.full(extents, number.reshape(-1)[0])


def _identity(call: Call) -> ConstantArray:
    return _given(call, 0)


def _cast(call: Call) -> ConstantArray:
    target = call.integer("to", 0)
    if target not in _CAST_TO:
        raise call.node.unsupported(
            f"casts a constant to {element_type_name(target)}; expected a floating-point type, INT32 or INT64"
        )
    source = _given(call, 0)
    call.translation.take_room(source.size, str(call.node))
    return source.astype(_CAST_TO[target])


def _transpose(call: Call) -> ConstantArray:
    source = _given(call, 0)
    order = call.integers("perm") or tuple(reversed(range(source.ndim)))
    if sorted(order) != list(range(source.ndim)):
        raise call.node.invalid(
            f"has perm={list(order)[:8]} for {source.ndim} dimensions; expected each of 0 to {source.ndim - 1} once"
        )
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
        raise call.node.invalid("does not have axes; expected the axes of the new dimensions")
    return _or_invalid(call, lambda: np.expand_dims(_given(call, 0), axis=axes))


def _concat(call: Call) -> ConstantArray:
    parts = [_given(call, index) for index in range(len(call.node.inputs))]
    call.translation.take_room(sum(part.size for part in parts), str(call.node))
    return _or_invalid(call, lambda: np.concatenate(parts, axis=call.integer("axis", 0)))


def _gather(call: Call) -> ConstantArray:
    source, places = _given(call, 0), _given(call, 1)
    axis = call.integer("axis", 0)
    if places.dtype.kind != "i" or not -source.ndim <= axis < source.ndim:
        raise call.node.invalid(
            f"gathers along axis {axis} of a constant of {source.ndim} dimensions, at indices of type {places.dtype}; "
            "expected an axis of the constant, and integer indices"
        )
    others = source.size // max(source.shape[axis], 1)
    call.translation.take_room(others * places.size, str(call.node))
    return _or_invalid(call, lambda: np.take(source, places, axis=axis))


def _slice(call: Call) -> ConstantArray:
    source = _given(call, 0)
    starts, ends = call.integers("starts", 1), call.integers("ends", 2)
    if starts is None or ends is None:
        raise call.node.invalid("does not have starts or ends; expected one start and one end for each sliced axis")
    axes = call.integers("axes", 3) or tuple(range(len(starts)))
    steps = call.integers("steps", 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise call.node.invalid(
            f"has {len(starts)} starts, {len(ends)} ends, {len(axes)} axes and the steps {list(steps)[:8]}; "
            "expected equally many of each, and no step of 0"
        )
    cut = [slice(None)] * source.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if not -source.ndim <= axis < source.ndim:
            raise call.node.invalid(
                f"slices axis {axis} of a constant of {source.ndim} dimensions; "
                f"expected {-source.ndim} to {source.ndim - 1}"
            )
        # A backward slice down to the first element has the end None in Python, and a very negative end in ONNX.
        cut[axis] = slice(start, None if step < 0 and end < -source.shape[axis] else end, step)
    return source[tuple(cut)]


def _shape(call: Call) -> ConstantArray:
    extents = _given(call, 0).shape
    return np.array(extents[call.integer("start", 0) : call.integer("end", len(extents))], dtype=np.int64)


def _computed(compute: Callable[..., Any]) -> Callable[[Call], ConstantArray]:
    """Return the folding function of an elementwise operator with numpy's broadcasting.

    Args:
        compute: Numpy function of as many arrays as the operator has inputs.
    """

    def fold(call: Call) -> ConstantArray:
        operands = [_computable(call, index) for index in range(len(call.node.inputs))]
        extents = _or_invalid(call, lambda: np.broadcast_shapes(*(operand.shape for operand in operands)))
        call.translation.take_room(math.prod(extents), str(call.node))
        # Overflow and division by zero give NaN or infinity, which are rejected where they become a weight.
        with np.errstate(all="ignore"):
            result = compute(*operands)
        return np.asarray(result, dtype=operands[0].dtype)

    return fold


def _reduced(compute: Callable[..., Any]) -> Callable[[Call], ConstantArray]:
    """Return the folding function of a reduction along axes, such as the norm of each filter of a weight.

    Args:
        compute: Numpy function of an array with the keywords `axis` and `keepdims`.
    """

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


def _l2_norm(source: ConstantArray, **along: Any) -> ConstantArray:
    return np.asarray(np.sqrt(np.sum(np.square(source), **along)))


def _divided(dividend: ConstantArray, divisor: ConstantArray) -> ConstantArray:
    if dividend.dtype.kind == "f":
        return np.asarray(dividend / divisor)
    return np.asarray(np.trunc(dividend / divisor))


def _given(call: Call, index: int) -> ConstantArray:
    """Return a required constant input."""
    value = call.constant(index)
    if value is None:
        raise call.node.invalid(f"does not have the input number {index + 1}, which the operator requires")
    return value


def _computable(call: Call, index: int) -> ConstantArray:
    """Return a required constant input that can be computed with: it does not contain the placeholder of the batch."""
    given = _given(call, index)
    if given.dtype.kind == "i" and (given == BATCH).any():
        raise call.node.unsupported(
            "computes with the extent of the batch, which is not fixed; export the network with a fixed batch of 1"
        )
    return given


def _or_invalid(call: Call, compute: Callable[[], Result]) -> Result:
    """Return the result of a numpy computation; its shape and index errors become errors that name the node."""
    try:
        return compute()
    except (ValueError, IndexError, OverflowError) as error:
        raise call.node.invalid(
            f"has constant inputs whose shapes or values do not match ({error}); export the network again"
        ) from error


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
    "ReduceL2": _reduced(_l2_norm),
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
"""Function that computes a node whose inputs are all constants, by the ONNX name of the operator."""
