"""Table of the options that the reader evaluates, for each TFLite operator that has any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import tflite

FUSED: Final = "FusedActivationFunction"
_STRIDES: Final = "Padding StrideH StrideW"
_DILATIONS: Final = "DilationHFactor DilationWFactor"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of an operator in the schema.

    Attributes:
        table: Class of the schema package that reads the options.
        number: Number of the table in the union of all options.
        fields: Names of the numbers that the reader evaluates, as the schema package names their getters.
        lists: Names of the lists of whole numbers that the reader evaluates.
    """

    table: Any
    number: int
    fields: tuple[str, ...]
    lists: tuple[str, ...] = ()


def _row(name: str, fields: str, lists: str = "") -> Options:
    schema: ModuleType = tflite
    number = getattr(schema.BuiltinOptions, name)
    return Options(getattr(schema, name), number, tuple(fields.split()), tuple(lists.split()))


OPTIONS: Final[Mapping[str, Options]] = {
    "ADD": _row("AddOptions", FUSED),
    "ARG_MAX": _row("ArgMaxOptions", "OutputType"),
    "ARG_MIN": _row("ArgMinOptions", "OutputType"),
    "AVERAGE_POOL_2D": _row("Pool2DOptions", f"{_STRIDES} FilterHeight FilterWidth {FUSED}"),
    "CONCATENATION": _row("ConcatenationOptions", f"Axis {FUSED}"),
    "CONV_2D": _row("Conv2DOptions", f"{_STRIDES} {_DILATIONS} {FUSED}"),
    "DEPTHWISE_CONV_2D": _row("DepthwiseConv2DOptions", f"{_STRIDES} {_DILATIONS} {FUSED}"),
    "DIV": _row("DivOptions", FUSED),
    "FULLY_CONNECTED": _row("FullyConnectedOptions", f"WeightsFormat {FUSED}"),
    "GATHER": _row("GatherOptions", "Axis BatchDims"),
    "LEAKY_RELU": _row("LeakyReluOptions", "Alpha"),
    "MAX_POOL_2D": _row("Pool2DOptions", f"{_STRIDES} FilterHeight FilterWidth {FUSED}"),
    "MUL": _row("MulOptions", FUSED),
    "SOFTMAX": _row("SoftmaxOptions", "Beta"),
    "SPLIT": _row("SplitOptions", "NumSplits"),
    "SPLIT_V": _row("SplitVOptions", "NumSplits"),
    "SQUEEZE": _row("SqueezeOptions", "", "SqueezeDims"),
    "STRIDED_SLICE": _row("StridedSliceOptions", "BeginMask EndMask EllipsisMask NewAxisMask ShrinkAxisMask"),
    "SUB": _row("SubOptions", FUSED),
}
"""Options by the name of the operator; the options of other operators do not change what the reader makes of them."""
