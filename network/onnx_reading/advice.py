"""Causes and advice for the ONNX operators that are often found in networks and are not supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.onnx_reading.causes import Cause
from network.refusal_advice import (
    CHOICE,
    ENLARGEMENT,
    FINAL_ACTIVATION,
    PART_OF_TENSOR,
    RECURRENT_LAYER,
    SMOOTH_ACTIVATION,
)

_NORM = "it computes its statistics from each sample: use batch norm instead, which is folded into the weights"
_TENSORFLOWS = "it is an operator of TensorFlow that the converter left in the file: convert the TFLite file instead"
_ATTENTION = "attention layers are not supported: use convolutions"
_FLOW = "subgraphs are not supported: export the network without control flow"

_ROWS: Final = (
    ("Celu Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Log Mish PRelu Pow Selu Softplus Softsign Swish",
     Cause.ACTIVATION, SMOOTH_ACTIVATION),
    ("Sigmoid Tanh", Cause.ACTIVATION, FINAL_ACTIVATION),
    ("GroupNormalization InstanceNormalization LayerNormalization LpNormalization RMSNormalization",
     Cause.NORMALIZATION, _NORM),
    ("DepthToSpace Resize Tile Upsample", Cause.ENLARGEMENT, ENLARGEMENT),
    ("ConvTranspose", Cause.TRANSPOSED_CONVOLUTION, ENLARGEMENT),
    ("Split", Cause.PART, PART_OF_TENSOR),
    ("ArgMax ArgMin NonMaxSuppression TopK", Cause.CHOICE, CHOICE),
    ("GRU LSTM RNN", Cause.RECURRENT, RECURRENT_LAYER),
    ("Attention", Cause.ATTENTION, _ATTENTION),
    ("If Loop Scan", Cause.SUBGRAPH, _FLOW),
    ("PartitionedCall StatefulPartitionedCall", Cause.CUSTOM, _TENSORFLOWS),
)  # fmt: skip

ADVICE: Final[Mapping[str, str]] = {
    operator: advice for operators, _, advice in _ROWS for operator in operators.split()
}  # fmt: skip
"""Advice by the ONNX name of the operator; none of these operators is in `operators.OPERATORS`."""

CAUSES: Final[Mapping[str, Cause]] = {
    operator: cause for operators, cause, _ in _ROWS for operator in operators.split()
}  # fmt: skip
"""Cause by the ONNX name of the operator, for the same operators."""
