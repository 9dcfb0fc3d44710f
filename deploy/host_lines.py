"""Table of the ONNX operators that `host.py` computes by a line of numpy.

To support another operator, add a row to `LINES`: a function that returns the expression of the operator's output, or
of a tuple of its outputs. An operator without a row, or a form that a function rejects with `NoLine`, makes the whole
host graph run from `host_after.onnx` instead. Expressions contain identifiers and numbers of this program only, never
text of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from onnx import TensorProto

from deploy.host_step import HostStep, NoLine

Line = Callable[[HostStep], str]

_TYPES: Final[Mapping[int, str]] = {
    TensorProto.FLOAT: "np.float32", TensorProto.INT64: "np.int64", TensorProto.INT32: "np.int32",
    TensorProto.INT16: "np.int16", TensorProto.INT8: "np.int8", TensorProto.UINT16: "np.uint16",
    TensorProto.UINT8: "np.uint8", TensorProto.BOOL: "np.bool_",
}  # fmt: skip
"""Name of the numpy type by ONNX element type."""

_FIRST_AXIS_OPSET: Final = 13
"""First opset in which Softmax sums along one axis; before, along this axis and all axes behind it."""


def _unary(template: str) -> Line:
    return lambda step: template.format(step.x())


def _binary(template: str) -> Line:
    return lambda step: template.format(step.x(0), step.x(1))


def _folded(template: str) -> Line:
    """Return the line of an operator on one or more inputs, from left to right."""

    def line(step: HostStep) -> str:
        total = step.x()
        for index in range(1, len(step.inputs)):
            total = template.format(total, step.x(index))
        return total

    return line


def _with_numbers(template: str, **defaults: float) -> Line:
    """Return the line of an operator with attributes that are numbers."""
    return lambda step: template.format(step.x(), **{name: step.number(name, at) for name, at in defaults.items()})


def _softmax(function: str) -> Line:
    def line(step: HostStep) -> str:
        if step.opset >= _FIRST_AXIS_OPSET:
            return f"{function}({step.x()}, axis={step.integer('axis', -1)})"
        axis = step.integer("axis", 1)
        first = f"{step.x()}.ndim - {-axis}" if axis < 0 else f"{axis}"
        return f"{function}({step.x()}, axis=tuple(range({first}, {step.x()}.ndim)))"

    return line


def _choice(function: str) -> Line:
    def line(step: HostStep) -> str:
        if step.integer("select_last_index", 0):
            raise NoLine
        keeps = bool(step.integer("keepdims", 1))
        return f"{function}({step.x()}, axis={step.integer('axis', 0)}, keepdims={keeps})"

    return line


def _reduction(function: str) -> Line:
    def line(step: HostStep) -> str:
        axes = step.integers("axes", 1)
        if not axes and step.integer("noop_with_empty_axes", 0):
            return step.x()
        keeps = bool(step.integer("keepdims", 1))
        return f"{function}({step.x()}, axis={axes or None}, keepdims={keeps})"

    return line


def _cast(step: HostStep) -> str:
    name = _TYPES.get(step.integer("to"))
    if name is None:
        raise NoLine
    return f"{step.x()}.astype({name})"


def _clip(step: HostStep) -> str:
    if "min" in step.attributes or "max" in step.attributes:
        raise NoLine
    low, high = (step.x(index) if step.has(index) else "None" for index in (1, 2))
    return f"np.clip({step.x()}, {low}, {high})"


def _reshape(step: HostStep) -> str:
    keeps_zero = step.integer("allowzero", 0)
    extents = [
        f"{step.x()}.shape[{axis}]" if extent == 0 and not keeps_zero else f"{extent}"
        for axis, extent in enumerate(step.required_integers("shape", 1))
    ]
    return f"{step.x()}.reshape({', '.join(extents) or '()'})"


def _flatten(step: HostStep) -> str:
    axis = step.integer("axis", 1)
    return f"{step.x()}.reshape(int(np.prod({step.x()}.shape[:{axis}])), -1)"


def _transpose(step: HostStep) -> str:
    order = step.integers("perm", len(step.inputs))
    return f"{step.x()}.transpose({'' if order is None else ', '.join(map(str, order))})"


def _squeeze(step: HostStep) -> str:
    return f"np.squeeze({step.x()}, axis={step.integers('axes', 1)})"


def _unsqueeze(step: HostStep) -> str:
    return f"np.expand_dims({step.x()}, {step.required_integers('axes', 1)})"


def _concat(step: HostStep) -> str:
    values = ", ".join(step.x(index) for index in range(len(step.inputs)))
    return f"np.concatenate([{values}], axis={step.integer('axis')})"


def _split(step: HostStep) -> str:
    axis, sizes = step.integer("axis", 0), step.integers("split", 1)
    if sizes is None and "num_outputs" in step.attributes:
        raise NoLine
    parts = step.outputs if sizes is None else [sum(sizes[:index]) for index in range(1, len(sizes))]
    return f"np.split({step.x()}, {parts}, axis={axis})"


def _slice(step: HostStep) -> str:
    starts, ends = step.required_integers("starts", 1), step.required_integers("ends", 2)
    axes = step.integers("axes", 3)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = step.integers("steps", 4) or (1,) * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps or max(map(abs, axes), default=0) > 8:
        raise NoLine
    text = step.x()
    for start, end, axis, stride in zip(starts, ends, axes, steps, strict=True):
        part = f"{start}:{end}" + (f":{stride}" if stride != 1 else "")
        text += f"[{':, ' * axis}{part}]" if axis >= 0 else f"[..., {part}{', :' * (-axis - 1)}]"
    return text


def _gather(step: HostStep) -> str:
    return f"np.take({step.x()}, {step.x(1)}, axis={step.integer('axis', 0)})"


def _top_k(step: HostStep) -> str:
    (count,) = step.required_integers("k", 1)
    largest = bool(step.integer("largest", 1))
    return f"top_k({step.x()}, {count}, axis={step.integer('axis', -1)}, largest={largest})"


def _expand(step: HostStep) -> str:
    shape = step.required_integers("shape", 1)
    return f"np.broadcast_to({step.x()}, np.broadcast_shapes({step.x()}.shape, {shape}))"


def _shape(step: HostStep) -> str:
    if step.attributes:
        raise NoLine
    return f"np.array({step.x()}.shape, dtype=np.int64)"


LINES: Final[Mapping[str, Line]] = {
    "Abs": _unary("np.abs({})"),
    "Add": _binary("{} + {}"),
    "And": _binary("np.logical_and({}, {})"),
    "ArgMax": _choice("np.argmax"),
    "ArgMin": _choice("np.argmin"),
    "Cast": _cast,
    "Ceil": _unary("np.ceil({})"),
    "Clip": _clip,
    "Concat": _concat,
    "Div": _binary("divide({}, {})"),
    "Dropout": _unary("{}"),
    "Elu": _with_numbers("np.where({0} > 0, {0}, {alpha} * np.expm1({0}))", alpha=1.0),
    "Equal": _binary("{} == {}"),
    "Exp": _unary("np.exp({})"),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _unary("np.floor({})"),
    "Gather": _gather,
    "Greater": _binary("{} > {}"),
    "GreaterOrEqual": _binary("{} >= {}"),
    "HardSigmoid": _with_numbers("np.clip({alpha} * {0} + {beta}, 0, 1)", alpha=0.2, beta=0.5),
    "HardSwish": _unary("{0} * np.clip({0} / 6 + 0.5, 0, 1)"),
    "Identity": _unary("{}"),
    "LeakyRelu": _with_numbers("np.where({0} > 0, {0}, {alpha} * {0})", alpha=0.01),
    "Less": _binary("{} < {}"),
    "LessOrEqual": _binary("{} <= {}"),
    "Log": _unary("np.log({})"),
    "LogSoftmax": _softmax("log_softmax"),
    "MatMul": _binary("np.matmul({}, {})"),
    "Max": _folded("np.maximum({}, {})"),
    "Min": _folded("np.minimum({}, {})"),
    "Mul": _binary("{} * {}"),
    "Neg": _unary("-{}"),
    "Not": _unary("np.logical_not({})"),
    "Or": _binary("np.logical_or({}, {})"),
    "PRelu": _binary("np.where({0} > 0, {0}, {1} * {0})"),
    "Pow": _binary("np.power({0}, {1}).astype({0}.dtype)"),
    "Reciprocal": _unary("1 / {}"),
    "ReduceMax": _reduction("np.max"),
    "ReduceMean": _reduction("np.mean"),
    "ReduceMin": _reduction("np.min"),
    "ReduceSum": _reduction("np.sum"),
    "Relu": _unary("np.maximum({}, 0)"),
    "Reshape": _reshape,
    "Round": _unary("np.rint({})"),
    "Shape": _shape,
    "Sigmoid": _unary("sigmoid({})"),
    "Slice": _slice,
    "Softmax": _softmax("softmax"),
    "Softplus": _unary("np.logaddexp(0, {})"),
    "Split": _split,
    "Sqrt": _unary("np.sqrt({})"),
    "Squeeze": _squeeze,
    "Sub": _binary("{} - {}"),
    "Sum": _folded("{} + {}"),
    "Tanh": _unary("np.tanh({})"),
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": lambda step: f"np.where({step.x(0)}, {step.x(1)}, {step.x(2)})",
}
"""Function that returns the expression of an operator, by the name of the operator."""

FUNCTIONS: Final[Mapping[str, str]] = {
    "divide": '''def divide(a, b):
    """Return a / b; whole numbers are divided toward zero, as in ONNX."""
    return a / b if a.dtype.kind == "f" else np.trunc(a / b).astype(a.dtype)
''',
    "sigmoid": '''def sigmoid(x):
    """Return 1 / (1 + exp(-x)), without overflow for large negative x."""
    return np.exp(-np.logaddexp(0, -x))
''',
    "softmax": '''def softmax(x, axis):
    """Return exp(x) divided by its sum along the axis."""
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)
''',
    "log_softmax": '''def log_softmax(x, axis):
    """Return the logarithm of exp(x) divided by its sum along the axis."""
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))
''',
    "top_k": '''def top_k(x, count, axis, largest):
    """Return the largest (or smallest) values along the axis in order, and their indices."""
    order = np.argsort(-x if largest else x, axis=axis, kind="stable")
    indices = np.take(order, np.arange(count), axis=axis)
    return np.take_along_axis(x, indices, axis), indices
''',
}
"""Text of the functions that expressions call, by name; `host.py` contains those that it needs."""
