"""Advice for the ONNX operators that are often found in networks and are not supported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SMOOTH = "the only supported activation functions are clamps: train the network with ReLU or ReLU6 instead"
_LAST = "; at the end of the network, remove it and apply it to the output in your application"
_NORM = "it computes its statistics from each sample: use batch norm instead, which is folded into the weights"
_ENLARGED = "operators that enlarge an image are not supported: remove it from the network"
_CUT = "no layer reads a part of a tensor: use two convolutions that each write one part"
_CHOSEN = "remove it from the end of the network, and make the choice in the application that reads the output"
_TENSORFLOWS = "it is an operator of TensorFlow that the converter left in the file: convert the TFLite file instead"
_RECURRENT = "recurrent layers are not supported: use convolutions over the sequence"

ADVICE: Final[Mapping[str, str]] = {
    operator: advice
    for operators, advice in (
        ("Celu Elu Erf Gelu HardSigmoid HardSwish LeakyRelu Mish PRelu Selu Softplus Softsign Swish", _SMOOTH),
        ("Sigmoid Tanh", _SMOOTH + _LAST),
        ("GroupNormalization InstanceNormalization LayerNormalization LpNormalization RMSNormalization", _NORM),
        ("ConvTranspose DepthToSpace Resize Tile Upsample", _ENLARGED),
        ("Split", _CUT),
        ("ArgMax ArgMin NonMaxSuppression TopK", _CHOSEN),
        ("GRU LSTM RNN", _RECURRENT),
        ("PartitionedCall StatefulPartitionedCall", _TENSORFLOWS),
    )
    for operator in operators.split()
}
"""Advice by the ONNX name of the operator; none of these operators is in `operators.OPERATORS`."""
