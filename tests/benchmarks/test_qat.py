"""What the benchmark of training steps measures: each step trains, and others' networks are the one they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import qat
from benchmarks.brevitas_network import BrevitasNetwork, has_brevitas
from benchmarks.fused_network import FusedNetwork
from benchmarks.qat import loaded_images_per_second, rows_of
from benchmarks.shares import uniform
from benchmarks.trained_float_network import TrainedFloatNetwork
from benchmarks.training_steps import FLOAT, Step, steps
from network.allocation import DEFAULT_WEIGHT_SCHEME, WeightScheme
from network.memory.books import accounting_named
from qat.data.batches import tensor_of
from qat.prepare import float_module
from tests.qat.small_problem import problem, small_network

needs_brevitas = pytest.mark.skipif(not has_brevitas(), reason="needs Brevitas, which is no part of the lock")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_everybody_takes_steps() -> None:
    given = list(steps(small_network(), 4, torch.device("cpu"), compiles=False, with_brevitas=False))
    names = [name for name, _, _ in given]
    assert names[0] == FLOAT
    for scheme in WeightScheme:
        assert f"{scheme}, learned" in names
    rows = rows_of("small", "cpu", given, rounds=2)
    assert [row.name for row in rows] == names
    assert (rows[0].ratio, rows[0].median_ratio) == (1, 1)
    for row in rows:
        assert 0 < row.minimum_seconds <= row.median_seconds
        assert row.compile_seconds is None


def test_a_step_changes_the_network() -> None:
    module = TrainedFloatNetwork(small_network()).train()
    images = tensor_of(problem(8).train_x[:8], module.network)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    called = []
    step = Step(module, optimizer, images, torch.zeros(8, dtype=torch.int64), lambda: called.append(True))
    before = [parameter.detach().clone() for parameter in module.parameters()]
    mean = module.weight_parameters(0).mean.clone()
    assert step() > 0
    assert called == [True]
    assert all(not torch.equal(one, other) for one, other in zip(before, module.parameters(), strict=True))
    assert not torch.equal(mean, module.weight_parameters(0).mean)


def test_the_trained_float_network_is_the_float_network_in_evaluation() -> None:
    network = small_network()
    images = tensor_of(problem(8).train_x[:8], network)
    own = TrainedFloatNetwork(network)
    assert torch.equal(own.eval()(images), float_module(network)(images))
    normalised = own.train().tensors(images)["one.out"]
    assert not torch.allclose(normalised, float_module(network).tensors(images)["one.out"])


@pytest.mark.parametrize("bits", [8, 4])
def test_fused_operators_come_near_the_float_network(bits: int) -> None:
    network = small_network()
    images = tensor_of(problem(32).train_x[:32], network)
    allocation = uniform(network, bits, bits, accounting_named("paper"), DEFAULT_WEIGHT_SCHEME)  # type: ignore[arg-type]  # of BITS
    with torch.no_grad():
        _assert_near(FusedNetwork(network, allocation, images).eval()(images), float_module(network)(images), bits)


@needs_brevitas
@pytest.mark.filterwarnings("ignore:brevitas.fx:DeprecationWarning", "ignore:fast_hadamard", "ignore:Positional args")
@pytest.mark.parametrize("bits", [8, 4])
def test_brevitas_comes_near_the_float_network(bits: int) -> None:
    network, dataset = small_network(), problem(32)
    images = tensor_of(dataset.train_x[:32], network)
    allocation = uniform(network, bits, bits, accounting_named("paper"), DEFAULT_WEIGHT_SCHEME)  # type: ignore[arg-type]  # of BITS
    module = BrevitasNetwork(network, allocation)
    module.calibrate(dataset.train_x[:32])
    with torch.no_grad():
        _assert_near(module.eval()(images), float_module(network)(images), bits)
    assert any("scaling_impl" in name for name, parameter in module.named_parameters() if parameter.requires_grad)


def _assert_near(found: torch.Tensor, expected: torch.Tensor, bits: int) -> None:
    error = float((found - expected).square().mean() / expected.var())
    assert 0 < error < {8: 1e-2, 4: 0.5}[bits]


def test_the_loader_is_timed() -> None:
    assert loaded_images_per_second(small_network(), 4) > 0


def test_a_table_is_shown_from_json(tmp_path: Path) -> None:
    row = {
        "network": "resnet8", "processor": "cpu", "name": FLOAT, "minimum_seconds": 0.25, "median_seconds": 0.5,
        "ratio": 1.0, "median_ratio": 1.0, "compile_seconds": None,
    }  # fmt: skip
    compiled = {**row, "name": "ours, compiled", "ratio": 1.06, "compile_seconds": 41.3}
    loading = [{"network": "resnet8", "images_per_second": 4000.0, "float_images_per_second": 512.0}]
    result = {"torch": "2", "threads": 2, "rounds": 3, "rows": [row, compiled], "loading": loading}
    file = tmp_path / "result.json"
    file.write_text(json.dumps(result))
    ran = CliRunner().invoke(qat.main, ["--table", str(file)])
    assert ran.exit_code == 0, ran.output
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in ran.output.splitlines() if "cpu" in line]
    assert cells == [
        ["resnet8", "cpu", "float", "250.0", "500.0", "1.00", "1.00", ""],
        ["resnet8", "cpu", "ours, compiled", "250.0", "500.0", "1.06", "1.00", "41"],
    ]
    assert "gives 4,000 images a second" in ran.output
