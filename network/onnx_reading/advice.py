"""What to do about operators that are not read, for those that networks have most often."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SMOOTH = "of the activation functions only clamps are read: train the network with ReLU or ReLU6 in its place"
_LAST = "; at the network's end, leave it to whoever reads the output"
_NORM = "its statistics are computed anew for every sample: use batch norm, which is folded into the weights"
_QUANTIZED = "give the float network: its bits are chosen here"
_ENLARGED = "nothing that enlarges an image is read"
_CUT = "no layer reads a part of a tensor: use two convolutions that each write one part"
_CHOSEN = "end the network before it: whoever reads the output makes the choice"
_TENSORFLOWS = "it is TensorFlow's own, left over by the converter: convert the network's TFLite file instead"
_RECURRENT = "recurrent layers are not read: use convolutions over the sequence"

ADVICE: Final[Mapping[str, str]] = {
    operator: advice
    for operators, advice in (
        ("Celu Elu Erf Gelu HardSigmoid HardSwish LeakyRelu Mish PRelu Selu Softplus Softsign Swish", _SMOOTH),
        ("Sigmoid Tanh", _SMOOTH + _LAST),
        ("GroupNormalization InstanceNormalization LayerNormalization LpNormalization RMSNormalization", _NORM),
        ("ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QLinearConv QuantizeLinear", _QUANTIZED),
        ("ConvTranspose DepthToSpace Resize Tile Upsample", _ENLARGED),
        ("Split", _CUT),
        ("ArgMax ArgMin NonMaxSuppression TopK", _CHOSEN),
        ("GRU LSTM RNN", _RECURRENT),
        ("PartitionedCall StatefulPartitionedCall", _TENSORFLOWS),
    )
    for operator in operators.split()
}
"""By ONNX's name of the operator; none of them is in `operators.OPERATORS`."""
