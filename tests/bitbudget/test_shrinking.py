"""The function `bitbudget.shrink`: its result is that of the command, and its network is loaded from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bitbudget
from tests.api.small_files import npz, tiny_dataset, tiny_network

QUICK = {"threads": 1, "post_training": {"rounding_steps": 4}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data.npz").write_bytes(tiny_dataset(200))
    return tmp_path / "data.npz"


def test_shrink_writes_what_load_reads(data: Path, tmp_path: Path) -> None:
    network = tiny_network()
    seen: list[bitbudget.Progress] = []
    found = bitbudget.shrink(
        network, data, out=tmp_path / "out", max_loss=8.0, points=6, accounting="paper", sensitivity="weights",
        training=QUICK, progress=seen.append,
    )  # fmt: skip
    assert found.best is not None
    assert found.best.loss is not None
    assert found.best.loss <= 8
    assert found.best.flash_bytes == min(point.flash_bytes for point in found.points if point.keeps_limit)
    integers = bitbudget.load(tmp_path / "out")
    bits = {layer.name: getattr(layer, "weight_bits", None) for layer in integers.layers}
    assert {name: bits[name] for name in found.best.weight_bits} == found.best.weight_bits
    assert json.loads((tmp_path / "out" / "report.json").read_text())["chosen"] == found.report.chosen
    assert "the least flash found" in str(found) or "even the smallest point" in str(found)
    assert repr(found).startswith("<ShrinkResult of small: ") or repr(found).startswith("<ShrinkResult of ")
    assert {progress.point for progress in seen} >= {None, 1}


def test_the_options_of_a_training_are_accepted_as_they_are(data: Path, tmp_path: Path) -> None:
    options = bitbudget.TrainingOptions(epochs=1, batch_size=32, threads=1)
    found = bitbudget.shrink(
        tiny_network(), data, out=tmp_path / "out", max_loss=90.0, points=2, sensitivity="weights", training=options
    )
    assert found.report.result is not None
    assert len(found.report.result.epochs) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither is given"),
        ({"max_loss": 1.0, "min_quality": 1.0}, "both are given"),
        ({"min_quality": 30.0}, "give max_loss"),
        ({"max_loss": 1.0, "minimize": "cycles"}, "minimize: expected one of"),
        ({"max_loss": 1.0, "training": {"requantization": "thresholds"}}, "would change the bytes"),
    ],
)
def test_what_is_wrong_is_named(data: Path, tmp_path: Path, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(bitbudget.RequestError, match=message):
        bitbudget.shrink(tiny_network(), data, out=tmp_path / "out", **arguments)  # type: ignore[arg-type]  # wrong ones
    assert not (tmp_path / "out").exists()


def test_a_network_that_does_not_fit_is_an_error_with_the_certificate(data: Path, tmp_path: Path) -> None:
    with pytest.raises(bitbudget.DoesNotFit):
        bitbudget.shrink(tiny_network(), data, out=tmp_path / "out", max_loss=1.0, flash=100)


def test_samples_without_labels_lose_agreement_or_have_a_smallest_quality(tmp_path: Path) -> None:
    x = np.random.default_rng(3).standard_normal((200, 1, 4, 4)).astype(np.float32)
    (tmp_path / "x.npz").write_bytes(npz(train_x=x))
    found = bitbudget.shrink(
        tiny_network(), tmp_path / "x.npz", out=tmp_path / "out", max_loss=10.0, points=4, sensitivity="weights",
        training={**QUICK, "task": "classes"},
    )  # fmt: skip
    assert found.report.float_quality == 100
    assert found.best is not None
    assert found.best.loss == pytest.approx(100 - found.best.quality)
    assert found.best.test is None
