"""What to do about operators that are not read: the ONNX reader's advice, found by ATen's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.onnx_reading.advice import ADVICE

_SHOWN_AS: Final[Mapping[str, str]] = {
    "gather": "Split", "index": "Split", "index_select": "Split", "select": "Split", "split_with_sizes": "Split",
    "unbind": "Split", "pixel_shuffle": "DepthToSpace", "repeat": "Tile", "sort": "TopK", "silu": "Swish",
}  # fmt: skip
"""ATen's names that differ from those under which there is advice."""

_READ: Final = (
    "those read are convolutions, linear layers, batch norms, ReLU, ReLU6 and other clamps around zero, sums, "
    "concatenations, constant factors and summands, pools, means and maxima over rows and columns, padding with zeros, "
    "and what only reshapes"
)


def advice_for(aten: str) -> str:
    """What to do about an operator that is not in the table."""
    bare = aten.partition(".")[2].strip("_").removeprefix("native_")
    if bare.startswith("batch_norm"):
        return "its statistics are computed anew for every batch: give it running ones (track_running_stats=True)"
    shown = _SHOWN_AS.get(bare, "Upsample" if bare.startswith("upsample") else bare)
    key = shown.replace("_", "").casefold().removesuffix("alization")
    for operator, advice in ADVICE.items():
        if operator.casefold().removesuffix("alization") == key:
            return advice
    return _READ
