"""Table of the supported ATen operators of torch: the equivalent ONNX operator and the supported arguments of each.

An argument that is not listed in an operator's row must have its default value; otherwise the operator is rejected, so
that no argument is silently ignored. The ONNX reader checks which reshapes and transpositions are supported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import fx

from network.onnx_reading.advice import ADVICE
from network.onnx_reading.causes import Cause
from qat.torch_reader.call import AtenCall, AtenNode, aten_name, extents, named_arguments
from qat.torch_reader.strides import as_strided


@dataclass(frozen=True, slots=True)
class Operator:
    """How one ATen operator is converted to an ONNX node, and which of its arguments are supported.

    Attributes:
        read: Function that converts a call of the operator to an ONNX node.
        arguments: Names of the arguments, in the operator's schema, that `read` handles or can safely ignore.
    """

    read: Callable[[AtenCall], AtenNode]
    arguments: frozenset[str]


def _convolution(call: AtenCall) -> AtenNode:
    if call.arguments["transposed"]:
        raise call.unsupported(f"is a transposed convolution; {ADVICE['ConvTranspose']}", Cause.TRANSPOSED_CONVOLUTION)
    space = len(call.dims("input")) - 2
    return call.onnx(
        "Conv",
        *(call.value(each) for each in ("input", "weight", "bias")),
        strides=call.integers("stride", space),
        pads=call.integers("padding", space) * 2,
        dilations=call.integers("dilation", space),
        group=call.arguments["groups"],
    )


def _batch_norm(call: AtenCall) -> AtenNode:
    channels = call.dims("input")[1]
    gamma, beta = (
        call.value(argument) or call.name_of([neutral] * channels)
        for argument, neutral in (("weight", 1.0), ("bias", 0.0))
    )
    statistics = (call.value("running_mean"), call.value("running_var"))
    return call.onnx(
        "BatchNormalization", call.value("input"), gamma, beta, *statistics, epsilon=float(call.arguments["eps"])
    )


def _matrix_product_with_bias(call: AtenCall) -> AtenNode:
    alpha, beta = float(call.arguments["alpha"]), float(call.arguments["beta"])
    return call.onnx("Gemm", call.value("mat1"), call.value("mat2"), call.value("self"), alpha=alpha, beta=beta)


def _matrix_product(call: AtenCall) -> AtenNode:
    return call.onnx("Gemm", call.value("self"), call.value("mat2"))


def _clamp(low: str, high: str) -> Callable[[AtenCall], AtenNode]:
    return lambda call: call.onnx("Clip", call.value("self"), call.value(low), call.value(high))


def _sum(call: AtenCall) -> AtenNode:
    if call.arguments.get("alpha", 1) != 1:
        raise call.unsupported(
            f"multiplies its second input by alpha={call.arguments['alpha']}; expected alpha=1: multiply the tensor "
            "before the sum"
        )
    return _binary("Sub" if call.node.aten.endswith("sub") else "Add")(call)


def _binary(operator: str) -> Callable[[AtenCall], AtenNode]:
    return lambda call: call.onnx(operator, call.value("self"), call.value("other"))


def _unary(operator: str) -> Callable[[AtenCall], AtenNode]:
    return lambda call: call.onnx(operator, call.value("self"))


def _concat(call: AtenCall) -> AtenNode:
    return call.onnx("Concat", *map(call.name_of, call.arguments["tensors"]), axis=call.arguments["dim"])


def _max_pool(call: AtenCall) -> AtenNode:
    return call.onnx("MaxPool", call.value("self"), dilations=call.integers("dilation", 2), **_window(call))


def _average_pool(call: AtenCall) -> AtenNode:
    counts_padding = int(call.arguments["count_include_pad"])
    return call.onnx("AveragePool", call.value("self"), count_include_pad=counts_padding, **_window(call))


def _window(call: AtenCall) -> dict[str, int | tuple[int, ...]]:
    kernel = call.integers("kernel_size", 2)
    return {
        "kernel_shape": kernel,
        "strides": call.integers("stride", 2) or kernel,
        "pads": call.integers("padding", 2) * 2,
        "ceil_mode": int(call.arguments["ceil_mode"]),
    }


def _adaptive_pool(operator: str) -> Callable[[AtenCall], AtenNode]:
    def read(call: AtenCall) -> AtenNode:
        image, output = call.dims()[-2:], call.integers("output_size", 2)
        if any(extent % target for extent, target in zip(image, output, strict=True)):
            raise call.unsupported(
                f"pools an image of {list(image)} pixels to {list(output)} with windows of different sizes; "
                "expected an output size that divides the height and the width of the image"
            )
        kernel = tuple(extent // target for extent, target in zip(image, output, strict=True))
        return call.onnx(operator, call.value("self"), kernel_shape=kernel, strides=kernel)

    return read


def _reduction(operator: str) -> Callable[[AtenCall], AtenNode]:
    def read(call: AtenCall) -> AtenNode:
        keepdims = int(call.arguments.get("keepdim", False))
        axes = call.integers("dim", 1) if call.arguments.get("dim") is not None else ()
        return call.onnx(operator, call.value("self"), axes=axes, keepdims=keepdims)

    return read


def _pad(call: AtenCall) -> AtenNode:
    if call.arguments["value"] != 0:
        raise call.unsupported(f"pads a tensor with the value {call.arguments['value']}; expected padding with zeros")
    # torch lists (before, after) pairs from the last dimension to the first; ONNX lists all befores, then all afters.
    pairs = list(call.arguments["pad"])
    pairs += [0] * (2 * len(call.dims()) - len(pairs))
    return call.onnx("Pad", call.value("self"), call.name_of(np.array([*pairs[-2::-2], *pairs[::-2]], dtype=np.int64)))


def _reshape(call: AtenCall) -> AtenNode:
    """Convert an ATen operator that only changes the shape to an ONNX Reshape; torch.export has computed the new shape.

    The batch dimension of the new shape is -1, as the ONNX reader requires.
    """
    _, *dims = call.arguments["result"] or (None,)
    return call.onnx("Reshape", call.value("self"), call.name_of(np.array([-1, *dims], dtype=np.int64)))


def _transpose(call: AtenCall) -> AtenNode:
    rank = len(call.dims())
    return call.onnx("Transpose", call.value("self"), perm=tuple(axis % rank for axis in call.arguments["dims"]))


def _softmax(operator: str) -> Callable[[AtenCall], AtenNode]:
    return lambda call: call.onnx(operator, call.value("self"), axis=call.arguments["dim"])


def _copy(call: AtenCall) -> AtenNode:
    dtype = call.arguments.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        raise call.unsupported(f"casts a tensor to {dtype}; expected a float type: remove the cast")
    return call.onnx("Identity", call.value("self"))


def _slice(call: AtenCall) -> AtenNode:
    """Convert a slice of every n-th row or column of an image to a max pooling layer with 1x1 windows and that stride.

    The shortcuts of CIFAR's ResNets contain such slices. A slice of a slice becomes one pool; the layer of the inner
    slice is then not read by any other layer.
    """
    rows, columns = _slice_strides(call.arguments) or (0, 0)
    if not rows:
        raise call.unsupported(f"cuts a part out of a tensor, which is not supported; {ADVICE['Split']}", Cause.PART)
    source: fx.Node = call.arguments["self"]
    while aten_name(source) == call.node.aten and (strides := _slice_strides(arguments := named_arguments(source))):
        rows, columns, source = rows * strides[0], columns * strides[1], arguments["self"]
    if (rows, columns) == (1, 1):
        return call.onnx("Identity", call.name_of(source))
    return call.onnx("MaxPool", call.name_of(source), kernel_shape=(1, 1), strides=(rows, columns))


def _slice_strides(arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the strides of a slice along the rows and columns of an image; None if the slice also cuts the image."""
    dims, step = extents(arguments["self"]), arguments["step"]
    axis = arguments["dim"] % len(dims)
    if arguments["start"] not in (None, 0) or (arguments["end"] is not None and arguments["end"] < dims[axis]):
        return None
    if step == 1:
        return 1, 1
    return {2: (step, 1), 3: (1, step)}.get(axis) if len(dims) == 4 else None


def _select(call: AtenCall) -> AtenNode:
    """Convert the choice of one index of a dimension, which only changes the shape if the dimension has one index."""
    if call.dims()[call.arguments["dim"]] != 1:
        raise call.unsupported(f"takes one index out of a dimension of several; {ADVICE['Split']}", Cause.PART)
    return _reshape(call)


def _expand(call: AtenCall) -> AtenNode:
    if call.arguments["result"] != call.dims():
        raise call.unsupported(f"repeats elements of a tensor; {ADVICE['Tile']}", Cause.ENLARGEMENT)
    return call.onnx("Identity", call.value("self"))


def _row(read: Callable[[AtenCall], AtenNode], arguments: str) -> Operator:
    return Operator(read, frozenset(arguments.split()))


_WINDOW = "self kernel_size stride padding ceil_mode"

OPERATORS: Final[Mapping[str, Operator]] = {
    "aten._adaptive_avg_pool2d": _row(_adaptive_pool("AveragePool"), "self output_size"),
    "aten._log_softmax": _row(_softmax("LogSoftmax"), "self dim half_to_float"),
    "aten._native_batch_norm_legit_no_training": _row(
        _batch_norm, "input weight bias running_mean running_var momentum eps"
    ),
    "aten._softmax": _row(_softmax("Softmax"), "self dim half_to_float"),
    "aten._to_copy": _row(_copy, "self dtype layout device pin_memory non_blocking memory_format"),
    "aten._unsafe_view": _row(_reshape, "self size"),
    "aten.adaptive_max_pool2d": _row(_adaptive_pool("MaxPool"), "self output_size"),
    "aten.add": _row(_sum, "self other alpha"),
    "aten.addmm": _row(_matrix_product_with_bias, "self mat1 mat2 beta alpha"),
    "aten.alias": _row(_unary("Identity"), "self"),
    "aten.amax": _row(_reduction("ReduceMax"), "self dim keepdim"),
    "aten.as_strided": _row(as_strided, "self size stride storage_offset"),
    "aten.avg_pool2d": _row(_average_pool, f"{_WINDOW} count_include_pad"),
    "aten.cat": _row(_concat, "tensors dim"),
    "aten.clamp": _row(_clamp("min", "max"), "self min max"),
    "aten.clamp_max": _row(_clamp("none", "max"), "self max"),
    "aten.clamp_min": _row(_clamp("min", "none"), "self min"),
    "aten.clone": _row(_unary("Identity"), "self memory_format"),
    "aten.constant_pad_nd": _row(_pad, "self pad value"),
    "aten.convolution": _row(
        _convolution, "input weight bias stride padding dilation transposed output_padding groups"
    ),
    "aten.detach": _row(_unary("Identity"), "self"),
    "aten.div": _row(_binary("Div"), "self other"),
    "aten.expand": _row(_expand, "self size implicit"),
    "aten.hardtanh": _row(_clamp("min_val", "max_val"), "self min_val max_val"),
    "aten.max": _row(_reduction("ReduceMax"), "self dim keepdim"),
    "aten.max_pool2d_with_indices": _row(_max_pool, f"{_WINDOW} dilation"),
    "aten.maximum": _row(_binary("Max"), "self other"),
    "aten.mean": _row(_reduction("ReduceMean"), "self dim keepdim"),
    "aten.minimum": _row(_binary("Min"), "self other"),
    "aten.mm": _row(_matrix_product, "self mat2"),
    "aten.mul": _row(_binary("Mul"), "self other"),
    "aten.permute": _row(_transpose, "self dims"),
    "aten.relu": _row(_unary("Relu"), "self"),
    "aten.select": _row(_select, "self dim index"),
    "aten.slice": _row(_slice, "self dim start end step"),
    "aten.squeeze": _row(_reshape, "self dim"),
    "aten.sub": _row(_sum, "self other alpha"),
    "aten.unsqueeze": _row(_reshape, "self dim"),
    "aten.view": _row(_reshape, "self size"),
}
"""The supported ATen operators, by name without the overload."""
