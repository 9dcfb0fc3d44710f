"""QONNX's Quant: weights are rounded as its definition says, activation tensors stay real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from network.layers import ActivationFunction, Convolution, FullyConnected
from network.reading import read_network
from tests.network.onnx_reading.onnx_models import model, node, random, read

NETWORKS = Path(__file__).parents[3].parent / "shared" / "networks"
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


@pytest.mark.skipif(not NETWORKS.is_dir(), reason="the published networks are beside the project")
def test_published_quant() -> None:
    content = (NETWORKS / "minimal" / "quant_of_another_domain.onnx").read_bytes()
    (layer,) = read_network(content, "quant").layers
    weight = numpy_helper.to_array(onnx.load_from_string(content).graph.initializer[0])
    assert isinstance(layer, Convolution)
    assert layer.weight is not None
    np.testing.assert_allclose(layer.weight, np.clip(np.rint(weight / 0.1), -128, 127) * 0.1, rtol=1e-6)
