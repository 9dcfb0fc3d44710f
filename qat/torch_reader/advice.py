"""Advice to users for unsupported ATen operators of torch, looked up in the ONNX reader's table of advice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.onnx_reading.advice import ADVICE

_ONNX_NAMES: Final[Mapping[str, str]] = {
    "gather": "Split", "index": "Split", "index_select": "Split", "select": "Split", "split_with_sizes": "Split",
    "unbind": "Split", "pixel_shuffle": "DepthToSpace", "repeat": "Tile", "sort": "TopK", "silu": "Swish",
}  # fmt: skip
"""Names in the table of advice for ATen operators whose ONNX counterpart has another name."""

_SUPPORTED: Final = (
    "supported are convolutions, linear layers, batch norms, ReLU, ReLU6 and other clamps to intervals that "
    "contain zero, sums, concatenations, constant factors and summands, pooling layers, means and maxima over "
    "rows and columns, padding with zeros, and operators that only change the shape"
)


def advice_for(aten: str) -> str:
    """Return advice on what a user can do about an unsupported ATen operator of torch.

    Args:
        aten: Name of the ATen operator without its overload, e.g. "aten.silu".
    """
    bare = aten.partition(".")[2].strip("_").removeprefix("native_")
    if bare.startswith("batch_norm"):
        return "a batch norm computes its statistics from each batch; use running statistics (track_running_stats=True)"
    onnx_name = _ONNX_NAMES.get(bare, "Upsample" if bare.startswith("upsample") else bare)
    key = onnx_name.replace("_", "").casefold().removesuffix("alization")
    for operator, advice in ADVICE.items():
        if operator.casefold().removesuffix("alization") == key:
            return advice
    return _SUPPORTED
