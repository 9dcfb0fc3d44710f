"""A network that is changed at random is refused, or read as onnxruntime reads it: never read wrongly."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import uses_external_data

from benchmarks.agreement import share_of_range
from benchmarks.onnx_reference import OnnxReference
from benchmarks.reference import IncomparableFile
from network.errors import NetworkError
from network.joined_samples import joined_dims
from network.network import Network
from network.reading import read_network
from tests.network.float_reference import evaluate
from tests.network.onnx_reading.changed_networks import changed
from tests.network.onnx_reading.onnx_models import model, node, positive, random

SHARED: Final = Path(__file__).parents[4] / "shared"
MAX_FILE_BYTES: Final = 130_000
LARGEST_SHARE: Final = 2e-3
"""Largest difference as a share of the output's range."""
ROUNDING: Final = 1e-5
"""Largest difference by rounding as a share of the magnitude: onnxruntime computes in float32, and some networks add a
large constant to small values."""


def chain() -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c b b b v", "n"),
        node("Relu", "n", "r"),
        node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "p", "f"),
        node("Gemm", "f m", "y", transB=1),
    ]
    return model(
        nodes, ("N", 3, 8, 8), {"w": random(4, 3, 3, 3), "b": positive(4), "v": positive(4), "m": random(5, 64)}
    )


def branches() -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", "c", pads=[1, 1, 1, 1]),
        node("Relu", "c", "r"),
        node("Conv", "r d", "e", group=4, pads=[1, 1, 1, 1]),
        node("Add", "r e", "a"),
        node("Conv", "a q", "g"),
        node("Concat", "g a", "k", axis=1),
        node("AveragePool", "k", "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", "p", "h"),
        node("Flatten", "h", "f"),
        node("Gemm", "f m", "y", transB=1),
    ]
    weights = {"w": random(4, 3, 3, 3), "d": random(4, 1, 3, 3), "q": random(3, 4, 1, 1), "m": random(5, 7)}
    return model(nodes, ("N", 3, 9, 7), weights)


def means() -> onnx.ModelProto:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c"),
        node("Clip", "c low high", "r"),
        node("ReduceMean", "r", "h", axes=[2, 3], keepdims=0),
        node("MatMul", "h m", "z"),
        node("Add", "z b", "y"),
    ]
    constants = {
        "w": random(4, 2, 3, 3),
        "low": np.float32(0),
        "high": np.float32(6),
        "m": random(4, 3),
        "b": random(3),
    }
    return model(nodes, ("N", 6, 7, 2), constants)


def published() -> list[onnx.ModelProto]:
    """Return the small published networks with their weights inside, where they are beside the project."""
    paths = sorted(path for folder in ("networks", "troubles") for path in (SHARED / folder).rglob("*.onnx"))
    small = [path.read_bytes() for path in paths if path.stat().st_size <= MAX_FILE_BYTES]
    models = [onnx.load_from_string(each) for each in small if not each.startswith(b"version https://git-lfs")]
    return [each for each in models if not any(uses_external_data(tensor) for tensor in each.graph.initializer)]


def difference(network: Network, changed_model: onnx.ModelProto, seed: int) -> float:
    """Return the largest difference between an output and onnxruntime's as a share of its range, 0 if it is rounding.

    The order of the elements is not compared: the host brings it into the order of the file.

    Raises:
        IncomparableFile: If onnxruntime cannot run the network.
    """
    reference = OnnxReference(changed_model, [each.name for each in network.inputs])
    if reference.is_quantized:
        raise IncomparableFile("a quantized network differs by its rounding")
    worst = 0.0
    for sample in reference.samples(2, seed=seed):
        found = evaluate(network, sample.reshape(1, *joined_dims(network.inputs)))
        for output, numbers in zip(network.outputs, reference.outputs_of(sample, network), strict=True):
            expected, values = np.sort(numbers), np.sort(found[output].ravel())
            assert values.shape == expected.shape, output
            if not np.isfinite(expected).all():
                continue
            if abs(expected - values).max() > ROUNDING * abs(expected).max():
                worst = max(worst, share_of_range(expected, values))
    return worst


def check(originals: list[onnx.ModelProto], count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    compared = 0
    for number in range(count):
        built, changes = changed(originals[number % len(originals)], rng)
        try:
            network = read_network(built.SerializeToString(), "changed")
            share = difference(network, built, number)
        except (NetworkError, IncomparableFile):
            continue
        assert share < LARGEST_SHARE, f"network {number}: {', '.join(changes)}"
        compared += 1
    assert compared > count // 10


def test_built_networks() -> None:
    check([chain(), branches(), means()], 600, seed=1)


@pytest.mark.long
def test_built_and_published_networks() -> None:
    check([chain(), branches(), means(), *published()], 8_000, seed=2)
