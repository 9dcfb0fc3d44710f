"""Test the host program of networks with several inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # it ships no types
import pytest

from deploy.interpreter import quantize_inputs
from network.errors import InvalidNetwork
from network.joined_samples import joined_input
from network.json_reading.description import read_json, write_json
from tests.deploy.host_forms import CONSTANTS, HEAD
from tests.deploy.host_runs import (
    imported,
    outputs_by_host,
    parts_of,
    run_host,
    sample_of,
    without_layers,
    write_host,
)
from tests.deploy.test_host_program import assert_equal
from tests.network.onnx_reading.onnx_models import node, random, read
from tests.network.onnx_reading.test_several_inputs import several


def image_and_vector(*, reads_samples: bool) -> onnx.ModelProto:
    """Return a model of an image with its channels last, which is scaled, and a vector; the host computes "y" and "p".

    Args:
        reads_samples: Whether the host reads the vector again.
    """
    nodes = [node("Sub", "x low", "d"), node("Mul", "d half", "n"), node("Transpose", "n", "t", perm=[0, 3, 1, 2]),
             node("Conv", "t w", "c"), node("Flatten", "c", "f"), node("Concat", "f z", "k", axis=1),
             node("Gemm", "k m", "g"), node("Sigmoid", "g", "p"),
             node("Sub", "p z" if reads_samples else "p g", "y")]  # fmt: skip
    constants = {"w": CONSTANTS["w"], "m": random(222, 6) * np.float32(0.05), "low": np.float32(0.3),
                 "half": np.float32(0.5)}  # fmt: skip
    return several(nodes, {"x": (1, 8, 8, 3), "z": (1, 6)}, constants, outputs="y p")


@pytest.mark.parametrize("reads_samples", [True, False])
def test_several_inputs(*, reads_samples: bool, tmp_path: Path) -> None:
    built = image_and_vector(reads_samples=reads_samples)
    network = read(built)
    assert network.input_names == ("x", "z")
    restored = read_json(write_json(network, with_weights=True).encode(), "restored")
    assert restored.host_graph == network.host_graph
    write_host(restored, tmp_path)
    sample = sample_of(network, np.random.default_rng(4))
    image, vector = parts_of(network, sample)
    session = onnxruntime.InferenceSession(built.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x": image[None], "z": vector[None]})
    for wanted, found in zip(expected, outputs_by_host(network, sample, tmp_path), strict=True):
        assert_equal(wanted, found)
    integers = without_layers(network)
    codes = imported(tmp_path).before([image, vector])
    quantized = quantize_inputs(integers, joined_input(sample[None], network.inputs))
    for name, each in zip(network.input_names, codes, strict=True):
        np.testing.assert_array_equal(each, quantized[name][0])
    np.save(tmp_path / "x.npy", image)
    np.save(tmp_path / "z.npy", vector)
    np.save(tmp_path / "g.npy", np.arange(6, dtype=np.uint8).reshape(1, 1, 6))
    run_host(tmp_path, "before", "x.npy", "z.npy", "codes.npz")
    run_host(tmp_path, "after", *(["x.npy", "z.npy"] if reads_samples else []), "g.npy", "outputs.npz")
    with np.load(tmp_path / "codes.npz") as stored:
        np.testing.assert_array_equal(stored["arr_1"], codes[1])
    with np.load(tmp_path / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs["arr_1"][0], 1 / (1 + np.exp(-(np.arange(6) - 3) * 0.25)), rtol=1e-5)


def test_a_sample_is_read_from_an_input_only() -> None:
    network = read(image_and_vector(reads_samples=True))
    assert network.host_graph is not None
    reads = tuple(replace(each, tensor="c") if each.is_sample else each for each in network.host_graph.reads)
    with pytest.raises(InvalidNetwork, match="'c', which is not an input of the network; expected one of x, z"):
        replace(network, host_graph=replace(network.host_graph, reads=reads))


def test_an_input_that_the_host_alone_reads(tmp_path: Path) -> None:
    nodes = [*HEAD[:4], node("Mul", "s z", "y")]
    network = read(several(nodes, {"x": (1, 3, 8, 8), "z": (1, 6)}, CONSTANTS))
    assert network.input_names == ("x",)
    assert network.host_graph is None, "the program has no parameter for the sample of this input"
    assert b"# Not in this file: " in write_host(network, tmp_path)["host.py"]
