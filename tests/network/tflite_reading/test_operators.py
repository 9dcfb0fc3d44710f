"""Every supported operator in small files, beside LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tflite

from benchmarks.agreement import saturated, snr_db
from benchmarks.litert_reference import LiteRTReference
from network.layers import (
    RELU,
    RELU6,
    Activation,
    ActivationFunction,
    Add,
    AveragePool,
    Convolution,
    FullyConnected,
    MaxPool,
    Pad,
    Padding,
    Shape,
)
from network.network import Network
from network.reading import read_network
from network.tflite_reading.operators import OPERATORS
from tests.network.float_reference import evaluate
from tests.network.tflite_reading.tflite_models import Op, T, build, constant

RNG = np.random.default_rng(5)
SAME, VALID = 0, 1
NONE, FUSED_RELU, FUSED_N1_TO_1, FUSED_RELU6 = 0, 1, 2, 3


def numbers(*shape: int) -> npt.NDArray[np.float32]:
    return RNG.normal(size=shape).astype(np.float32)


def window(stride: tuple[int, int] = (1, 1), padding: int = SAME, **others: int) -> dict[str, Any]:
    return {"StrideH": stride[0], "StrideW": stride[1], "Padding": padding, **others}


def pool(
    size: tuple[int, int], stride: tuple[int, int], padding: int, fused: int = NONE
) -> dict[str, float | list[int]]:
    return window(stride, padding, FilterHeight=size[0], FilterWidth=size[1], FusedActivationFunction=fused)


def agreeing(content: bytes, *, softmax: bool = False) -> Network:
    """The network that is read, after a comparison of its first output with LiteRT's."""
    read, oracle = read_network(content, "tiny"), LiteRTReference(content)
    for sample in oracle.samples(3, amplitude=3.0):
        expected = oracle.run(sample)
        ours = evaluate(read, sample[:1])[read.outputs[0]].transpose(0, 2, 3, 1).ravel()
        if softmax:
            ours = np.exp(ours - ours.max()) / np.exp(ours - ours.max()).sum()
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    assert read.ends_in_softmax == softmax
    return read


def single(kind: str, dims: Sequence[int], output: Sequence[int], *constants: T, **options: Any) -> bytes:
    """A file of one operator that reads the input and constants."""
    tensors = [T(tuple(dims)), *constants, T(tuple(output))]
    return build(tensors, [Op(kind, tuple(range(len(tensors) - 1)), (len(tensors) - 1,), options)])


SINGLE = {
    "conv same stride 2": (
        single("CONV_2D", (1, 8, 7, 3), (1, 4, 4, 5), constant(numbers(5, 3, 3, 3)), constant(numbers(5)),
               **window((2, 2))),
        Convolution,
    ),
    "conv valid dilation": (
        single("CONV_2D", (1, 8, 7, 3), (1, 4, 5, 2), constant(numbers(2, 3, 2, 3)), constant(numbers(2)),
               **window(padding=VALID, DilationHFactor=2, DilationWFactor=2, FusedActivationFunction=FUSED_RELU6)),
        Convolution,
    ),
    "conv groups": (
        single("CONV_2D", (1, 5, 5, 4), (1, 5, 5, 6), constant(numbers(6, 3, 3, 2)), constant(numbers(6)),
               **window(FusedActivationFunction=FUSED_RELU)),
        Convolution,
    ),
    "depthwise": (
        single("DEPTHWISE_CONV_2D", (1, 6, 6, 3), (1, 3, 3, 3), constant(numbers(1, 3, 3, 3)), constant(numbers(3)),
               **window((2, 2)), DepthMultiplier=1),
        Convolution,
    ),
    "fully connected": (
        single("FULLY_CONNECTED", (1, 6), (1, 4), constant(numbers(4, 6)), constant(numbers(4)),
               FusedActivationFunction=FUSED_N1_TO_1),
        FullyConnected,
    ),
    "fully connected over an image": (
        single("FULLY_CONNECTED", (1, 2, 3, 4), (1, 5), constant(numbers(5, 24)), constant(numbers(5))),
        FullyConnected,
    ),
    "fully connected at each position": (
        single("FULLY_CONNECTED", (1, 2, 3, 4), (6, 5), constant(numbers(5, 4)), constant(numbers(5))),
        Convolution,
    ),
    "max pool same": (single("MAX_POOL_2D", (1, 5, 5, 2), (1, 3, 3, 2), **pool((3, 2), (2, 2), SAME)), MaxPool),
    "average pool same": (
        single("AVERAGE_POOL_2D", (1, 5, 5, 2), (1, 3, 3, 2), **pool((3, 3), (2, 2), SAME, FUSED_RELU)),
        AveragePool,
    ),
    "average pool valid": (
        single("AVERAGE_POOL_2D", (1, 5, 6, 2), (1, 2, 3, 2), **pool((2, 2), (2, 2), VALID)), AveragePool,
    ),
    "mean over the image": (single("MEAN", (1, 5, 6, 3), (1, 3), constant([1, 2], "int32")), AveragePool),
    "mean with kept dimensions": (
        single("MEAN", (1, 5, 6, 3), (1, 1, 1, 3), constant([-2, -3], "int32"), KeepDims=1), AveragePool,
    ),
    "mean over the height": (single("MEAN", (1, 5, 6, 3), (1, 6, 3), constant([1], "int32")), AveragePool),
    "mean of a sequence": (single("MEAN", (1, 7, 3), (1, 3), constant([1], "int32")), AveragePool),
    "largest of the image": (single("REDUCE_MAX", (1, 5, 6, 3), (1, 3), constant([1, 2], "int32")), MaxPool),
    "pad": (
        single("PAD", (1, 3, 4, 2), (1, 6, 5, 2), constant([[0, 0], [1, 2], [0, 1], [0, 0]], "int32")), Pad,
    ),
    "pad channels": (
        single("PAD", (1, 3, 4, 2), (1, 3, 4, 5), constant([[0, 0], [0, 0], [0, 0], [1, 2]], "int32")), Pad,
    ),
    "pad with a given zero": (
        single("PADV2", (1, 3, 2), (1, 5, 2), constant([[0, 0], [1, 1], [0, 0]], "int32"), constant(0.0)), Pad,
    ),
    "relu": (single("RELU", (1, 5), (1, 5)), Activation),
    "relu6": (single("RELU6", (1, 3, 3, 2), (1, 3, 3, 2)), Activation),
    "relu n1 to 1": (single("RELU_N1_TO_1", (1, 5), (1, 5)), Activation),
    "relu 0 to 1": (single("RELU_0_TO_1", (1, 5), (1, 5)), Activation),
    "minimum": (single("MINIMUM", (1, 5), (1, 5), constant(2.0)), Activation),
    "maximum": (single("MAXIMUM", (1, 5), (1, 5), constant(-1.5)), Activation),
}  # fmt: skip


@pytest.mark.parametrize("case", SINGLE)
def test_operators_by_themselves(case: str) -> None:
    content, kind = SINGLE[case]
    (layer,) = agreeing(content).layers
    assert type(layer) is kind


def chain(dims: Sequence[int], *steps: tuple[str, Sequence[int], Sequence[T], dict[str, Any]]) -> bytes:
    """A file of operators in a row: each reads the tensor of the one before it, and constants."""
    tensors, operators, last = [T(tuple(dims))], [], 0
    for kind, output, constants, options in steps:
        first = len(tensors)
        tensors += [*constants, T(tuple(output))]
        operators.append(Op(kind, (last, *range(first, len(tensors) - 1)), (len(tensors) - 1,), options))
        last = len(tensors) - 1
    return build(tensors, operators)


def conv(channels: int, filters: int, output: Sequence[int], **options: Any) -> Any:
    weights = [constant(numbers(filters, 3, 3, channels)), constant(numbers(filters))]
    return ("CONV_2D", output, weights, window(**options))


def test_depthwise_with_a_multiplier() -> None:
    weights = (constant(numbers(1, 3, 2, 6)), constant(numbers(6)))
    content = single("DEPTHWISE_CONV_2D", (1, 5, 4, 3), (1, 5, 4, 6), *weights, **window(), DepthMultiplier=2)
    (layer,) = agreeing(content).layers
    assert isinstance(layer, Convolution)
    assert layer.groups == 3


def test_padding_is_fused_into_the_convolution_after_it() -> None:
    paddings = [constant([[0, 0], [0, 1], [0, 1], [0, 0]], "int32")]
    content = chain((1, 8, 8, 2), ("PAD", (1, 9, 9, 2), paddings, {}),
                    conv(2, 4, (1, 4, 4, 4), stride=(2, 2), padding=VALID))  # fmt: skip
    (layer,) = agreeing(content).layers
    assert isinstance(layer, Convolution)
    assert layer.padding == Padding(0, 0, 1, 1)


def test_separate_batch_norm_and_relu_are_folded() -> None:
    content = chain(
        (1, 5, 5, 2),
        conv(2, 4, (1, 5, 5, 4)),
        ("MUL", (1, 5, 5, 4), [constant(numbers(4))], {}),
        ("ADD", (1, 5, 5, 4), [constant(numbers(1, 1, 1, 4))], {"FusedActivationFunction": FUSED_RELU}),
        ("RELU6", (1, 5, 5, 4), [], {}),
    )
    (layer,) = agreeing(content).layers
    assert isinstance(layer, Convolution)
    assert layer.activation == RELU6


def test_scaling_of_the_input_becomes_its_format() -> None:
    content = chain(
        (1, 5, 5, 2),
        ("SUB", (1, 5, 5, 2), [constant([3.0, 4.0])], {}),
        ("DIV", (1, 5, 5, 2), [constant(2.0)], {}),
        conv(2, 3, (1, 5, 5, 3)),
    )
    read = agreeing(content)
    assert len(read.layers) == 1
    assert read.only_input.format.subtract == (3.0, 4.0)
    assert read.only_input.format.multiply == (0.5,)


def test_constant_minus_tensor() -> None:
    tensors = [T((1, 4)), constant(numbers(4, 4)), T((1, 4)), constant(numbers(4)), T((1, 4))]
    operators = [Op("FULLY_CONNECTED", (0, 1), (2,)), Op("SUB", (3, 2), (4,))]
    (layer,) = agreeing(build(tensors, operators)).layers
    assert isinstance(layer, FullyConnected)


def test_sum_and_concatenation_of_branches() -> None:
    weights = [constant(numbers(2, 1, 1, 2)), constant(numbers(2))]
    tensors = [T((1, 4, 4, 2)), *weights, T((1, 4, 4, 2)), T((1, 4, 4, 2)), T((1, 4, 4, 4))]
    operators = [
        Op("CONV_2D", (0, 1, 2), (3,), window()),
        Op("ADD", (3, 0), (4,), {"FusedActivationFunction": FUSED_RELU}),
        Op("CONCATENATION", (4, 3), (5,), {"Axis": -1}),
    ]
    read = agreeing(build(tensors, operators))
    assert isinstance(read.layers[1], Add)
    assert read.layers[1].activation == RELU


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOG_SOFTMAX"])
def test_final_softmax_is_left_out(kind: str) -> None:
    weights = [constant(numbers(3, 4)), constant(numbers(3))]
    options = {"Beta": 1.0} if kind == "SOFTMAX" else {}
    content = chain((1, 4), ("FULLY_CONNECTED", (1, 3), weights, {}), (kind, (1, 3), [], options))
    if kind == "SOFTMAX":
        agreeing(content, softmax=True)
    assert len(read_network(content, "tiny").layers) == 1


def test_reshapes_before_a_fully_connected_layer() -> None:
    shape = constant([1, 48], "int32")
    content = chain(
        (1, 4, 4, 3),
        conv(3, 3, (1, 4, 4, 3)),
        ("RESHAPE", (1, 48), [shape], {}),
        ("EXPAND_DIMS", (1, 1, 48), [constant(1, "int32")], {}),
        ("SQUEEZE", (1, 48), [], {"SqueezeDims": [-2]}),
        ("FULLY_CONNECTED", (1, 5), [constant(numbers(5, 48))], {}),
    )
    assert [type(layer) for layer in agreeing(content).layers] == [Convolution, FullyConnected]


def test_vector_that_is_reshaped_to_an_image_is_read_as_the_image() -> None:
    content = chain(
        (1, 24),
        ("RESHAPE", (1, 3, 4, 2), [constant([1, 3, 4, 2], "int32")], {}),
        conv(2, 3, (1, 3, 4, 3)),
    )
    read = agreeing(content)
    assert read.only_input.shape == Shape(2, 3, 4)
    assert read.only_input.format.dims == (24,)


def test_one_dimensional_convolution() -> None:
    weights = [constant(numbers(4, 1, 3, 2)), constant(numbers(4))]
    content = chain(
        (1, 10, 2),
        ("EXPAND_DIMS", (1, 1, 10, 2), [constant(1, "int32")], {}),
        ("CONV_2D", (1, 1, 10, 4), weights, window()),
        ("SQUEEZE", (1, 10, 4), [], {"SqueezeDims": [1]}),
        ("MEAN", (1, 4), [constant([1], "int32")], {}),
    )
    read = agreeing(content)
    assert read.only_input.shape == Shape(2, 1, 10)


def test_shape_that_the_file_computes() -> None:
    def number(value: int) -> T:
        return constant([value], "int32")

    tensors = [
        T((1, 2, 3, 4)), T((4,), kind="INT32"), number(0), number(1), number(1), T((), kind="INT32"),
        constant(24, "int32"), T((2,), kind="INT32"), T((1, 24)), constant(numbers(5, 24)), T((1, 5)),
    ]  # fmt: skip
    operators = [
        Op("SHAPE", (0,), (1,), {"OutType": tflite.TensorType.INT32}),
        Op("STRIDED_SLICE", (1, 2, 3, 4), (5,), {"ShrinkAxisMask": 1}),
        Op("PACK", (5, 6), (7,), {"ValuesCount": 2}),
        Op("RESHAPE", (0, 7), (8,)),
        Op("FULLY_CONNECTED", (8, 9), (10,)),
    ]
    (layer,) = agreeing(build(tensors, operators)).layers
    assert isinstance(layer, FullyConnected)


def test_transpose_of_dimensions_of_extent_1() -> None:
    content = chain(
        (1, 6, 1, 2),
        ("TRANSPOSE", (1, 1, 6, 2), [constant([0, 2, 1, 3], "int32")], {}),
        conv(2, 3, (1, 1, 6, 3)),
    )
    assert agreeing(content).only_input.shape == Shape(2, 1, 6)


def test_channels_first_input_that_the_file_transposes() -> None:
    content = chain(
        (1, 3, 4, 5),
        ("TRANSPOSE", (1, 4, 5, 3), [constant([0, 2, 3, 1], "int32")], {}),
        conv(3, 2, (1, 4, 5, 2)),
    )
    read = agreeing(content)
    assert read.only_input.shape == Shape(3, 4, 5)
    assert read.only_input.format.dims == (3, 4, 5)
    assert not read.only_input.format.channels_last


def test_channels_first_sequence_that_the_file_transposes() -> None:
    content = chain(
        (1, 3, 7),
        ("TRANSPOSE", (1, 7, 3), [constant([0, 2, 1], "int32")], {}),
        ("EXPAND_DIMS", (1, 1, 7, 3), [constant(1, "int32")], {}),
        conv(3, 2, (1, 1, 7, 2)),
    )
    read = agreeing(content)
    assert read.only_input.shape == Shape(3, 1, 7)
    assert read.only_input.format.dims == (3, 7)


def test_sequence_that_is_flattened_behind_a_transpose() -> None:
    content = chain(
        (1, 7, 3),
        ("TRANSPOSE", (1, 3, 7), [constant([0, 2, 1], "int32")], {}),
        ("RESHAPE", (1, 21), [constant([1, 21], "int32")], {}),
        ("FULLY_CONNECTED", (1, 3), [constant(numbers(3, 21))], {}),
    )
    assert agreeing(content).only_input.shape == Shape(3, 1, 7)


def test_fully_connected_layer_behind_a_transpose_to_channels_first() -> None:
    content = chain(
        (1, 4, 5, 3),
        conv(3, 2, (1, 4, 5, 2)),
        ("TRANSPOSE", (1, 2, 4, 5), [constant([0, 3, 1, 2], "int32")], {}),
        ("RESHAPE", (1, 40), [constant([1, -1], "int32")], {}),
        ("FULLY_CONNECTED", (1, 3), [constant(numbers(3, 40))], {}),
    )
    assert [type(layer) for layer in agreeing(content).layers] == [Convolution, FullyConnected]


def test_transpose_there_and_back() -> None:
    content = chain(
        (1, 7, 3),
        ("EXPAND_DIMS", (1, 1, 7, 3), [constant(1, "int32")], {}),
        conv(3, 4, (1, 1, 7, 4)),
        ("TRANSPOSE", (1, 4, 1, 7), [constant([0, 3, 1, 2], "int32")], {}),
        ("TRANSPOSE", (1, 1, 7, 4), [constant([0, 2, 3, 1], "int32")], {}),
        conv(4, 2, (1, 1, 7, 2)),
    )
    assert len(agreeing(content).layers) == 2


def test_half_precision_weights() -> None:
    half = constant(numbers(3, 4), "float16")
    tensors = [T((1, 4)), half, T((3, 4)), T((1, 3))]
    operators = [Op("DEQUANTIZE", (1,), (2,)), Op("FULLY_CONNECTED", (0, 2), (3,))]
    agreeing(build(tensors, operators))


def quantized_convolution(kind: str, bias_kind: str, *, fused: int, zero_point: int) -> bytes:
    """A file of QUANTIZE, an integer convolution with a scale for each filter, and DEQUANTIZE."""
    limit = 127 if kind == "INT8" else 32767
    input_scale = 4.0 / limit
    scales = tuple(float(each) for each in RNG.uniform(0.005, 0.02, 5))
    weight = constant(RNG.integers(-127, 128, (5, 3, 3, 2)), "int8", scales=scales)
    bias = constant(
        RNG.integers(-900, 900, 5) * (1 if kind == "INT8" else 200),
        bias_kind.lower(),
        scales=tuple(np.float32(input_scale) * np.float32(each) for each in scales),
    )
    tensors = [
        T((1, 6, 6, 2)),
        T((1, 6, 6, 2), kind=kind, scales=(input_scale,), zero_points=(0,)),
        weight,
        bias,
        T((1, 6, 6, 5), kind=kind, scales=(30.0 / limit,), zero_points=(zero_point,)),
        T((1, 6, 6, 5)),
    ]
    operators = [
        Op("QUANTIZE", (0,), (1,)),
        Op("CONV_2D", (1, 2, 3), (4,), window(FusedActivationFunction=fused)),
        Op("DEQUANTIZE", (4,), (5,)),
    ]
    return build(tensors, operators)


@pytest.mark.parametrize(
    ("kind", "bias_kind", "fused", "zero_point", "function", "decibels"),
    [
        ("INT8", "INT32", NONE, 3, ActivationFunction(), 30),
        ("INT8", "INT32", FUSED_RELU, -128, RELU, 30),
        ("INT8", "INT32", NONE, -128, RELU, 30),
        ("INT16", "INT64", FUSED_RELU, 0, RELU, 70),
    ],
)
def test_quantized_files_become_float_networks(
    kind: str, bias_kind: str, fused: int, zero_point: int, function: ActivationFunction, decibels: float
) -> None:
    content = quantized_convolution(kind, bias_kind, fused=fused, zero_point=zero_point)
    read, oracle = read_network(content, "tiny"), LiteRTReference(content)
    (layer,) = read.layers
    assert layer.activation == function
    limit = 127 if kind == "INT8" else 32767
    low, high = read.ranges[read.outputs[0]]
    assert high - low == pytest.approx(30.0 / limit * (2 * limit + 1))
    assert read.ranges[read.only_input.name] == pytest.approx((-4.0 / limit * (limit + 1), 4.0))
    samples = oracle.samples(5)
    expected = np.array([oracle.run(sample) for sample in samples])
    ours = [evaluate(saturated(read), sample)[read.outputs[0]].transpose(0, 2, 3, 1).ravel() for sample in samples]
    assert snr_db(expected, np.array(ours)) > decibels


def test_names_are_unique_and_printable() -> None:
    tensors = [T((1, 4), name="x"), T((1, 4), name="x;other"), T((1, 4), name="a\nb")]
    read = read_network(build(tensors, [Op("RELU", (0,), (1,)), Op("RELU6", (0,), (2,))], outputs=(1, 2)), "tiny")
    assert read.tensors == ("x", "x_1", "tensor_2")
    assert read.outputs == ("x_1", "tensor_2")


def test_every_operator_is_tried() -> None:
    source = Path(__file__).read_text()
    assert {name for name in OPERATORS if f'"{name}"' not in source} == set()
