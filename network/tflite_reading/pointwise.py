"""Operators that compute each element separately, concatenations, and softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from network.layers import RELU, RELU6, Activation, ActivationFunction, Add, Axis, Concat, Flattening, Shape
from network.passes.temporary_layers import Affine, Numbers
from network.tflite_reading.call import Call
from network.tflite_reading.constants import ConstantArray
from network.tflite_reading.translation import Value
from network.tflite_reading.views import View, image_shape

_BETA_TOLERANCE = 1e-6
_VECTOR_RANK = 2


def add(call: Call) -> View:
    """Translate ADD of two activation tensors of the same shape, or of a constant for each channel."""
    if not all(isinstance(value, View) for value in call.values()):
        view, constant = _view_and_constant(call)
        return _affine(call, view, np.ones(1), constant)
    first, second = call.view(0), call.view(1)
    if first.dims != second.dims or call.shape(first) != call.shape(second):
        raise call.unsupported(
            f"adds tensors of the extents {list(first.dims)} and {list(second.dims)}; expected equal extents"
        )
    layer = Add(
        name=call.name,
        inputs=(first.tensor, second.tensor),
        output=call.name,
        activation=call.computed_activation(),
    )
    return call.emitted(call.translation.emit(layer))


def subtract(call: Call) -> View:
    """Translate SUB of a constant for each channel, or from such a constant."""
    view, constant = _view_and_constant(call)
    if isinstance(call.value(0), View):
        return _affine(call, view, np.ones(1), -constant)
    return _affine(call, view, -np.ones(1), constant)


def multiply(call: Call) -> View:
    """Translate MUL with a constant for each channel."""
    view, constant = _view_and_constant(call)
    return _affine(call, view, constant, np.zeros(1))


def divide(call: Call) -> View:
    """Translate DIV by a constant for each channel."""
    view, constant = _view_and_constant(call)
    if not isinstance(call.value(0), View):
        raise call.unsupported("divides a constant by an activation tensor; expected the constant as divisor")
    if (constant == 0).any():
        raise call.invalid("divides by a constant that contains zero; expected a divisor without zeros")
    return _affine(call, view, 1 / constant, np.zeros(1))


def _view_and_constant(call: Call) -> tuple[View, Numbers]:
    """Return the activation tensor and the constant of an operator, the constant as [1] or [channels] numbers."""
    values = [call.value(0), call.value(1)]
    views = [index for index, value in enumerate(values) if isinstance(value, View)]
    if len(views) != 1:
        what = "two activation tensors" if views else "constants only"
        raise call.unsupported(f"computes from {what}; expected an activation tensor and a constant for each channel")
    view = call.view(views[0])
    return view, _per_channel(call, call.parameter(1 - views[0], "constant"), view)


def _per_channel(call: Call, constant: ConstantArray, view: View) -> Numbers:
    channels = call.shape(view).channels
    has_one_each = constant.size == channels == view.last_extent and constant.shape[-1:] == (channels,)
    if constant.size != 1 and not has_one_each:
        raise call.unsupported(
            f"has a constant of the extents {list(constant.shape)} for a tensor of {list(view.dims)}; expected one "
            "number, or one for each channel"
        )
    if not np.isfinite(constant).all():
        raise call.invalid("has NaN or infinite values in its constant; expected finite values")
    return constant.reshape(-1).astype(np.float64)


def _affine(call: Call, view: View, scale: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]) -> View:
    """Emit a multiplication and an addition, and the fused activation function as a layer behind them."""
    function = call.computed_activation()
    output = call.name
    product = output if function.is_linear else call.translation.free_name(f"{output}/linear", call.node.outputs[0])
    layer = Affine(name=product, inputs=(view.tensor,), output=product, scale=scale, shift=shift)
    shape = call.translation.emit(layer)
    if not function.is_linear:
        call.translation.emit(Activation(name=output, inputs=(product,), output=output, activation=function))
    return call.emitted(shape)


def relu(call: Call) -> View:
    """Translate RELU."""
    return _clamp(call, RELU)


def relu6(call: Call) -> View:
    """Translate RELU6."""
    return _clamp(call, RELU6)


def relu_n1_to_1(call: Call) -> View:
    """Translate RELU_N1_TO_1, a clamp to [-1, 1]."""
    return _clamp(call, ActivationFunction(-1.0, 1.0))


def relu_0_to_1(call: Call) -> View:
    """Translate RELU_0_TO_1, a clamp to [0, 1]."""
    return _clamp(call, ActivationFunction(0.0, 1.0))


def minimum(call: Call) -> View:
    """Translate MINIMUM with one constant number of more than 0."""
    return _clamp(call, ActivationFunction(high=_bound(call, 1.0)))


def maximum(call: Call) -> View:
    """Translate MAXIMUM with one constant number of 0 or less."""
    return _clamp(call, ActivationFunction(low=_bound(call, -1.0)), 0 if isinstance(call.value(0), View) else 1)


def _bound(call: Call, sign: float) -> float:
    _, constant = _view_and_constant(call)
    if constant.size != 1 or sign * constant[0] < 0:
        raise call.unsupported("clamps to an interval without zero, or by channel; expected one interval around zero")
    return float(constant[0])


def _clamp(call: Call, function: ActivationFunction, index: int = 0) -> View:
    view = call.view(index)
    layer = Activation(name=call.name, inputs=(view.tensor,), output=call.name, activation=function)
    call.translation.emit(layer)
    return View(call.name, view.dims)


def concatenation(call: Call) -> View:
    """Translate CONCATENATION of activation tensors along one of their axes, or of flattened tensors."""
    if not all(isinstance(value, View) for value in call.values()):
        raise call.unsupported("concatenates constants and activation tensors; expected activation tensors only")
    is_vector = len(call.output_dims) <= _VECTOR_RANK
    views = [call.view(index, may_be_channels_first=is_vector) for index in range(len(call.node.inputs))]
    if not views:
        raise call.invalid("has no inputs; expected one or more")
    rank = len(views[0].dims)
    axis = call.option("Axis", 0)
    shapes = [call.shape(view) for view in views]
    flattening = _flattening(views, shapes)
    axis %= max(rank, 1)
    along = {rank - 1: Axis.CHANNELS, rank - 2: Axis.WIDTH, rank - 3: Axis.HEIGHT}.get(axis, Axis.CHANNELS)
    others = [view.dims[:axis] + view.dims[axis + 1 :] for view in views]
    are_plain = all(image_shape(view.dims) == shape for view, shape in zip(views, shapes, strict=True))
    if (axis == 0 and rank > 1) or any(each != others[0] for each in others) or (flattening is None and not are_plain):
        raise call.unsupported(
            f"concatenates {' and '.join(str(list(view.dims)) for view in views[:4])} along axis {axis}; expected an "
            "axis behind the batch, and tensors of equal extents along the others"
        )
    layer = Concat(
        name=call.name,
        inputs=tuple(view.tensor for view in views),
        output=call.name,
        activation=call.fused_activation(),
        flattening=flattening,
        axis=along,
    )
    return call.emitted(call.translation.emit(layer))


def _flattening(views: Sequence[View], shapes: Sequence[Shape]) -> Flattening | None:
    """Return the order in which the inputs of a CONCATENATION are flattened; None if none is, or if orders differ."""
    images = [view for view, shape in zip(views, shapes, strict=True) if shape[1:] != (1, 1)]
    if not images or any(view.last_extent != math.prod(view.dims) for view in views):
        return None
    orders = {view.is_channels_first for view in images}
    if len(orders) > 1:
        return None
    return Flattening.CHANNELS_FIRST if orders.pop() else Flattening.CHANNELS_LAST


def softmax(call: Call) -> View:
    """Translate SOFTMAX or LOG_SOFTMAX over the channels: it is recorded but not deployed."""
    view = call.view()
    if view.last_extent != call.shape(view).channels:
        raise call.unsupported(f"computes its sum along the last of {list(view.dims)}; expected the channels there")
    beta = call.node.attributes.get("Beta", 1.0)
    if not isinstance(beta, int | float) or not math.isclose(beta, 1.0, rel_tol=_BETA_TOLERANCE):
        raise call.unsupported("multiplies its input (beta); expected a beta of 1")
    call.translation.ends_in_softmax = True
    return replace(view, after_softmax=True)


def same_number(call: Call) -> Value:
    """Return the input of QUANTIZE or DEQUANTIZE unchanged: all tensors are read as real numbers."""
    value = call.value(0)
    return value if isinstance(value, View) else call.parameter(0, "input")
