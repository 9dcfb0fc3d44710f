"""The ONNX form: onnxruntime and the interpreter agree, and the file holds the documented integers."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph  # type: ignore[import-untyped]  # it has no annotations

from deploy.arithmetic import encode_factors, top_code
from deploy.integer_network import IntegerAveragePool, IntegerConvolution, IntegerNetwork, IntegerTensor
from deploy.interpreter import real_values, run
from deploy.qdq import onnx_bytes
from deploy.requantization_form import RequantizationForm, in_form
from network.errors import ConversionError
from network.layers import Flattening, Padding, Shape
from network.network_input import InputFormat, NetworkInput
from tests.deploy.onnx_runs import RUNTIMES, Runtime, codes_in, differences, session
from tests.deploy.random_networks import SCHEMES, Builder, builders
from tests.deploy.test_files import every_kind

PLAIN = RUNTIMES[0]


@settings(max_examples=60, deadline=None)
@given(st.one_of(builders(), builders(kinds=("convolution", "depthwise", "fully_connected"))))
def test_every_layer_in_onnxruntime_is_within_one_code_of_the_interpreter(builder: Builder) -> None:
    """Layers agree for the same input codes; whole networks run with and without the runtime's fusions."""
    for index, layer in enumerate(builder.layers):
        if isinstance(layer, IntegerConvolution) and index % 3 < 2:  # a zero point in range, as converted
            points = np.clip(layer.weight_zero_point, 0, top_code(layer.weight_bits)).astype(np.int32)
            builder.layers[index] = dataclasses.replace(layer, weight_zero_point=points, bias=layer.bias // 20)
    network, codes = builder.network(), builder.input_codes(3)
    for runtime in RUNTIMES:
        for name, difference in differences(network, codes_in(runtime, network, codes)).items():
            assert difference.max() <= 1, (runtime, name)
            assert np.count_nonzero(difference) <= 1 + 0.001 * difference.size, (runtime, name)


def filter_network(factors: list[float], **fields: Any) -> IntegerNetwork:
    """Return a network with two output and two input channels, 2-bit weights, a 4-bit input and a 2-bit output."""
    tensors = {
        "image": IntegerTensor("image", Shape(2), 4, 0.5, 2),
        "classes": IntegerTensor("classes", Shape(2), 2, 0.25, 1),
    }
    layer = IntegerConvolution(
        name="filter",
        inputs=("image",),
        output="classes",
        codes=np.array([[0, 3], [1, 2]], np.uint8).reshape(2, 1, 1, 2),
        weight_bits=2,
        weight_zero_point=np.array([1], np.int32),
        bias=np.array([10, -4], np.int32),
        requantization=encode_factors(factors, "filter"),
        scheme=SCHEMES[0],
        weight_scale=np.array([0.125]),
    )
    layer = dataclasses.replace(layer, **fields)
    given = NetworkInput("image", Shape(2), InputFormat((2, 1, 1), subtract=(1.0,), multiply=(0.5,)))
    return IntegerNetwork("example", (given,), tensors, (layer,), ("classes",))


def constants(content: bytes) -> dict[str, Any]:
    model = onnx.load_from_string(content)
    return {each.name: numpy_helper.to_array(each).astype(float).tolist() for each in model.graph.initializer}


def test_a_negative_factor_mirrors_codes_and_zero_point() -> None:
    found = constants(onnx_bytes(filter_network([0.5, -0.25])))
    assert np.squeeze(found["filter weights codes"]).tolist() == [[0, 3], [3 - 1, 3 - 2]]
    assert found["filter weights zero point"] == [1, 3 - 1]
    assert found["filter weights scale"] == [0.5 * 0.25 / 0.5, 0.25 * 0.25 / 0.5]
    assert found["filter bias codes"] == [10, 4]
    assert found["filter bias scale"] == [0.5 * 0.25, 0.25 * 0.25]


def test_types_and_versions() -> None:
    network = filter_network([0.5, -0.25])
    for narrow_types, versions, weights, image, clips in (
        (False, (21, 10), TensorProto.UINT4, TensorProto.UINT8, 2),
        (True, (25, 13), TensorProto.UINT2, TensorProto.UINT4, 0),
    ):
        model = onnx.load_from_string(onnx_bytes(network, narrow_types=narrow_types))
        assert (model.opset_import[0].version, model.ir_version) == versions
        kinds = {each.name: each.data_type for each in model.graph.initializer}
        assert kinds["filter weights codes"] == kinds["filter weights zero point"] == weights
        assert kinds["image zero point"] == image
        assert [node.op_type for node in model.graph.node].count("Clip") == clips
        assert {each.name for each in model.graph.value_info} >= {"filter", "image codes", "classes codes"}
    assert json.loads(model.metadata_props[0].value) == {
        "sample_extents": [2, 1, 1], "channels_last": False, "subtract": [1.0], "multiply": [0.5],
    }  # fmt: skip


def test_the_formats_of_several_inputs_are_in_the_metadata() -> None:
    builder = Builder(np.random.default_rng(1), Shape(2, 3, 4))
    vector = builder.add_input(Shape(3))
    builder.concat("input", vector, flattening=Flattening.CHANNELS_FIRST)
    model = onnx.load_from_string(onnx_bytes(builder.network()))
    assert [value.name for value in model.graph.input] == ["input", vector]
    (entry,) = model.metadata_props
    assert entry.key == "input_formats"
    assert {name: each["sample_extents"] for name, each in json.loads(entry.value).items()} == {
        "input": [2, 3, 4], vector: [3, 1, 1],
    }  # fmt: skip


def test_codes_take_their_bits_in_the_file() -> None:
    sizes = {}
    for bits in (8, 4, 2):
        builder = Builder(np.random.default_rng(1), Shape(32, 4, 4))
        builder.convolution("input", 64, (3, 3), weight_bits=bits)
        (layer,) = builder.layers
        assert isinstance(layer, IntegerConvolution)
        builder.layers[:] = [dataclasses.replace(layer, weight_zero_point=np.array([1], np.int32))]
        sizes[bits] = [len(onnx_bytes(builder.network(), narrow_types=narrow)) for narrow in (False, True)]
    codes = 64 * 3 * 3 * 32
    assert sizes[8][1] - sizes[4][1] == pytest.approx(codes / 2, abs=100)
    assert sizes[4][1] - sizes[2][1] == pytest.approx(codes / 4, abs=100)
    assert sizes[4][0] - sizes[2][0] == pytest.approx(0, abs=100)


@pytest.mark.parametrize(
    "network",
    [
        filter_network([0.0, 0.5]),
        filter_network([1e-30, -0.5]),
        filter_network([-0.5]),
        filter_network([0.0]),
        filter_network([0.5], weight_zero_point=np.array([7], np.int32)),
        filter_network([0.5, -0.5], weight_zero_point=np.array([2, -9], np.int32), bias=np.array([2**20, 3], np.int32)),
        filter_network([0.5], name="image dequantized"),
        filter_network([0.5], name="classes"),
    ],
    ids=["no factor", "next to none", "one negative", "one of 0", "no code", "no codes", "a name", "a tensor's name"],
)
def test_special_channels(network: IntegerNetwork) -> None:
    codes = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 1, 1, 2).astype(np.uint8)
    for runtime in RUNTIMES:
        found = codes_in(runtime, network, codes)["classes"]
        # float32 is exact for multiples of 0.5, so only halves differ: the runtime rounds them to the even code.
        difference = np.abs(found.astype(int) - run(network, codes)["classes"])
        assert difference.max() <= 1
        (layer,) = network.layers
        assert isinstance(layer, IntegerConvolution)
        steps = codes.astype(np.int64).reshape(-1, 2) - 2
        weights = layer.codes.reshape(2, 2).astype(np.int64) - layer.weight_zero_point[:, None]
        sums = (steps @ weights.T + layer.bias) * layer.requantization.factors
        is_half = sums - np.floor(sums) == 0.5
        assert not (difference.reshape(-1, 2)[~is_half]).any()


def mean_of_two(factor: float) -> IntegerNetwork:
    tensors = {
        "input": IntegerTensor("input", Shape(1, 1, 2), 8, 0.1, 3),
        "mean": IntegerTensor("mean", Shape(1), 8, 0.1, 2),
    }
    layer = IntegerAveragePool(
        name="pool", inputs=("input",), output="mean", kernel=(1, 2), stride=(1, 1), padding=Padding(),
        count_includes_padding=False, divisors=(2,), requantization=encode_factors([factor], "pool"),
    )  # fmt: skip
    given = NetworkInput("input", Shape(1, 1, 2), InputFormat((1, 1, 2)))
    return IntegerNetwork("mean", (given,), tensors, (layer,), ("mean",))


@pytest.mark.parametrize("factor", [1 / 2, 1 / 4, 3 / 2, 5 / 1024, -1 / 2, 1 / 3, 0.49999])
def test_halves_go_up_as_on_the_chip(factor: float) -> None:
    """For every pair of codes: two neighbouring codes have a half between them, above and below real zero."""
    network = mean_of_two(factor)
    codes = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1).reshape(-1, 1, 2, 1).astype(np.uint8)
    for runtime in RUNTIMES:
        np.testing.assert_array_equal(codes_in(runtime, network, codes)["mean"], run(network, codes)["mean"])
    lifted = "pool lifted" in {node.name for node in onnx.load_from_string(onnx_bytes(network)).graph.node}
    assert lifted == (factor not in {1 / 3, 0.49999})


def test_outputs_are_real_values_from_real_inputs() -> None:
    network = filter_network([0.5, -0.25])
    model = onnx.load_from_string(onnx_bytes(network))
    (given,), (answer,) = model.graph.input, model.graph.output
    assert (given.name, answer.name) == ("image", "classes")
    codes = np.array([[1, 9]], np.uint8).reshape(1, 1, 1, 2)
    real = real_values(network, "image", codes).astype(np.float32)
    (values,) = session(model, PLAIN).run(None, {"image": real})
    np.testing.assert_array_equal(values, real_values(network, "classes", run(network, codes)["classes"]))


def test_the_input_can_be_an_output() -> None:
    network = dataclasses.replace(filter_network([0.5, -0.25]), outputs=("image", "classes"))
    model = onnx.load_from_string(onnx_bytes(network))
    onnx.checker.check_model(model, full_check=True)
    first, _ = session(model, PLAIN).run(None, {"image": np.full((1, 2, 1, 1), 0.6, np.float32)})
    assert first.ravel().tolist() == [0.5, 0.5]


def test_the_same_network_gives_the_same_bytes_in_either_form() -> None:
    network = every_kind().network()
    content = onnx_bytes(network)
    assert content == onnx_bytes(every_kind().network())
    assert content == onnx_bytes(in_form(network, RequantizationForm.THRESHOLDS))


def test_what_has_no_onnx_form_is_refused() -> None:
    network = filter_network([0.5])
    tiny = {**network.tensors, "image": dataclasses.replace(network.tensors["image"], scale=1e-40)}
    with pytest.raises(
        ConversionError,
        match="tensor 'image' has the scale 1e-40, which an ONNX file cannot hold; expected a float32 number",
    ):
        onnx_bytes(dataclasses.replace(network, tensors=tiny))
    apart = {
        "image": dataclasses.replace(network.tensors["image"], scale=1e-30),
        "classes": dataclasses.replace(network.tensors["classes"], scale=1e30),
    }
    with pytest.raises(
        ConversionError,
        match=r"layer 'filter' needs weight scales from 5e\+59 .* expected scales that float32 can hold",
    ):
        onnx_bytes(dataclasses.replace(network, tensors=apart))
    broken = dataclasses.replace(network, outputs=("nothing",))
    with pytest.raises(ConversionError, match="expected at least one tensor, each of which a layer writes"):
        onnx_bytes(broken)


def test_what_the_manual_says_of_onnxruntime_still_holds() -> None:
    """Its fusions create operators of types that it does not support. If this fails, make narrow types the default."""
    network = filter_network([0.5])
    wide = {name: dataclasses.replace(tensor, bits=8) for name, tensor in network.tensors.items()}
    model = onnx.load_from_string(onnx_bytes(dataclasses.replace(network, tensors=wide), narrow_types=True))
    with pytest.raises(InvalidGraph, match="uint2"):
        session(model, Runtime(narrow_types=True, optimized=True, fuses_integers=True))
