"""Causes and advice for the ONNX operators that are often found in networks and are not supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from network.onnx_reading.causes import Cause

_SMOOTH = "the only supported activation functions are clamps: train the network with ReLU or ReLU6 instead"
_LAST = "; at the end of the network, remove it and apply it to the output in your application"
_NORM = "it computes its statistics from each sample: use batch norm instead, which is folded into the weights"
_ENLARGED = "operators that enlarge an image are not supported: remove it from the network"
_CUT = "no layer reads a part of a tensor: use two convolutions that each write one part"
_CHOSEN = "remove it from the end of the network, and make the choice in the application that reads the output"
_TENSORFLOWS = "it is an operator of TensorFlow that the converter left in the file: convert the TFLite file instead"
_RECURRENT = "recurrent layers are not supported: use convolutions over the sequence"
_ATTENTION = "attention layers are not supported: use convolutions"
_FLOW = "subgraphs are not supported: export the network without control flow"

_ROWS: Final = (
    ("Celu Elu Erf Exp Gelu HardSigmoid HardSwish LeakyRelu Log Mish PRelu Pow Selu Softplus Softsign Swish",
     Cause.ACTIVATION, _SMOOTH),
    ("Sigmoid Tanh", Cause.ACTIVATION, _SMOOTH + _LAST),
    ("GroupNormalization InstanceNormalization LayerNormalization LpNormalization RMSNormalization",
     Cause.NORMALIZATION, _NORM),
    ("DepthToSpace Resize Tile Upsample", Cause.ENLARGEMENT, _ENLARGED),
    ("ConvTranspose", Cause.TRANSPOSED_CONVOLUTION, _ENLARGED),
    ("Split", Cause.PART, _CUT),
    ("ArgMax ArgMin NonMaxSuppression TopK", Cause.CHOICE, _CHOSEN),
    ("GRU LSTM RNN", Cause.RECURRENT, _RECURRENT),
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
