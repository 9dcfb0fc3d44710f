"""Quantized ONNX files as float networks: equal to what onnxruntime computes with the file, up to its rounding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import QuantType  # type: ignore[import-untyped]  # it ships no types

from network.errors import NetworkError, UnsupportedOperator
from network.layers import ActivationFunction, Convolution, FullyConnected
from network.onnx_reading.proto import parse
from network.onnx_reading.quantized.float_graph import REWRITES, without_quantization
from network.onnx_reading.quantized.names import FOREIGN_OPERATORS
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import Array, agreeing, model, node, random, read
from tests.network.onnx_reading.quantized_models import (
    dynamically_quantized,
    file_outputs,
    float_model,
    outputs_of,
    samples,
    snr_db,
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
    inputs = draw(100, network.input_format.dims).astype(np.float32)
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


QUANT = {"domain": "qonnx.custom_op.general", "signed": 1, "narrow": 0, "rounding_mode": "ROUND"}


@pytest.mark.parametrize(
    ("bits", "narrow", "rounding", "expected"),
    [
        (8, 0, "ROUND", [-0.5, 0.0, 0.25, 31.75, -32.0]),
        (4, 0, "ROUND", [-0.5, 0.0, 0.25, 1.75, -2.0]),
        (4, 1, "ROUND", [-0.5, 0.0, 0.25, 1.75, -1.75]),
        (2, 1, "FLOOR", [-0.25, 0.0, 0.0, 0.25, -0.25]),
    ],
)
def test_weights_of_quant(bits: int, narrow: int, rounding: str, expected: list[float]) -> None:
    weight = np.array([-0.4, 0.1, 0.2, 50, -50], np.float32).reshape(5, 1)
    nodes = [
        node("Quant", "w s o k", "v", **{**QUANT, "narrow": narrow, "rounding_mode": rounding}),
        node("Gemm", "x v", "y", transB=1),
    ]
    constants = {"w": weight, "s": np.float32(0.25), "o": np.float32(0), "k": np.float32(bits)}
    (layer,) = read(model(nodes, ("N", 1), constants)).layers
    assert isinstance(layer, FullyConnected)
    assert layer.weight is not None
    assert layer.weight.reshape(-1).tolist() == expected


def test_activations_of_quant() -> None:
    nodes = [
        node("Conv", "x w", "c"), node("Quant", "c s o k", "r", **{**QUANT, "signed": 0}),
        node("Conv", "r v", "d"), node("Quant", "d s o k", "y", **QUANT),
    ]  # fmt: skip
    constants = {
        "w": random(2, 3, 3, 3), "v": random(2, 2, 1, 1), "s": np.float32(0.5), "o": np.float32(0), "k": np.float32(4),
    }  # fmt: skip
    first, last = read(model(nodes, constants=constants)).layers
    assert first.activation == ActivationFunction(0, 7.5)
    assert last.activation.is_linear


@needs_networks
def test_published_quant() -> None:
    content = (NETWORKS / "minimal" / "quant_of_another_domain.onnx").read_bytes()
    (layer,) = read_network(content, "quant").layers
    weight = numpy_helper.to_array(onnx.load_from_string(content).graph.initializer[0])
    assert isinstance(layer, Convolution)
    assert layer.weight is not None
    np.testing.assert_allclose(layer.weight, np.clip(np.rint(weight / 0.1), -128, 127) * 0.1, rtol=1e-6)


@needs_networks
def test_integer_weights_without_a_scale() -> None:
    content = (NETWORKS / "minimal" / "int8_weights_in_gemm.onnx").read_bytes()
    with pytest.raises(UnsupportedOperator, match="without a scale: neither float nor a known form of quantization"):
        read_network(content, "integers")


DAMAGE: dict[str, Any] = {
    "w": WEIGHT, "s": np.float32(0.5), "z": np.int8(0), "zero": np.float32(0), "nan": np.float32(np.nan),
    "negative": np.float32(-1), "infinite": np.float32(np.inf), "three": np.ones(3, np.float32),
    "blocks": np.ones((3, 4), np.float32), "whole": np.int32(1), "float": np.float32(0), "z2": np.zeros(2, np.int8),
    "none": np.zeros(0, np.float32), "k9": np.float32(9), "k": np.float32(2.5), "real": random(12, 4),
    "s2": np.float32(2),
}  # fmt: skip
BAD: dict[str, tuple[onnx.NodeProto, str]] = {
    "scale of zero": (node("DequantizeLinear", "w zero z", "v"), "finite number above zero"),
    "scale of NaN": (node("DequantizeLinear", "w nan z", "v"), "finite number above zero"),
    "negative scale": (node("DequantizeLinear", "w negative z", "v"), "finite number above zero"),
    "infinite scale": (node("DequantizeLinear", "w infinite z", "v"), "finite number above zero"),
    "whole scale": (node("DequantizeLinear", "w whole z", "v"), "finite number above zero"),
    "too few scales": (node("DequantizeLinear", "w three", "v"), "3 scales along the axis 1"),
    "no scale": (node("DequantizeLinear", "w none", "v"), "0 scales"),
    "axis outside": (node("DequantizeLinear", "w three", "v", axis=7), "along the axis 7"),
    "axis of another type": (node("DequantizeLinear", "w three", "v", axis="x"), "'axis' of another type"),
    "blocks": (node("DequantizeLinear", "w blocks", "v"), "blocked quantization"),
    "block size": (node("DequantizeLinear", "w s", "v", block_size=4), "block_size"),
    "zero points of another number": (node("DequantizeLinear", "w three z2", "v"), "3 scales and 2 zero points"),
    "float zero point": (node("DequantizeLinear", "w s float", "v"), "integers as zero points"),
    "float codes": (node("DequantizeLinear", "real s z", "v"), "expected integers"),
    "computed scale": (node("DequantizeLinear", "w x", "v"), "expected a constant scale"),
    "too few inputs": (node("DequantizeLinear", "w", "v"), "at least 2 inputs"),
    "QLinearConv without a result's scale": (node("QLinearConv", "x s z w s z", "v"), "at least 8 inputs"),
    "QGemm with a text as alpha": (node("QGemm", "x s z w s z", "v", alpha="x"), "'alpha'"),
    "concat of too few": (node("QLinearConcat", "s z x s z s", "v"), "6 inputs"),
    "channels last": (node("QLinearAveragePool", "x s z s z", "v", channels_last=1), "channels_last"),
    "nine bits": (node("Quant", "real s float k9", "v"), "quantizes to 9 bits"),
    "two and a half bits": (node("Quant", "real s float k", "v"), "quantizes to 2.5 bits"),
    "rounding that shifts": (node("Quant", "x s float s2", "v", rounding_mode="FLOOR"), "rounding_mode=FLOOR"),
    "unknown rounding": (node("Quant", "real s float s2", "v", rounding_mode="DICE"), "rounding_mode=DICE"),
    "one bit": (
        node("BipolarQuant", "real s", "v", domain="qonnx.custom_op.general"),
        "only Quant is: export the float network",
    ),
}


@pytest.mark.parametrize("form", BAD)
def test_damaged_or_unsupported(form: str) -> None:
    bad, said = BAD[form]
    with pytest.raises(NetworkError) as caught:
        read(model([bad, node("MatMul", "x v", "y")], ("N", 12), DAMAGE))
    assert said in str(caught.value)
    assert f"'V' ({bad.op_type})" in str(caught.value)


# nodes, and what the message contains; the codes "q" have the scale 0.5
MISREAD: dict[str, tuple[list[onnx.NodeProto], str]] = {
    "another scale": ([node("DequantizeLinear", "q s2 z", "y")], "was written with 0.5"),
    "never quantized": ([node("Relu", "x", "r"), node("DequantizeLinear", "r s z", "y")], "no node quantizes it"),
    "computed with": ([node("Cast", "q", "y", to=TensorProto.FLOAT)], "computes with the codes"),
    "joined": (
        [
            node("QuantizeLinear", "x s2 z", "p"), node("Concat", "q p", "c", axis=1),
            node("DequantizeLinear", "c s z", "y"),
        ],
        "different scales",
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", MISREAD)
def test_codes_read_in_a_wrong_way(form: str) -> None:
    nodes, said = MISREAD[form]
    with pytest.raises(NetworkError, match=said):
        read(model([node("QuantizeLinear", "x s z", "q"), *nodes], ("N", 12), DAMAGE))


def test_many_readers_of_one_constant_are_bounded() -> None:
    constants = {"w": np.zeros((1024, 1024), np.int8), "s": np.float32(1)}
    nodes = [node("DequantizeLinear", "w s", f"v{index}") for index in range(50)]
    total = node("Sum", " ".join(f"v{index}" for index in range(50)), "m")
    with pytest.raises(UnsupportedOperator, match="increases the dequantized constants"):
        read(model([*nodes, total, node("MatMul", "x m", "y")], ("N", 1024), constants))


CONTENTS = [
    statically_quantized(float_model(), "QDQ", per_channel=True).SerializeToString(),
    statically_quantized(float_model(), "QOperator").SerializeToString(),
    dynamically_quantized(float_model()).SerializeToString(),
]


@settings(max_examples=500, deadline=2000)
@given(
    st.sampled_from(CONTENTS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_changed_bytes(content: bytes, changes: list[tuple[float, int]]) -> None:
    changed = bytearray(content)
    for place, value in changes:
        changed[int(place * len(changed))] = value
    assert "\n" not in outcome(bytes(changed))


def outcome(content: bytes) -> str:
    """Return the name of the network that is read, or the message of the `NetworkError`; other errors are raised."""
    try:
        return read_network(content, "changed").name
    except NetworkError as error:
        return str(error)


def test_foreign_operators_that_are_parsed_are_rewritten_or_refused() -> None:
    assert REWRITES.keys() >= FOREIGN_OPERATORS
