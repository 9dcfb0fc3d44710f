"""Matrix products with constant matrices: fully connected layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array, FullyConnected, Shape
from network.onnx_reading.call import Call
from network.onnx_reading.views import View, in_order


def gemm(call: Call) -> View:
    """Gemm: alpha * A * B + beta * C, with a constant B (transposed or not) and C."""
    call.refuse_unless("transA", 0, "a transposed input is not read")
    view = call.view()
    if len(view.dims) != 1:
        raise call.node.invalid(f"has an input of {len(view.dims) + 1} dimensions; expected batch and features")
    matrix = _matrix(call, 1)
    if call.integer("transB", 0):
        matrix = matrix.T
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    if alpha != 1:
        matrix = matrix * np.float32(alpha)
    bias = None
    if call.has(2):
        bias = call.parameter(2, "bias") * np.float32(beta)
        if bias.size not in (1, matrix.shape[1]) or bias.shape[-1:] not in ((), (bias.size,)):
            raise call.node.invalid(f"has a bias of shape {list(bias.shape)}; expected {matrix.shape[1]} numbers")
        bias = np.broadcast_to(bias.reshape(-1), matrix.shape[1:])
    return _fully_connected(call, view, matrix, bias, ())


def matmul(call: Call) -> View:
    """MatMul of one vector per sample with a constant matrix."""
    view = call.view()
    *positions, _ = view.dims
    if set(positions) - {1}:
        raise call.node.unsupported(
            f"multiplies each of {list(positions)} positions by the matrix; expected one vector per sample: "
            "use a 1x1 convolution for a product at every position"
        )
    return _fully_connected(call, view, _matrix(call, 1), None, tuple(positions))


def _matrix(call: Call, index: int) -> Float32Array:
    matrix = call.parameter(index, "matrix")
    if matrix.ndim != 2:
        raise call.node.unsupported(f"has a matrix of {matrix.ndim} dimensions; expected 2")
    return matrix


def _fully_connected(
    call: Call, view: View, matrix: Float32Array, bias: npt.NDArray[np.float32] | None, lead: tuple[int, ...]
) -> View:
    """A layer with the matrix [features, outputs]; its rows are put into the order of the tensor that is read."""
    features, outputs = matrix.shape
    if features != view.dims[-1]:
        raise call.node.invalid(f"has a matrix for {features} features; its input has {view.dims[-1]}")
    weight = np.empty((outputs, features), dtype=np.float32)
    if view.is_in_order:
        weight[:] = matrix.T
    else:
        weight[:, view.order()] = matrix.T
    layer = FullyConnected(
        name=call.node.name,
        inputs=(view.tensor,),
        output=call.output,
        output_channels=outputs,
        weight=weight,
        bias=None if bias is None else np.ascontiguousarray(bias),
    )
    shape: Shape = call.translation.emit(layer)
    return View(call.output, (*lead, outputs), in_order(shape.elements))
