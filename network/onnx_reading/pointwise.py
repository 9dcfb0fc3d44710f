"""Elementwise operators, batch norm and softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from network.layers import RELU, Activation, ActivationFunction, Add, BatchNorm, Layer
from network.onnx_reading.call import Call
from network.onnx_reading.causes import Cause
from network.onnx_reading.joins import restart_with_one_layout
from network.onnx_reading.tensors import FLOATING, ConstantArray, element_type_name
from network.onnx_reading.views import View
from network.passes.temporary_layers import Affine, Normalization

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_ONE, _ZERO = np.ones(1), np.zeros(1)


def relu(call: Call) -> View:
    """Translate Relu, a clamp to [0, inf]."""
    return _clamped(call, call.view(may_lack_batch=True), RELU)


def clip(call: Call) -> View:
    """Translate Clip, a clamp whose bounds are inputs or, as before opset 11, attributes."""
    view = call.view(may_lack_batch=True)
    low, high = _bound(call, "min", 1, -math.inf), _bound(call, "max", 2, math.inf)
    return _clamped(call, view, _clamp(call, low, high))


def minimum(call: Call) -> View:
    """Translate Min of a tensor and a number, a clamp with an upper bound."""
    view, bound = _tensor_and_number(call)
    return _clamped(call, view, _clamp(call, -math.inf, bound))


def maximum(call: Call) -> View:
    """Translate Max of a tensor and a number, a clamp with a lower bound."""
    view, bound = _tensor_and_number(call)
    return _clamped(call, view, _clamp(call, bound, math.inf))


def _bound(call: Call, name: str, index: int, default: float) -> float:
    """Return a bound of Clip from the input with the given index, or from the attribute with the given name."""
    constant = call.constant(index)
    if constant is None:
        return call.number(name, default)
    if constant.size != 1:
        raise call.node.invalid(f"has {constant.size} numbers as its {name}; expected one number")
    return float(constant.reshape(-1)[0])


def _tensor_and_number(call: Call) -> tuple[View, float]:
    """Return the two inputs of a node that combines one activation tensor with one constant number."""
    values = list(call.values())
    numbers = [value for value in values if not isinstance(value, View) and value.size == 1]
    views = [index for index, value in enumerate(values) if isinstance(value, View)]
    if len(values) != 2 or len(numbers) != 1 or len(views) != 1:
        raise call.node.unsupported(
            "compares tensors; expected one activation tensor and one number, as in ReLU6", Cause.PRODUCT
        )
    return call.view(views[0], may_lack_batch=True), float(numbers[0].reshape(-1)[0])


def _clamp(call: Call, low: float, high: float) -> ActivationFunction:
    # Some exporters write the largest float in place of infinity.
    low = -math.inf if low <= -_FLOAT32_MAX else low
    high = math.inf if high >= _FLOAT32_MAX else high
    if not low <= 0 <= high or low == high:
        raise call.node.unsupported(
            f"clamps to [{low}, {high}]; expected an interval that contains zero and more, as that of ReLU or ReLU6"
        )
    return ActivationFunction(low, high)


def _clamped(call: Call, view: View, activation: ActivationFunction) -> View:
    if activation.is_linear:
        return view
    return _same_order(
        call, view, Activation(name=call.node.name, inputs=(view.tensor,), output=call.output, activation=activation)
    )


def _same_order(call: Call, view: View, layer: Layer) -> View:
    """Emit a layer whose output has the shape and order of its input, and return the view of its output."""
    call.translation.emit(layer)
    return replace(view, tensor=layer.output)


def batch_normalization(call: Call) -> View:
    """Translate BatchNormalization at inference, with constant mean and variance."""
    view = call.view()
    call.refuse_unless("training_mode", 0, "expected 0: export the network for inference (model.eval())")
    if call.opset < 14 and any(call.node.outputs[1:]):
        # Before opset 14 there was no attribute training_mode; a node in training had more outputs.
        raise call.node.unsupported(
            "has outputs for updated statistics; expected the form for inference: export with model.eval()"
        )
    gamma, beta, mean, variance = (
        call.parameter(index, what) for index, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )
    channels = call.shape(view).channels
    if call.channel_axis(view) != 0 and channels > 1:
        call.translation.restart_with_layout_of(view)
        raise call.node.unsupported(
            f"normalizes along the first of the dimensions {list(view.dims)}, which is not the channels of the "
            f"tensor '{view.tensor[:80]}'; expected the channels as the dimension after the batch",
            Cause.LAYOUT,
        )
    epsilon = call.number("epsilon", 1e-5)
    for what, values in {"scale": gamma, "bias": beta, "mean": mean, "variance": variance}.items():
        if values.shape != (channels,):
            raise call.node.invalid(
                f"has a {what} of shape {list(values.shape)}; expected [{channels}], one for each of the channels"
            )
        if not np.isfinite(values).all():
            raise call.node.invalid(
                f"has NaN or infinite values in its {what}; expected finite values: train the network again"
            )
    if not math.isfinite(epsilon) or epsilon < 0 or (variance < 0).any() or (variance + np.float32(epsilon) == 0).any():
        raise call.node.invalid(
            f"has the epsilon {epsilon} and a smallest variance of {variance.min(initial=np.inf)}; expected neither to "
            "be negative, and a sum above zero"
        )
    norm = BatchNorm(gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon)
    layer = Normalization(name=call.node.name, inputs=(view.tensor,), output=call.output, batch_norm=norm)
    return _same_order(call, view, layer)


def add(call: Call) -> View:
    """Translate Add or Sum of activation tensors of one shape, or of one activation tensor and constants."""
    values = list(call.values())
    views = [call.view(index, may_lack_batch=True) for index, value in enumerate(values) if isinstance(value, View)]
    constants = [value for value in values if not isinstance(value, View)]
    if len(views) == 1 and len(values) == 1:
        return views[0]
    if len(views) == 1:
        shift = sum((call.per_channel(constant, views[0], "a constant") for constant in constants), _ZERO)
        return _affine(call, views[0], _ONE, shift)
    if constants:
        raise call.node.unsupported(
            "adds constants to several activation tensors; expected constants and one tensor, or tensors only: "
            "use two nodes"
        )
    first = views[0]
    for view in views[1:]:
        if (view.dims, view.walk, view.rank) != (first.dims, first.walk, first.rank) or call.shape(view) != call.shape(
            first
        ):
            restart_with_one_layout(call, views)
            raise call.node.unsupported(
                f"adds tensors of {list(first.dims)} and {list(view.dims)}, which differ in shape or in the order of "
                "their elements; expected tensors of the same shape and order",
                Cause.LAYOUT,
            )
    inputs = tuple(view.tensor for view in views)
    return _same_order(call, first, Add(name=call.node.name, inputs=inputs, output=call.output))


def subtract(call: Call) -> View:
    """Translate Sub of an activation tensor and a constant, in either order."""
    return _with_constant(call, lambda c: (_ONE, -c), lambda c: (-_ONE, c))


def multiply(call: Call) -> View:
    """Translate Mul of an activation tensor and a constant, in either order."""
    return _with_constant(call, lambda c: (c, _ZERO), lambda c: (c, _ZERO))


def divide(call: Call) -> View:
    """Translate Div of an activation tensor by a constant."""
    return _with_constant(call, lambda c: (1 / c, _ZERO), None)


_ScaleAndShift = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
_OfConstant = Callable[[npt.NDArray[np.float64]], _ScaleAndShift]


def _with_constant(call: Call, constant_second: _OfConstant, constant_first: _OfConstant | None) -> View:
    """Translate an operator on one activation tensor and one constant as a per-channel affine layer.

    Args:
        call: The node, with two inputs.
        constant_second: Function that returns scale and shift for a constant as the second input.
        constant_first: The same for a constant as the first input; None if that form is not supported.
    """
    first, second = call.value(0), call.value(1)
    if isinstance(first, View) and not isinstance(second, View):
        view = call.view(0, may_lack_batch=True)
        return _affine(call, view, *constant_second(_divisor_or_constant(call, second, view)))
    if isinstance(second, View) and not isinstance(first, View) and constant_first is not None:
        view = call.view(1, may_lack_batch=True)
        return _affine(call, view, *constant_first(call.per_channel(first, view, "a constant")))
    if isinstance(first, View) and isinstance(second, View):
        gate = ", as swish and squeeze-and-excitation do" if call.node.operator == "Mul" else ""
        inputs = [view.tensor for view in (first, second) if view.tensor in call.translation.graph.input_names[1:]]
        advice = "".join(
            f". If the input '{name[:80]}' is a constant without a value (as the exporter writes Keras's Normalization "
            "layer), convert the SavedModel instead: python -m tf2onnx.convert --saved-model"
            for name in inputs[:1]
        )
        raise call.node.unsupported(
            f"combines two activation tensors{gate}; expected one activation tensor and one constant{advice}",
            Cause.PRODUCT,
        )
    raise call.node.unsupported(
        "has a constant as its first input and an activation tensor as its second; expected the constant second"
    )


def _divisor_or_constant(call: Call, constant: ConstantArray, view: View) -> npt.NDArray[np.float64]:
    """Return the second, constant input as [1] or [channels] numbers; as a divisor, it must not contain zero."""
    values = call.per_channel(constant, view, "a constant")
    if call.node.operator == "Div" and (values == 0).any():
        raise call.node.invalid("divides by a constant that contains zero; expected a divisor without zeros")
    return values


def _affine(call: Call, view: View, scale: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]) -> View:
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise call.node.invalid("has NaN or infinite values in its constant; expected finite values")
    layer = Affine(name=call.node.name, inputs=(view.tensor,), output=call.output, scale=scale, shift=shift)
    return _same_order(call, view, layer)


def cast(call: Call) -> View:
    """Return the input of a Cast to a floating-point type unchanged: all tensors are read as real numbers."""
    kind = call.integer("to", 0)
    if kind not in FLOATING:
        raise call.node.unsupported(
            f"casts an activation tensor to {element_type_name(kind)}; expected a floating-point type"
        )
    return call.any_view(may_lack_batch=True)


def softmax(call: Call) -> View:
    """Translate Softmax or LogSoftmax over the channels: it is recorded but not deployed.

    The ranking of the outputs is the same without it.
    """
    view = call.view(may_lack_batch=True)
    shape = call.shape(view)
    axis = call.axis(call.integer("axis", -1 if call.opset >= 13 else 1), view)
    # Before opset 13 all dimensions from the axis on share one sum.
    summed = view.dims[axis:] if call.opset < 13 else view.dims[axis : axis + 1]
    if math.prod(summed) != shape.channels or (shape.channels > 1 and call.channel_axis(view) is None):
        raise call.node.unsupported(
            f"computes its sum along the axis {axis + 1} of batch and {list(view.dims)}; expected the channels"
        )
    call.translation.ends_in_softmax = True
    return replace(view, after_softmax=True)
