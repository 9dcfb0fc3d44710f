"""The float training of a plain network: what it writes is what it trained, and the task that it belongs to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import digits
from benchmarks.float_mobilenetv2 import percent_right
from benchmarks.float_plain import FEATURE_SCALE, MOST_SHIFTED, ONNX_FILE, PlainNetwork, onnx_of, shifted, trained
from benchmarks.tasks import task_named
from network.layers import Convolution
from network.reading import read_network
from qat.data.dataset import Dataset
from qat.prepare import float_module
from qat.training.recipe.batch_norm import has_batch_norm


def recordings(samples: int, seed: int) -> Dataset:
    rng = np.random.default_rng(seed)
    labels = np.arange(samples) % 10
    features = rng.normal(0, 16, (samples, *digits.FEATURES)).astype(np.float32)
    features[np.arange(samples), 0, :, labels] += 40  # the class is the loudest frequency
    return Dataset("noise", features, labels, features, labels)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_the_file_computes_what_the_module_does(seed: int) -> None:
    torch.manual_seed(seed)
    module = PlainNetwork().eval()
    network = read_network(onnx_of(module), "plain")
    assert not has_batch_norm(network)
    assert len([layer for layer in network.layers if isinstance(layer, Convolution)]) == 4
    features = torch.randn(4, *digits.FEATURES) / FEATURE_SCALE
    with torch.no_grad():
        expected, found = module(features * FEATURE_SCALE), float_module(network).eval()(features)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_training_learns_and_repeats() -> None:
    dataset = recordings(200, 0)
    first, second = (onnx_of(trained(dataset, 10, seed=1)) for _ in range(2))
    assert first == second
    assert percent_right(read_network(first, "plain"), dataset) > 90


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_a_shift_moves_time_alone_and_repeats_the_end(seed: int) -> None:
    length = digits.FEATURES[1]
    steps = torch.arange(length, dtype=torch.float32)[None, None, :, None].expand(6, *digits.FEATURES).clone()
    moved = shifted(steps, np.random.default_rng(seed))
    assert torch.equal(moved, moved[..., :1].expand_as(moved))
    for line in moved[:, 0, :, 0]:
        move = int(line[length // 2]) - length // 2
        assert abs(move) <= MOST_SHIFTED
        assert line.tolist() == [min(max(place + move, 0), length - 1) for place in range(length)]


@pytest.mark.skipif(not digits.FILE.exists(), reason="needs ../shared/data")
def test_the_kept_network_has_the_accuracy_that_its_page_states() -> None:
    task = task_named("plain")
    assert len(ONNX_FILE.read_bytes()) < 100_000
    assert task.is_quick
    percent = percent_right(task.network, task.dataset)
    assert f"{percent:.2f} %" in (ONNX_FILE.parent / "README.md").read_text()
