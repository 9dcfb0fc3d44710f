"""Agreement of the float torch module of a network with onnxruntime and with a naive implementation of each layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest
import torch

from network.errors import InvalidNetwork
from network.layers import Convolution, Shape
from network.reading import read_network
from qat.prepare import float_module
from tests.builders import network_of
from tests.qat.naive import naive_tensors
from tests.qat.zoo import all_kinds

MODELS = Path(__file__).parents[2].parent / "shared" / "models"


@pytest.mark.parametrize(
    ("name", "spread", "tolerance"),
    [
        ("resnet8_cifar10", 100.0, 1e-4),
        ("dscnn_fsdd", 2.0, 1e-4),
        ("toyadmos_ae", 1.0, 1e-4),
        ("mobilenetv1_050_160_imagenet_deq", 1.0, 1e-3),
    ],
)
def test_equals_onnxruntime(name: str, spread: float, tolerance: float) -> None:
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip("needs ../shared/models")
    network = read_network(path.read_bytes(), name)
    samples = np.random.default_rng(0).uniform(0, spread, (3, *network.only_input.format.dims)).astype(np.float32)
    session = onnxruntime.InferenceSession(path)
    (expected,) = session.run(None, {session.get_inputs()[0].name: samples})
    with torch.no_grad():
        inputs = network.only_input.format.to_input_tensor(samples, network.only_input.shape)
        logits = float_module(network)(torch.from_numpy(inputs)).numpy()
    if network.ends_in_softmax:
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        logits /= logits.sum(axis=1, keepdims=True)
    assert np.abs(logits - np.reshape(expected, logits.shape)).max() <= tolerance


@pytest.mark.parametrize("seed", range(6))
def test_every_kind_of_layer_equals_its_definition(seed: int) -> None:
    network = all_kinds(seed)
    images = np.random.default_rng(seed).normal(size=(2, *network.only_input.shape)).astype(np.float32)
    with torch.no_grad():
        tensors = float_module(network).tensors(torch.from_numpy(images))
    for name, expected in naive_tensors(network, images).items():
        assert tensors[name].shape == expected.shape, name
        np.testing.assert_allclose(tensors[name].numpy(), expected, atol=2e-4, rtol=1e-4, err_msg=name)


def test_keeps_only_the_outputs() -> None:
    network = all_kinds(0)
    module = float_module(network)
    images = torch.zeros(1, *network.only_input.shape)
    kept = module._run(images, keep_all=False)
    assert set(kept) == {"logits"}


def test_needs_weights() -> None:
    layer = Convolution(name="bare", inputs=("input",), output="out", output_channels=2, kernel=(1, 1))
    with pytest.raises(InvalidNetwork, match="'bare' has no weights"):
        float_module(network_of([layer], Shape(1, 2, 2)))
