"""Table of the supported TFLite operators: the function that translates each, and its number of inputs.

To support another operator, add a row here, and a row of its options in `options` if it has any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from network.errors import InvalidNetwork, UnsupportedOperator
from network.names import shown
from network.tflite_reading import movements, pointwise, products, shapes, windows
from network.tflite_reading.call import Call
from network.tflite_reading.graph import Node
from network.tflite_reading.refusals import Refusal, advice_for
from network.tflite_reading.translation import Translation, Value


@dataclass(frozen=True, slots=True)
class Operator:
    """Support of one TFLite operator.

    Attributes:
        read: Function that translates an operator and returns the value of its output.
        inputs: Smallest and largest number of inputs.
        forms: Supported forms, for the table of `docs/tflite.md`.
    """

    read: Callable[[Call], Value]
    inputs: tuple[int, int]
    forms: str


_MANY: Final = 10_000
_CLAMP: Final = "fused into the layer before it, else a layer of its own"
_PER_CHANNEL: Final = "a constant number, or one for each channel: folded into the weights or the input format"
_MOVED: Final = "where the operator after it can read the elements in their order"
_COMPUTED: Final = "of constants and shapes: computed while the file is read"
_RANKING: Final = "over the channels at the end of the network, beta 1; not deployed"
_SAME_OR_VALID: Final = "padding SAME and VALID, strides, a fused clamp"

OPERATORS: Final[Mapping[str, Operator]] = {
    "ADD": Operator(pointwise.add, (2, 2), f"two tensors of one shape with a fused clamp; or {_PER_CHANNEL}"),
    "AVERAGE_POOL_2D": Operator(windows.average_pool, (1, 1), _SAME_OR_VALID),
    "CONCATENATION": Operator(
        pointwise.concatenation,
        (1, _MANY),
        "along the channels, the height or the width, or of flattened tensors; a fused clamp",
    ),
    "CONV_2D": Operator(windows.convolution, (2, 3), f"any number of groups, dilation, {_SAME_OR_VALID}"),
    "DEPTHWISE_CONV_2D": Operator(
        windows.depthwise_convolution, (2, 3), f"any depth multiplier, dilation, {_SAME_OR_VALID}"
    ),
    "DEQUANTIZE": Operator(pointwise.same_number, (1, 1), "left out: the network computes in real numbers"),
    "DIV": Operator(pointwise.divide, (2, 2), _PER_CHANNEL),
    "EXPAND_DIMS": Operator(movements.expand_dims, (2, 2), _MOVED),
    "FULLY_CONNECTED": Operator(
        products.fully_connected, (2, 3), "over the whole tensor, or over the channels of every position; a fused clamp"
    ),
    "LOG_SOFTMAX": Operator(pointwise.softmax, (1, 1), _RANKING),
    "MAXIMUM": Operator(pointwise.maximum, (2, 2), f"with one constant of 0 or less; {_CLAMP}"),
    "MAX_POOL_2D": Operator(windows.max_pool, (1, 1), _SAME_OR_VALID),
    "MEAN": Operator(windows.mean, (2, 2), "over the height, the width or both"),
    "MINIMUM": Operator(pointwise.minimum, (2, 2), f"with one constant above 0; {_CLAMP}"),
    "MUL": Operator(pointwise.multiply, (2, 2), _PER_CHANNEL),
    "PACK": Operator(shapes.pack, (1, _MANY), _COMPUTED),
    "PAD": Operator(windows.pad, (2, 2), "zeros; fused into the convolution or pool after it where that is equal"),
    "PADV2": Operator(windows.pad, (3, 3), "as PAD, with a constant of zero"),
    "QUANTIZE": Operator(pointwise.same_number, (1, 1), "left out: the network computes in real numbers"),
    "REDUCE_MAX": Operator(windows.reduce_max, (2, 2), "over the height, the width or both"),
    "RELU": Operator(pointwise.relu, (1, 1), _CLAMP),
    "RELU6": Operator(pointwise.relu6, (1, 1), _CLAMP),
    "RELU_0_TO_1": Operator(pointwise.relu_0_to_1, (1, 1), _CLAMP),
    "RELU_N1_TO_1": Operator(pointwise.relu_n1_to_1, (1, 1), _CLAMP),
    "RESHAPE": Operator(movements.reshape, (1, 2), _MOVED),
    "SHAPE": Operator(shapes.shape_of, (1, 1), _COMPUTED),
    "SOFTMAX": Operator(pointwise.softmax, (1, 1), _RANKING),
    "SQUEEZE": Operator(movements.squeeze, (1, 1), _MOVED),
    "STRIDED_SLICE": Operator(shapes.strided_slice, (4, 4), _COMPUTED),
    "SUB": Operator(pointwise.subtract, (2, 2), _PER_CHANNEL),
    "TRANSPOSE": Operator(
        movements.transpose,
        (2, 2),
        "of constants; of dimensions of extent 1; from channels first to last or back, behind the input or before "
        "FULLY_CONNECTED",
    ),
}
"""Support of each operator, by its name in the TFLite schema."""


def translate(translation: Translation) -> None:
    """Translate every operator in order, and store values, layers and refused operators in the translation.

    An operator that cannot be translated is recorded, and its output is assumed to have the extents that the file gives
    it, so that the operators after it are judged too.

    Args:
        translation: State of the translation, at its start.

    Raises:
        UnreadableFile: If the data of a constant has another size than its shape says.
        InvalidNetwork: If the inputs and options of an operator that depends on no refused operator contradict each
            other.
        InputLayoutRequired: If an operator requires another layout of the network's input than was assumed.
    """
    for node in translation.graph.nodes:
        if not node.outputs or min(node.outputs) < 0:
            raise InvalidNetwork(f"an operator {node.operator} has no output; expected one or more")
        cause = _translate(translation, node)
        if cause is not None:
            name = shown(translation.name_of(node.outputs[0]))
            translation.refusals.append(Refusal(node.operator, name, cause))
            translation.refused.update(node.outputs)
        if cause is not None or not translation.obstructed.isdisjoint(node.inputs):
            translation.obstructed.update(node.outputs)
        for output in node.outputs:
            if output not in translation.values:
                translation.assume(output)


def _translate(translation: Translation, node: Node) -> str | None:
    """Translate one operator; return the cause if it is refused, else None."""
    operator = OPERATORS.get(node.operator)
    if operator is None:
        return advice_for(node.operator)
    call = Call(node, translation)
    try:
        least, most = operator.inputs
        if not least <= len(node.inputs) <= most or len(node.outputs) != 1:
            raise call.invalid(
                f"has {len(node.inputs)} inputs and {len(node.outputs)} outputs; expected {least} to {most} inputs and "
                "one output"
            )
        translation.write(node.outputs[0], operator.read(call))
    except UnsupportedOperator as error:
        return str(error)
    except InvalidNetwork:
        # The assumed output of an operator that is refused may contradict the operators after it.
        if translation.obstructed.isdisjoint(node.inputs):
            raise
    return None
