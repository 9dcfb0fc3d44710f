"""The digits example's network: what the file holds, and that its writer writes what torch computes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]  # ships no types
import pytest
import torch

from examples.digits.train_digits import build_network, to_onnx
from qat.data.digits import digits

DIGITS_ONNX = Path(__file__).parents[2] / "examples" / "digits" / "digits.onnx"


def outputs_of(model: bytes, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def test_the_file_keeps_its_batch_norms_and_is_small() -> None:
    model = onnx.load(DIGITS_ONNX)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators == {
        "Conv": 7, "BatchNormalization": 7, "Relu": 7, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1,
    }  # fmt: skip
    assert DIGITS_ONNX.stat().st_size < 50_000


def test_the_file_reads_the_test_images_as_well_as_its_readme_says() -> None:
    dataset = digits()
    images = np.asarray(dataset.test_x[:]).transpose(0, 3, 1, 2).astype(np.float32)
    predicted = outputs_of(DIGITS_ONNX.read_bytes(), images).argmax(axis=1)
    assert (predicted == dataset.test_y).mean() * 100 == pytest.approx(99.17, abs=0.3)


def test_the_writer_writes_what_torch_computes() -> None:
    torch.manual_seed(1)
    network = build_network().eval()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith(("running_mean", "running_var")):
                values.copy_(torch.rand_like(values) + 0.5)
        images = torch.rand(5, 1, 8, 8) * 16
        expected = network(images).numpy()
    written = outputs_of(to_onnx(network).SerializeToString(), images.numpy())
    np.testing.assert_allclose(written, expected, atol=1e-4)
