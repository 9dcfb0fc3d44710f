"""The real networks, trained elsewhere: structure, shapes, outputs and reading time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from network.layers import RELU, RELU6, AveragePool, Convolution, FullyConnected, Padding, Shape
from network.network import Network
from network.reading import read_network
from tests.network.float_reference import evaluate
from tests.network.onnx_reading.onnx_models import runtime_outputs, samples_for

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
NAMES = ("resnet8_cifar10", "dscnn_fsdd", "toyadmos_ae", "mobilenetv1_050_160_imagenet_deq")

pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the real models lie beside the project, not in it")


def content(name: str) -> bytes:
    return (MODELS / f"{name}.onnx").read_bytes()


def network(name: str) -> Network:
    return read_network(content(name), name)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_equal_the_runtimes(name: str) -> None:
    model = onnx.load_from_string(content(name))
    samples = samples_for(model, count=1 if name.startswith("mobilenet") else 3)
    read = network(name)
    (expected,) = runtime_outputs(model, samples)
    ours = evaluate(read, samples)[read.outputs[0]].reshape(expected.shape)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))


def test_resnet8() -> None:
    read = network("resnet8_cifar10")
    assert [layer.name for layer in read.layers] == [
        "stem", "s1_conv1", "s1_conv2", "add", "s2_conv1", "s2_conv2", "s2_short", "add_1",
        "s3_conv1", "s3_conv2", "s3_short", "add_2", "pool", "fc",
    ]  # fmt: skip
    convolutions = [layer for layer in read.layers if isinstance(layer, Convolution)]
    assert [layer.batch_norm is not None for layer in convolutions] == [True] * 5 + [False] + [True] * 2 + [False]
    assert [layer.activation == RELU for layer in read.layers] == [
        True, True, False, True, True, False, False, True, True, False, False, True, False, False,
    ]  # fmt: skip
    assert [layer.padding for layer in convolutions if layer.stride == (2, 2) and layer.kernel == (3, 3)] == [
        Padding(0, 0, 1, 1)
    ] * 2
    assert read.shapes["relu_6"] == Shape(64, 8, 8)
    assert read.shapes[read.outputs[0]] == Shape(10)
    weights = sum(read.weight_elements(layer) for layer in read.weight_layers)
    biases = sum(layer.output_channels for layer in read.weight_layers if layer.bias is not None)
    gammas = sum(layer.output_channels for layer in read.weight_layers if layer.batch_norm is not None)
    assert weights + biases + 2 * gammas == 78_186
    assert not read.is_chain


def test_dscnn() -> None:
    read = network("dscnn_fsdd")
    assert read.only_input.shape == Shape(1, 49, 10)
    assert read.is_chain
    assert [type(layer) for layer in read.layers] == [Convolution] * 9 + [AveragePool, FullyConnected]
    depthwise = [layer.name for layer in read.layers if isinstance(layer, Convolution) and layer.groups == 64]
    assert depthwise == ["b1_dw", "b2_dw", "b3_dw", "b4_dw"]


def test_autoencoder() -> None:
    read = network("toyadmos_ae")
    assert read.only_input.shape == Shape(640)
    assert [layer.output_channels for layer in read.weight_layers] == [128] * 4 + [8] + [128] * 4 + [640]
    assert all(isinstance(layer, FullyConnected) for layer in read.layers)


def test_mobilenet() -> None:
    read = network("mobilenetv1_050_160_imagenet_deq")
    assert len(read.weight_layers) == 28
    assert all(layer.activation == RELU6 for layer in read.weight_layers[:-1])
    assert read.shapes[read.outputs[0]] == Shape(1001)
    assert read.has_weights


def test_mobilenet_is_read_soon() -> None:
    whole = content("mobilenetv1_050_160_imagenet_deq")
    read_network(whole, "warm")
    began = time.perf_counter()
    read_network(whole, "mobilenet")
    assert time.perf_counter() - began < 0.3


def test_reading_loads_no_more_than_it_needs() -> None:
    program = (
        "import sys\n"
        "from network.reading import read_network\n"
        "assert 'onnx' not in sys.modules\n"
        f"read_network(open({str(MODELS / 'resnet8_cifar10.onnx')!r}, 'rb').read(), 'resnet8')\n"
        "assert not {'torch', 'scipy', 'onnxruntime', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
