"""Operators that work on every element by itself, and those that join tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from network.layers import RELU, Activation, ActivationFunction, Add, BatchNorm, Concat, Layer
from network.onnx_reading.call import Call
from network.onnx_reading.temporary_layers import Affine, Normalization
from network.onnx_reading.tensors import FLOATING, ConstantArray, element_type_name
from network.onnx_reading.views import Loop, View, merged

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_ONE, _ZERO = np.ones(1), np.zeros(1)


def relu(call: Call) -> View:
    """Relu: [0, inf]."""
    return _clamped(call, call.view(), RELU)


def clip(call: Call) -> View:
    """Clip, its bounds in inputs or, as before opset 11, in attributes."""
    view = call.view()
    low, high = _bound(call, "min", 1, -math.inf), _bound(call, "max", 2, math.inf)
    return _clamped(call, view, _clamp(call, low, high))


def minimum(call: Call) -> View:
    """Min of a tensor and a number: a clamp from above."""
    view, bound = _tensor_and_number(call)
    return _clamped(call, view, _clamp(call, -math.inf, bound))


def maximum(call: Call) -> View:
    """Max of a tensor and a number: a clamp from below."""
    view, bound = _tensor_and_number(call)
    return _clamped(call, view, _clamp(call, bound, math.inf))


def _bound(call: Call, name: str, index: int, default: float) -> float:
    constant = call.constant(index)
    if constant is None:
        return call.number(name, default)
    if constant.size != 1:
        raise call.node.invalid(f"has {constant.size} numbers as its {name}; expected one")
    return float(constant.reshape(-1)[0])


def _tensor_and_number(call: Call) -> tuple[View, float]:
    values = list(call.values())
    numbers = [value for value in values if not isinstance(value, View) and value.size == 1]
    views = [index for index, value in enumerate(values) if isinstance(value, View)]
    if len(values) != 2 or len(numbers) != 1 or len(views) != 1:
        raise call.node.unsupported("compares tensors; expected one tensor and one number, as in ReLU6")
    return call.view(views[0]), float(numbers[0].reshape(-1)[0])


def _clamp(call: Call, low: float, high: float) -> ActivationFunction:
    # Some exporters write "no bound" as the largest float.
    low = -math.inf if low <= -_FLOAT32_MAX else low
    high = math.inf if high >= _FLOAT32_MAX else high
    if not low <= 0 <= high or low == high:
        raise call.node.unsupported(f"clamps to [{low}, {high}]; expected an interval around zero, as of ReLU or ReLU6")
    return ActivationFunction(low, high)


def _clamped(call: Call, view: View, activation: ActivationFunction) -> View:
    if activation.is_linear:
        return view
    return _same_order(
        call, view, Activation(name=call.node.name, inputs=(view.tensor,), output=call.output, activation=activation)
    )


def _same_order(call: Call, view: View, layer: Layer) -> View:
    """Emits a layer that writes its elements where it read them."""
    call.translation.emit(layer)
    return replace(view, tensor=layer.output)


def batch_normalization(call: Call) -> View:
    """BatchNormalization at inference: the running mean and variance are constants."""
    view = call.view()
    call.refuse_unless("training_mode", 0, "export the network for inference (model.eval())")
    if call.opset < 14 and any(call.node.outputs[1:]):
        # Before training_mode there was, the outputs told.
        raise call.node.unsupported("updates its statistics; export the network for inference (model.eval())")
    gamma, beta, mean, variance = (
        call.parameter(index, what) for index, what in enumerate(("scale", "bias", "mean", "variance"), start=1)
    )
    channels = call.shape(view).channels
    if call.channel_axis(view) != 0 and channels > 1:
        call.translation.suggest_layout_seen_by(view)
        raise call.node.unsupported(
            f"normalizes along {view.dims[0]} positions of {list(view.dims)}, which are not the channels of the "
            f"tensor '{view.tensor[:80]}'"
        )
    epsilon = call.number("epsilon", 1e-5)
    for what, values in {"scale": gamma, "bias": beta, "mean": mean, "variance": variance}.items():
        if values.shape != (channels,):
            raise call.node.invalid(f"has a {what} of shape {list(values.shape)}; expected one for {channels} channels")
        if not np.isfinite(values).all():
            raise call.node.invalid(f"has NaN or infinite values in its {what}; train the network to finite values")
    if not math.isfinite(epsilon) or epsilon < 0 or (variance < 0).any() or (variance + np.float32(epsilon) == 0).any():
        raise call.node.invalid("divides by the root of a variance + epsilon that is not above zero")
    norm = BatchNorm(gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon)
    layer = Normalization(name=call.node.name, inputs=(view.tensor,), output=call.output, batch_norm=norm)
    return _same_order(call, view, layer)


def add(call: Call) -> View:
    """Add or Sum: of tensors, of one tensor and constants."""
    values = list(call.values())
    views = [call.view(index) for index, value in enumerate(values) if isinstance(value, View)]
    constants = [value for value in values if not isinstance(value, View)]
    if len(views) == 1 and len(values) == 1:
        return views[0]
    if len(views) == 1:
        shift = sum((call.per_channel(constant, views[0], "a constant") for constant in constants), _ZERO)
        return _affine(call, views[0], _ONE, shift)
    if constants:
        raise call.node.unsupported("adds constants to several tensors; expected either")
    first = views[0]
    for view in views[1:]:
        if (view.dims, view.walk) != (first.dims, first.walk) or call.shape(view) != call.shape(first):
            raise call.node.unsupported(
                f"adds {list(first.dims)} and {list(view.dims)}, which differ in shape or order; "
                "expected tensors of one shape"
            )
    inputs = tuple(view.tensor for view in views)
    return _same_order(call, first, Add(name=call.node.name, inputs=inputs, output=call.output))


def subtract(call: Call) -> View:
    """Sub of a constant from a tensor, or the other way round."""
    return _with_constant(call, lambda c: (_ONE, -c), lambda c: (-_ONE, c))


def multiply(call: Call) -> View:
    """Mul of a tensor by a constant."""
    return _with_constant(call, lambda c: (c, _ZERO), lambda c: (c, _ZERO))


def divide(call: Call) -> View:
    """Div of a tensor by a constant."""
    return _with_constant(call, lambda c: (1 / c, _ZERO), None)


_ScaleAndShift = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
_OfConstant = Callable[[npt.NDArray[np.float64]], _ScaleAndShift]


def _with_constant(call: Call, behind: _OfConstant, before: _OfConstant | None) -> View:
    """A tensor and a constant `behind` it or `before` it, in the order of the inputs."""
    first, second = call.value(0), call.value(1)
    if isinstance(first, View) and not isinstance(second, View):
        return _affine(call, call.view(0), *behind(_divisible(call, second, call.view(0))))
    if isinstance(second, View) and not isinstance(first, View) and before is not None:
        return _affine(call, call.view(1), *before(call.per_channel(first, call.view(1), "a constant")))
    if isinstance(first, View) and isinstance(second, View):
        gate = ", as a swish and squeeze-and-excitation do" if call.node.operator == "Mul" else ""
        raise call.node.unsupported(f"combines two activation tensors{gate}; expected one tensor and one constant")
    raise call.node.unsupported("computes a constant with a tensor behind it; expected the constant behind the tensor")


def _divisible(call: Call, constant: ConstantArray, view: View) -> npt.NDArray[np.float64]:
    values = call.per_channel(constant, view, "a constant")
    if call.node.operator == "Div" and (values == 0).any():
        raise call.node.invalid("divides by zero")
    return values


def _affine(call: Call, view: View, scale: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]) -> View:
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise call.node.invalid("has NaN or infinite values in its constant")
    layer = Affine(name=call.node.name, inputs=(view.tensor,), output=call.output, scale=scale, shift=shift)
    return _same_order(call, view, layer)


def concat(call: Call) -> View:
    """Concat of tensors along their channels."""
    if not all(isinstance(value, View) for value in call.values()):
        raise call.node.unsupported("concatenates constants to tensors; expected tensors")
    views = [call.view(index) for index in range(len(call.node.inputs))]
    first = views[0]
    axis = call.axis(call.integer("axis", 1), len(first.dims) + 1)
    shapes = [call.shape(view) for view in views]
    loops = [view.axes() for view in views]
    others = []
    for view, shape, axes in zip(views, shapes, loops, strict=True):
        pixels = shape.height * shape.width
        if (
            axes is None
            or len(axes) != len(first.dims)
            or axes[axis] != merged([Loop(shape.channels, pixels)])
            or shape[1:] != shapes[0][1:]
        ):
            raise call.node.unsupported(
                f"concatenates {' and '.join(str(list(each.dims)) for each in views[:4])} along axis {axis + 1}; "
                f"tensor '{view.tensor[:80]}' ({shape}) can be joined along its channels only"
            )
        others.append((*axes[:axis], *axes[axis + 1 :], *view.dims[:axis], *view.dims[axis + 1 :]))
    if any(each != others[0] for each in others):
        raise call.node.unsupported("concatenates tensors in different orders; expected one height and width")
    joined = call.translation.emit(
        Concat(name=call.node.name, inputs=tuple(view.tensor for view in views), output=call.output)
    )
    joined_axes = list(loops[0] or ())
    joined_axes[axis] = (Loop(joined.channels, joined.height * joined.width),)
    dims = (*first.dims[:axis], joined.channels, *first.dims[axis + 1 :])
    return View(call.output, dims, merged(loop for each in joined_axes for loop in each))


def cast(call: Call) -> View:
    """Cast of the tensor to a floating type: the caller's integers become numbers to compute with."""
    kind = call.integer("to", 0)
    if kind not in FLOATING:
        raise call.node.unsupported(f"casts a tensor to {element_type_name(kind)}; expected a floating type")
    return call.any_view()


def softmax(call: Call) -> View:
    """Softmax or LogSoftmax over the channels, noted and left out: it changes no ranking."""
    view = call.view()
    shape = call.shape(view)
    axis = call.axis(call.integer("axis", -1 if call.opset >= 13 else 1), len(view.dims) + 1)
    # Before opset 13 all dimensions from the axis on share one sum.
    summed = view.dims[axis:] if call.opset < 13 else view.dims[axis : axis + 1]
    if math.prod(summed) != shape.channels or (shape.channels > 1 and call.channel_axis(view) is None):
        raise call.node.unsupported(f"sums over the axis {axis + 1} of {list(view.dims)}; expected the channels")
    call.translation.ends_in_softmax = True
    return replace(view, after_softmax=True)
