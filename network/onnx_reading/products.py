"""Operators that multiply by a constant matrix: fully connected layers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from network.layers import Float32Array, FullyConnected, Shape
from network.onnx_reading.call import Call
from network.onnx_reading.views import View, contiguous_walk


def gemm(call: Call) -> View:
    """Translate Gemm, alpha * A * B + beta * C, with a constant matrix B (transposed or not) and a constant C."""
    call.refuse_unless("transA", 0, "expected 0, an activation tensor that is not transposed")
    view = call.view()
    if len(view.dims) != 1:
        raise call.node.invalid(f"has an input of {len(view.dims) + 1} dimensions; expected 2: batch and features")
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
            raise call.node.invalid(
                f"has a bias of shape {list(bias.shape)}; expected one number, or {matrix.shape[1]}: one per output"
            )
        bias = np.broadcast_to(bias.reshape(-1), matrix.shape[1:])
    return _fully_connected(call, view, matrix, bias, ())


def matmul(call: Call) -> View:
    """Translate MatMul of one vector per sample and a constant matrix."""
    view = call.view(may_lack_batch=True)
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
        raise call.node.unsupported(f"has a matrix of {matrix.ndim} dimensions; expected 2: features and outputs")
    return matrix


def _fully_connected(
    call: Call, view: View, matrix: Float32Array, bias: npt.NDArray[np.float32] | None, lead: tuple[int, ...]
) -> View:
    """Emit a fully connected layer, with the matrix permuted to the element order of the input tensor.

    Args:
        call: The node.
        view: View of the input tensor, whose last dimension is the features.
        matrix: The weights, [features, outputs].
        bias: The bias, [outputs], or None.
        lead: Dimensions of extent 1 that precede the outputs in the node's result.
    """
    features, outputs = matrix.shape
    if features != view.dims[-1]:
        raise call.node.invalid(
            f"has a matrix of {features} rows; expected {view.dims[-1]}, the number of features of its input"
        )
    weight = np.empty((outputs, features), dtype=np.float32)
    if view.is_contiguous:
        weight[:] = matrix.T
    else:
        weight[:, view.element_indices()] = matrix.T
    layer = FullyConnected(
        name=call.node.name,
        inputs=(view.tensor,),
        output=call.output,
        output_channels=outputs,
        weight=weight,
        shared_weight=call.translation.source_of(call.node.inputs[1]),
        bias=None if bias is None else np.ascontiguousarray(bias),
    )
    shape: Shape = call.translation.emit(layer)
    return View(call.output, (*lead, outputs), contiguous_walk(shape.elements), without_batch=view.without_batch)
