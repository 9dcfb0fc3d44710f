"""The float training of a small MobileNetV2: what it writes is what it trained, and it continues where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import cifar10, float_mobilenetv2
from benchmarks.float_mobilenetv2 import ONNX_FILE, FloatRun, percent_right, trained
from benchmarks.mobilenetv2_onnx import onnx_of
from benchmarks.mobilenetv2_shape import PIXEL_SCALE, MobileNetV2
from network.layers import Add, Convolution, WeightLayer
from network.network import Network
from network.reading import read_network
from qat.data.augmentation import shift_and_flip
from qat.data.dataset import Dataset
from qat.prepare import float_module


def images(samples: int, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (samples, 32, 32, 3)).astype(np.uint8)
    labels = rng.integers(0, 10, samples)
    return Dataset("noise", pixels, labels, pixels, labels)


def multiply_accumulates(network: Network) -> int:
    total = 0
    for layer in network.layers:
        if isinstance(layer, WeightLayer):
            assert layer.weight is not None
            outputs = network.shapes[layer.output]
            places = outputs.height * outputs.width if isinstance(layer, Convolution) else 1
            total += places * layer.weight.size
    return total


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_the_file_computes_what_the_module_does(seed: int) -> None:
    """Batch norm has statistics of its own here, and pixels enter as they are."""
    torch.manual_seed(seed)
    module = MobileNetV2()
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            for values, low, high in ((part.running_mean, -1, 1), (part.running_var, 0.5, 2), (part.weight, 0.5, 2)):
                values.data.uniform_(low, high)
    module.eval()
    network = read_network(onnx_of(module), "small")
    pixels = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (4, 3, 32, 32)).astype(np.float32))
    with torch.no_grad():
        expected, found = module(pixels * PIXEL_SCALE), float_module(network).eval()(pixels)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_the_file_has_the_shape_of_mobilenetv2() -> None:
    network = read_network(onnx_of(MobileNetV2()), "small")
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    assert all(layer.batch_norm is not None for layer in convolutions)
    assert all(layer.activation.high == 6 for layer in convolutions if not layer.name.endswith("_project"))
    assert all(layer.activation.is_linear for layer in convolutions if layer.name.endswith("_project"))
    assert sum(isinstance(layer, Add) for layer in network.layers) == 5
    assert 4e6 <= multiply_accumulates(network) <= 8e6
    weights = sum(layer.weight.size for layer in network.weight_layers if layer.weight is not None)
    assert 100_000 <= weights <= 400_000


def test_an_interrupted_training_continues_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = images(40, 0)  # one batch, so that each epoch augments once
    whole = trained(dataset, FloatRun(2, 2, 0, None)).state_dict()
    kept = tmp_path / "state.pt"
    calls = iter([shift_and_flip])

    def interrupted(*given: Any) -> torch.Tensor:
        try:
            return next(calls)(*given)
        except StopIteration:
            raise KeyboardInterrupt from None

    with monkeypatch.context() as patch:
        patch.setattr(float_mobilenetv2, "shift_and_flip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(dataset, FloatRun(2, 2, 0, kept))
    assert torch.load(kept)["epoch"] == 1
    continued = trained(dataset, FloatRun(2, 2, 0, kept)).state_dict()
    assert torch.load(kept)["epoch"] == 2
    for name, value in continued.items():
        assert torch.equal(value, whole[name])
    with pytest.raises(click.ClickException, match="2 epochs with seed 0"):
        trained(dataset, FloatRun(3, 3, 0, kept))


def test_accuracy_is_counted_on_all_test_samples() -> None:
    network = read_network(onnx_of(MobileNetV2().eval()), "small")
    dataset = images(7, 1)
    with torch.no_grad():
        pixels = torch.from_numpy(np.asarray(dataset.test_x, dtype=np.float32)).permute(0, 3, 1, 2)
        answers = float_module(network).eval()(pixels).argmax(dim=1).numpy()
    labels = answers.copy()
    labels[:2] = (labels[:2] + 1) % 10
    known = Dataset("noise", dataset.train_x, dataset.train_y, dataset.test_x, labels)
    assert percent_right(network, known) == pytest.approx(100 * 5 / 7)


def test_a_training_that_ends_early_cools_over_its_last_epochs(tmp_path: Path) -> None:
    early = FloatRun(epochs=24, last_epoch=18, seed=0, checkpoint=None)
    assert [early.cooling(done) for done in (0, 14, 16, 17.5, 18)] == [1, 1, 0.5, 0.125, 0]
    assert FloatRun(24, 24, 0, None).cooling(23.9) == 1
    kept = tmp_path / "state.pt"
    dataset = images(8, 0)
    trained(dataset, FloatRun(6, 6, 0, kept))
    with pytest.raises(click.ClickException, match="at least 10"):
        trained(dataset, FloatRun(6, 5, 0, kept))


@pytest.mark.long
@pytest.mark.skipif(not cifar10.FILE.exists(), reason="needs ../shared/data")
def test_the_kept_network_has_the_accuracy_that_its_page_states() -> None:
    content = ONNX_FILE.read_bytes()
    assert len(content) < 2_000_000
    percent = percent_right(read_network(content, ONNX_FILE.stem), cifar10.load())
    assert f"{percent:.2f} %" in (ONNX_FILE.parent / "README.md").read_text()
