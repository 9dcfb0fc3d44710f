"""Refusals of TFLite files: every operator that stands in the way, in one message, the true cause first."""

from __future__ import annotations

import numpy as np
import pytest
import tflite

from network.errors import UnsupportedOperator
from network.layers import Convolution
from network.reading import read_network
from network.tflite_reading.operators import OPERATORS
from network.tflite_reading.refusals import ADVICE
from tests.network.tflite_reading.tflite_models import Op, T, build, constant

IMAGE = (1, 4, 4, 2)
WINDOW = {"StrideH": 1, "StrideW": 1}
KERNEL = constant(np.ones((2, 3, 3, 2)))


def refusal(content: bytes) -> str:
    with pytest.raises(UnsupportedOperator) as error:
        read_network(content, "refused")
    return str(error.value)


def single(kind: str, dims: tuple[int, ...], output: tuple[int, ...], *constants: T, **options: float) -> bytes:
    tensors = [T(dims), *constants, T(output)]
    return build(tensors, [Op(kind, tuple(range(len(tensors) - 1)), (len(tensors) - 1,), options)])


def test_all_causes_are_listed_by_number_and_the_recurrent_and_custom_ones_first() -> None:
    tensors = [T(IMAGE), *(T(IMAGE) for _ in range(5)), KERNEL, T(IMAGE), T((1, 32)), T((1, 3))]
    operators = [
        Op("HARD_SWISH", (0,), (1,)),
        Op("HARD_SWISH", (1,), (2,)),
        Op("RESIZE_BILINEAR", (2,), (3,)),
        Op("custom:Detect", (3,), (4,)),
        Op("MUL", (4, 3), (5,)),
        Op("CONV_2D", (5, 6), (7,), WINDOW),
        Op("RESHAPE", (7,), (8,)),
        Op("UNIDIRECTIONAL_SEQUENCE_LSTM", (8,), (9,)),
    ]
    message = refusal(build(tensors, operators))
    assert message.startswith("6 of 8 operators stand in the way: ")
    parts = ("custom operator 'Detect'", "1 UNIDIRECTIONAL_SEQUENCE_LSTM", "2 HARD_SWISH", "1 RESIZE_BILINEAR", "1 MUL")
    positions = [message.index(part) for part in parts]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (single("LOGISTIC", (1, 4), (1, 4)), "1 LOGISTIC ('t1'): the only supported activation functions are clamps"),
        (single("TANH", (1, 4), (1, 4)), "apply it to the output in your application"),
        (single("custom:FlexErf", (1, 4), (1, 4)), "it is an operator of TensorFlow"),
        (single("COS", (1, 4), (1, 4)), "the operator is not supported (docs/tflite.md lists"),
        (single("RELU", (2, 4), (2, 4)), "expected a batch of 1"),
        (single("RELU", (1, 2, 3, 4, 5), (1, 2, 3, 4, 5)), "expected a batch of 1"),
        (single("TRANSPOSE", IMAGE, (1, 4, 2, 4), constant([0, 1, 3, 2], "int32")), "moves dimensions of extent 1"),
        (build([T(IMAGE), KERNEL, T(IMAGE), constant([0, 3, 1, 2], "int32"), T((1, 2, 4, 4)), T((1, 2, 4, 4)),
                constant(np.ones((3, 32))), T((1, 3))],
               [Op("CONV_2D", (0, 1), (2,), WINDOW), Op("TRANSPOSE", (2, 3), (4,)), Op("RELU", (4,), (5,)),
                Op("FULLY_CONNECTED", (5, 6), (7,))]),
         "transposed to channels first"),
        (single("MEAN", IMAGE, (1, 4, 4), constant([3], "int32")), "expected the height and the width only"),
        (single("PADV2", IMAGE, (1, 5, 4, 2), constant([[0, 0], [1, 0], [0, 0], [0, 0]], "int32"), constant(1.0)),
         "pads with a value other than zero"),
        (single("MUL", IMAGE, IMAGE, constant(np.ones((4, 1)))), "one number, or one for each channel"),
        (single("SOFTMAX", (1, 4), (1, 4), Beta=2.0), "expected a beta of 1"),
        (single("MINIMUM", (1, 4), (1, 4), constant(-1.0)), "clamps to an interval without zero"),
        (single("FULLY_CONNECTED", (1, 4), (2, 1), constant(np.ones((1, 2)))), "multiplies parts of a tensor"),
        (single("CONV_2D", IMAGE, IMAGE, KERNEL, FusedActivationFunction=4, **WINDOW), "activation function number 4"),
        (build([T((1, 4)), T((2, 4)), T((1, 4))], [Op("ADD", (0, 1), (2,))], inputs=(0, 1)), "extents [2, 4]"),
        (build([T(IMAGE), T((1, 1, 1, 2)), constant([1, 2], "int32"), T(IMAGE)],
               [Op("MEAN", (0, 2), (1,)), Op("ADD", (0, 1), (3,))]), "expected equal extents"),
        (build([T(IMAGE), KERNEL, T(IMAGE), T((1, 2, 4, 4)), constant(np.ones((4, 3, 3, 4))), T((1, 2, 4, 4))],
               [Op("CONV_2D", (0, 1), (2,), WINDOW), Op("RESHAPE", (2,), (3,)),
                Op("CONV_2D", (3, 4), (5,), WINDOW)]), "reshaped to [1, 2, 4, 4]"),
        (build([T((1, 4)), T((1, 4)), T((1, 4))], [Op("SOFTMAX", (0,), (1,), {"Beta": 1.0}), Op("RELU", (1,), (2,))]),
         "softmax at the end of the network only"),
    ],
)  # fmt: skip
def test_each_cause_is_named(content: bytes, text: str) -> None:
    assert text in refusal(content)


def test_what_follows_a_refused_operator_is_still_judged() -> None:
    tensors = [T((1, 8)), T((1, 2, 2, 2)), KERNEL, T((1, 2, 2, 2)), T((1, 2, 2, 2))]
    operators = [
        Op("BATCH_MATMUL", (0,), (1,)),
        Op("CONV_2D", (1, 2), (3,), WINDOW),
        Op("ELU", (3,), (4,)),
    ]
    message = refusal(build(tensors, operators))
    assert message.startswith("2 of 3 operators stand in the way: 1 BATCH_MATMUL")
    assert "1 ELU" in message


def test_a_part_of_a_file_that_no_output_needs_is_dropped() -> None:
    tensors = [T(IMAGE), KERNEL, T(IMAGE), T(IMAGE)]
    operators = [Op("ELU", (0,), (3,)), Op("CONV_2D", (0, 1), (2,), WINDOW)]
    (layer,) = read_network(build(tensors, operators, outputs=(2,)), "dropped").layers
    assert isinstance(layer, Convolution)


def test_advice_is_for_operators_of_the_schema_that_are_not_supported() -> None:
    assert {name for name in (*ADVICE, *OPERATORS) if not hasattr(tflite.BuiltinOperator, name)} == set()
    assert ADVICE.keys() & OPERATORS.keys() == set()
