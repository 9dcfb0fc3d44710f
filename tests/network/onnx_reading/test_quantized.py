"""Quantized ONNX files as float networks: equal to what onnxruntime computes with the file, up to its rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnxruntime.quantization import QuantType  # type: ignore[import-untyped]  # it ships no types

from benchmarks.agreement import snr_db
from network.errors import UnsupportedOperator
from network.layers import ActivationFunction, Convolution, FullyConnected
from network.onnx_reading.proto import parse
from network.onnx_reading.quantized.float_graph import without_quantization
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import Array, agreeing, model, node, random, read
from tests.network.onnx_reading.quantized_models import (
    dynamically_quantized,
    file_outputs,
    float_model,
    outputs_of,
    samples,
    statically_quantized,
)

NETWORKS = Path(__file__).parents[3].parent / "shared" / "networks"
needs_networks = pytest.mark.skipif(not NETWORKS.is_dir(), reason="the published networks are beside the project")


def spectra(count: int, dims: tuple[int, ...]) -> Array:
    """Return smooth random frames of spoken-word features [count, 490]: the first of 10 is far below zero."""
    generator = np.random.default_rng(0)
    frames = np.cumsum(generator.normal(size=(count, 49, 10)), axis=1) / 7 * 15
    frames += generator.normal(size=(count, 1, 10)) * 15
    frames[:, :, 0] -= 60
    return frames.reshape(count, *dims)


def walks(count: int, dims: tuple[int, ...]) -> Array:
    """Return random walks of different strengths, from -5 to 5: white noise gives one class for all samples."""
    generator = np.random.default_rng(1)
    walk = np.cumsum(generator.normal(size=(count, *dims)), axis=-1) / 44
    return np.clip(10 * walk * generator.uniform(0.05, 0.3, size=(count, 1)), -5, 5)


def uniform(low: float, high: float) -> Callable[[int, tuple[int, ...]], Array]:
    return lambda count, dims: np.random.default_rng(0).uniform(low, high, size=(count, *dims))


# file -> smallest SNR in dB, function that draws samples, whether the outputs are classes
PUBLISHED: dict[str, tuple[float, Callable[[int, tuple[int, ...]], Array], bool]] = {
    "mlperf_autoencoder_qdq": (40, uniform(-74, 6.7), False),
    "mlperf_dscnn_qdq": (24, spectra, True),
    "micro_kws_qdq": (30, walks, True),
    "micro_kws_qoperator": (22, walks, True),
    "mnist_dynamic": (35, uniform(0, 1), True),
}


@needs_networks
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks(name: str) -> None:
    least_db, draw, has_classes = PUBLISHED[name]
    content = (NETWORKS / f"{name}.onnx").read_bytes()
    network = read_network(content, name)
    inputs = draw(100, network.only_input.format.dims).astype(np.float32)
    expected = file_outputs(onnx.load_from_string(content), inputs)
    ours = outputs_of(network, inputs)
    assert snr_db(expected, ours) > least_db
    if has_classes:
        assert len(set(expected.argmax(axis=1))) > 1
        assert np.mean(expected.argmax(axis=1) == ours.argmax(axis=1)) >= 0.9


# form of quantization -> smallest SNR in dB between the file and the float network that is read from it
STATIC: dict[str, tuple[str, dict[str, Any], float]] = {
    "QDQ": ("QDQ", {}, 30),
    "QDQ, scales per channel": ("QDQ", {"per_channel": True}, 30),
    "QDQ, uint8": ("QDQ", {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QUInt8}, 30),
    "QDQ, int16 activations": ("QDQ", {"activation_type": QuantType.QInt16}, 70),
    "QOperator": ("QOperator", {}, 30),
    "QOperator, scales per channel": (
        "QOperator",
        {"per_channel": True, "activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8},
        30,
    ),
}


@pytest.mark.parametrize("form", STATIC)
def test_statically_quantized(form: str) -> None:
    quant_format, options, least_db = STATIC[form]
    source = float_model()
    quantized = statically_quantized(source, quant_format, **options)
    network, inputs = read(quantized), samples()
    ours = outputs_of(network, inputs)
    assert snr_db(file_outputs(quantized, inputs), ours) > least_db
    # Its weights are whole multiples of their scale, except in asymmetric uint8: the float twin computes the same.
    twin = file_outputs(source, inputs)
    tolerance = 1e-4 if options.get("weight_type") is not QuantType.QUInt8 else 1e-2
    assert np.abs(twin - ours).max() <= tolerance * np.ptp(twin)
    assert network.ends_in_softmax
    assert [type(layer) for layer in network.layers] == [type(layer) for layer in read(source).layers]


@pytest.mark.parametrize("options", [{}, {"per_channel": True}, {"op_types_to_quantize": ["MatMul"]}], ids=str)
def test_dynamically_quantized(options: dict[str, Any]) -> None:
    source = float_model()
    quantized = dynamically_quantized(source, **options)
    network, inputs = read(quantized), samples()
    ours = outputs_of(network, inputs)
    assert snr_db(file_outputs(quantized, inputs), ours) > 30
    twin = file_outputs(source, inputs)
    assert np.abs(twin - ours).max() <= 1e-4 * np.ptp(twin)
    assert [type(layer) for layer in network.layers] == [type(layer) for layer in read(source).layers]


def test_intervals_and_the_relu_in_a_quantization() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s lowest", "q"), node("DequantizeLinear", "q s lowest", "r"),
        node("MaxPool", "r", "m", kernel_shape=[2, 2]),
        node("QuantizeLinear", "m s lowest", "mq"), node("DequantizeLinear", "mq s lowest", "mr"),
        node("Conv", "mr w2", "d"),
        node("QuantizeLinear", "d s middle", "dq"), node("DequantizeLinear", "dq s middle", "y"),
    ]  # fmt: skip
    constants = {
        "w": random(2, 3, 3, 3), "w2": random(2, 2, 1, 1), "s": np.float32(0.25), "lowest": np.int8(-128),
        "middle": np.int8(-28),
    }  # fmt: skip
    content = model(nodes, constants=constants).SerializeToString()
    assert without_quantization(parse(content)).intervals == {
        "q": (0.0, 63.75), "mq": (0.0, 63.75), "dq": (-25.0, 38.75),
    }  # fmt: skip
    first, pool, last = read_network(content, "clamped").layers
    assert first.activation == ActivationFunction(0, 63.75)
    assert [pool.activation.is_linear, last.activation.is_linear] == [True, True]


def test_an_explicit_relu_before_a_quantization_is_clamped_like_one_that_was_left_out() -> None:
    nodes = [
        node("Conv", "x w", "c"), node("Relu", "c", "r"), node("QuantizeLinear", "r s z", "q"),
        node("DequantizeLinear", "q s z", "d"), node("AveragePool", "d", "a", kernel_shape=[2, 2]),
        node("QuantizeLinear", "a s2 z", "p"), node("DequantizeLinear", "p s2 z", "y"),
    ]  # fmt: skip
    constants = {"w": random(2, 3, 3, 3), "s": np.float32(0.01), "s2": np.float32(0.005), "z": np.uint8(0)}
    first, pool = read(model(nodes, constants=constants)).layers
    assert first.activation == ActivationFunction(0, float(np.float32(0.01) * 255))
    assert pool.activation.is_linear


def test_axis_of_a_bias_does_not_count() -> None:
    """The converter tf2onnx writes the axis of the convolution's output."""
    nodes = [node("DequantizeLinear", "b s", "v", axis=3), node("Conv", "x w v", "y")]
    constants = {
        "w": random(2, 3, 3, 3), "b": np.array([10, 20], np.int32), "s": np.array([0.5, 0.25], np.float32),
    }  # fmt: skip
    (layer,) = read(model(nodes, constants=constants)).layers
    assert isinstance(layer, Convolution)
    assert layer.bias is not None
    assert layer.bias.tolist() == [5, 5]


def test_a_graph_that_is_not_quantized_stays_the_same_object() -> None:
    graph = parse(float_model().SerializeToString())
    assert without_quantization(graph).graph is graph


def test_codes_as_the_input() -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("DequantizeLinear", "t s z", "r"),
        node("Conv", "r w", "y"),
    ]
    constants = {"w": random(4, 3, 3, 3), "s": np.float32(1 / 64), "z": np.uint8(128)}
    network = agreeing(model(nodes, ("N", 8, 8, 3), constants, input_type=TensorProto.UINT8))
    assert len(network.layers) == 1


WEIGHT = np.random.default_rng(5).integers(-127, 128, size=(12, 4)).astype(np.int8)
MATRIX: dict[str, Any] = {
    "s": np.float32(0.02), "z": np.uint8(128), "ws": np.float32(0.25), "wz": np.int8(3), "w": WEIGHT,
    "wt": np.ascontiguousarray(WEIGHT.T), "ws4": np.array([0.25, 0.5, 0.125, 1], np.float32),
    "wz4": np.zeros(4, np.int8), "b": np.arange(4, dtype=np.int32) * 100, "bf": np.arange(4, dtype=np.float32),
    "ys": np.float32(4), "yz": np.uint8(128), "real": random(12, 4), "one": np.array(1.0, np.float32),
}  # fmt: skip
MICROSOFT = {"domain": "com.microsoft"}

# form -> nodes between the input "x" [n, 12] and the output "y", and the smallest SNR in dB
PRODUCTS: dict[str, tuple[list[onnx.NodeProto], float]] = {
    "weights quantized in the graph": (
        [
            node("QuantizeLinear", "real ws wz", "q"), node("DequantizeLinear", "q ws wz", "v"),
            node("MatMul", "x v", "y"),
        ],
        100,
    ),
    "weights transposed in the graph": (
        [node("DequantizeLinear", "wt ws wz", "v"), node("Transpose", "v", "t"), node("MatMul", "x t", "y")],
        100,
    ),
    "scales along the last axis": (
        [node("DequantizeLinear", "w ws4 wz4", "v", axis=-1), node("MatMul", "x v", "y")],
        100,
    ),
    "static scale, accumulator scaled by hand": (
        [
            node("QuantizeLinear", "x s z", "q"), node("MatMulInteger", "q w z wz", "i"), node("Cast", "i", "c", to=1),
            node("Mul", "s ws", "k"), node("Mul", "c k", "y"),
        ],
        30,
    ),
    "accumulator dequantized": (
        [
            node("QuantizeLinear", "x one z", "q"), node("MatMulInteger", "q w z", "i"),
            node("DequantizeLinear", "i ws", "y"),
        ],
        1,
    ),
    "QGemm": (
        [
            node("QuantizeLinear", "x s z", "q"),
            node("QGemm", "q s z wt ws wz b ys yz", "p", transB=1, alpha=0.5, **MICROSOFT),
            node("DequantizeLinear", "p ys yz", "y"),
        ],
        30,
    ),
    "QGemm with a real result": (
        [
            node("QuantizeLinear", "x s z", "q"),
            node("QGemm", "q s z w ws4 wz4 b", "y", alpha=1.0, **MICROSOFT),
        ],
        30,
    ),
    "MatMulIntegerToFloat": (
        [
            node("DynamicQuantizeLinear", "x", "q qs qz"),
            node("MatMulIntegerToFloat", "q w qs ws qz wz bf", "y", **MICROSOFT),
        ],
        30,
    ),
    "DynamicQuantizeMatMul": ([node("DynamicQuantizeMatMul", "x w ws wz bf", "y", **MICROSOFT)], 30),
    "sum": (
        [
            node("QuantizeLinear", "x s z", "q"), node("QLinearMatMul", "q s z w ws wz ys yz", "p"),
            node("QLinearAdd", "p ys yz w4 ws z ys yz", "a", **MICROSOFT), node("DequantizeLinear", "a ys yz", "y"),
        ],
        25,
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", PRODUCTS)
def test_products(form: str) -> None:
    nodes, least_db = PRODUCTS[form]
    constants = {**MATRIX, "w4": WEIGHT[0].view(np.uint8)}
    read_by = {name for each in nodes for name in each.input}
    built = model(nodes, ("N", 12), {name: value for name, value in constants.items() if name in read_by})
    built.opset_import.add(domain="com.microsoft", version=1)
    inputs = np.random.default_rng(1).uniform(-2.5, 2.5, size=(50, 12)).astype(np.float32)
    network = read(built)
    assert snr_db(file_outputs(built, inputs), outputs_of(network, inputs)) > least_db
    assert [type(layer) for layer in network.layers] == [FullyConnected]


@needs_networks
def test_integer_weights_without_a_scale() -> None:
    content = (NETWORKS / "minimal" / "int8_weights_in_gemm.onnx").read_bytes()
    with pytest.raises(UnsupportedOperator, match="without a scale: neither float nor a known form of quantization"):
        read_network(content, "integers")


def test_the_ranges_of_the_file_are_kept() -> None:
    constants = {
        "sx": np.float32(0.02), "zx": np.int8(-3), "sc": np.float32(0.05), "zc": np.int8(-128), "sy": np.float32(0.1),
        "zy": np.int8(5), "w": random(4, 3, 3, 3), "m": random(144, 5),
    }  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x sx zx", "xq"), node("DequantizeLinear", "xq sx zx", "xr"),
        node("Conv", "xr w", "c"), node("Relu", "c", "r"),
        node("QuantizeLinear", "r sc zc", "rq"), node("DequantizeLinear", "rq sc zc", "rr"),
        node("Flatten", "rr", "f"), node("Gemm", "f m", "g"),
        node("QuantizeLinear", "g sy zy", "gq"), node("DequantizeLinear", "gq sy zy", "gr"),
        node("QuantizeLinear", "gr sx zx", "hq"), node("DequantizeLinear", "hq sx zx", "y"),
    ]  # fmt: skip
    network = read(model(nodes, constants=constants))
    assert network.ranges.keys() == {"x", "rq", "g"}, "codes from 0 are a clamp, which writes the tensor"
    for tensor, (low, high) in {"x": (-2.5, 2.6), "rq": (0.0, 12.75), "g": (-13.3, 12.2)}.items():
        assert network.ranges[tensor] == pytest.approx((low, high)), tensor


def test_a_scaled_input_and_a_float_file_have_no_ranges() -> None:
    constants = {"half": np.float32(0.5), "sx": np.float32(0.02), "zx": np.int8(-3), "w": random(4, 3, 3, 3)}
    nodes = [node("Mul", "x half", "h"), node("QuantizeLinear", "h sx zx", "q"),
             node("DequantizeLinear", "q sx zx", "d"), node("Conv", "d w", "y")]  # fmt: skip
    assert not read(model(nodes, constants=constants)).ranges
    assert not read(model([node("Conv", "x w", "y")], constants=constants)).ranges
