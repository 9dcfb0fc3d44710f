"""Names in ONNX, causes and advice for ATen operators of torch that are not supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.onnx_reading.advice import ADVICE, CAUSES
from network.onnx_reading.causes import Cause
from network.refusal_advice import PART_OF_TENSOR

_ONNX_NAMES: Final[Mapping[str, str]] = {
    "baddbmm": "MatMul", "bmm": "MatMul", "chunk": "Split", "embedding": "Gather", "gather": "GatherElements",
    "index": "Gather", "index_select": "Gather", "matmul": "MatMul", "native_group_norm": "GroupNormalization",
    "native_layer_norm": "LayerNormalization", "pixel_shuffle": "DepthToSpace", "prelu_kernel": "PRelu",
    "quantized_gru": "GRU", "quantized_lstm": "LSTM", "repeat": "Tile", "rnn_relu": "RNN", "rnn_tanh": "RNN",
    "scaled_dot_product_attention": "Attention", "select": "Gather", "silu": "Swish", "slice": "Slice",
    "sort": "TopK", "split_with_sizes": "Split", "unbind": "Split",
}  # fmt: skip
"""ONNX names of ATen operators whose ONNX counterpart has another name."""

_STANDARD_NAMES: Final[Mapping[str, str]] = {
    name.casefold().removesuffix("alization"): name
    for name in (*ADVICE, "Abs", "Ceil", "Cos", "Einsum", "Expand", "Floor", "Mod", "Neg", "Reciprocal", "Round",
                 "Sign", "Sin", "Sqrt", "Where")
}  # fmt: skip
"""ONNX names of operators that torch has under the same name, apart from underscores and capitals."""

_PARTS: Final = frozenset({"Gather", "GatherElements", "Slice"})

_SUPPORTED: Final = (
    "supported are convolutions, linear layers, batch norms, ReLU, ReLU6 and other clamps to intervals that "
    "contain zero, sums, concatenations, constant factors and summands, pooling layers, means and maxima over "
    "rows and columns, padding with zeros, and operators that only change the shape"
)


def onnx_name_of(aten: str) -> str:
    """Return the ONNX name of an ATen operator of torch, or the name itself if ONNX has no such operator.

    Args:
        aten: Name of the ATen operator without its overload, e.g. "aten.silu".
    """
    bare = aten.partition(".")[2].strip("_")
    if bare in _ONNX_NAMES:
        return _ONNX_NAMES[bare]
    if bare.startswith(("native_batch_norm", "batch_norm")):
        return "BatchNormalization"
    if bare.startswith("upsample"):
        return "Resize"
    return _STANDARD_NAMES.get(bare.replace("_", ""), aten)


def cause_for(aten: str) -> Cause:
    """Return the cause for which an unsupported ATen operator of torch cannot be read.

    Args:
        aten: Name of the ATen operator without its overload, e.g. "aten.silu".
    """
    onnx_name = onnx_name_of(aten)
    if aten == "aten.embedding":
        return Cause.LOOKUP
    if onnx_name in _PARTS:
        return Cause.PART
    return {"MatMul": Cause.PRODUCT, "BatchNormalization": Cause.NORMALIZATION}.get(
        onnx_name, CAUSES.get(onnx_name, Cause.OPERATOR)
    )


def advice_for(aten: str) -> str:
    """Return advice on what a user can do about an unsupported ATen operator of torch.

    Args:
        aten: Name of the ATen operator without its overload, e.g. "aten.silu".
    """
    onnx_name = onnx_name_of(aten)
    if onnx_name == "BatchNormalization":
        return "a batch norm computes its statistics from each batch; use running statistics (track_running_stats=True)"
    if aten == "aten.embedding":
        return "compute the embedding in the application, and give the network its result"
    if onnx_name in _PARTS:
        return PART_OF_TENSOR
    if onnx_name == "MatMul":
        return "use a convolution with a 1x1 kernel for a product at every position; other products are not supported"
    return ADVICE.get(onnx_name, _SUPPORTED)
