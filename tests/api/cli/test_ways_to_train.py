"""`bitbudget train` with options: overrides are counted, labels may be missing, checkpoints are resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.cli.main import run
from deploy.files import load
from deploy.integer_network import IntegerConvolution
from tests.api.small_files import npz, tiny_dataset, tiny_json

BUDGET = ["--flash=5600", "--ram=2000", "--scheme=PerChannelsAsymMinMax", "--sensitivity=weights"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    return tmp_path


def trained(place: Path, capsys: pytest.CaptureFixture[str], *options: str, budget: list[str] = BUDGET) -> Any:
    arguments = ["train", str(place / "tiny.json"), f"--data={place / 'data.npz'}", f"--out={place / 'out'}"]
    code = run([*arguments, *budget, "--epochs=1", "--batch-size=32", "--threads=1", "--json", *options])
    captured = capsys.readouterr()
    assert code in {0, 2}
    return json.loads(captured.out) if code == 0 else captured.err


def with_overrides(place: Path, **overrides: dict[str, str]) -> str:
    (place / "training.json").write_text(json.dumps({"overrides": overrides}))
    return f"--training-file={place / 'training.json'}"


def test_the_schemes_of_overrides_are_trained_counted_and_reported(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = trained(place, capsys)
    changed = trained(
        place, capsys, with_overrides(place, first={"weights": "PerLayerAsymMinMax", "folding": "folding_weights"})
    )
    assert changed["schemes"]["first"] == "PerLayerAsymMinMax"
    assert changed["foldings"]["first"] == "folding_weights"
    assert changed["schemes"]["last"] == plain["schemes"]["last"]
    assert changed["memory"]["flash_bytes"] < plain["memory"]["flash_bytes"], "one zero point for the layer"
    assert changed["regions"][0]["required_bytes"] == changed["memory"]["flash_bytes"]
    first = next(layer for layer in load(place / "out").layers if layer.name == "first")
    assert isinstance(first, IntegerConvolution)
    assert len(np.unique(first.weight_zero_point)) == 1


def test_overrides_that_take_too_much_are_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    budget = ["--flash=5600", "--ram=2000", "--method=mixpl"]
    fits = trained(place, capsys, budget=budget)
    tight = [f"--flash={fits['memory']['flash_bytes']:.0f}", "--ram=2000", "--method=mixpl"]
    assert trained(place, capsys, budget=tight)["fits"]
    error = trained(
        place, capsys, with_overrides(place, first={"weights": "PerChannelsAsymMinMax", "folding": "ICN"}),
        budget=tight,
    )  # fmt: skip
    assert "with the weight schemes in overrides, the network needs" in error
    assert "(reserved_flash)" in error


def test_without_labels_agreement_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    samples = {part: rng.standard_normal((40, 1, 4, 4)).astype(np.float32) for part in ("train_x", "test_x")}
    (place / "data.npz").write_bytes(npz(**samples))
    answer = trained(place, capsys, "--post-training-rounding-steps=10", "--task=classes")
    assert (answer["learned_from"], answer["measured_against"]) == ("float_network", "float_network")
    assert answer["accuracy"]["float"] == 100.0
    arguments = ["train", str(place / "tiny.json"), f"--data={place / 'data.npz'}", f"--out={place / 'out'}"]
    assert run([*arguments, *BUDGET, "--epochs=0", "--threads=1", "--task=classes"]) == 0
    assert "agreement with the float network on the test set" in capsys.readouterr().out
    assert run([*arguments, *BUDGET, "--epochs=0", "--threads=1"]) == 0
    output = capsys.readouterr().out
    assert "task: the outputs of the float network" in output
    assert "signal-to-noise ratio against the float network on the test set" in output
    assert "%\n" not in output.split("task:")[1]


def test_checkpoints_are_gone_on_from(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = f"--checkpoints={place / 'checkpoints'}"
    first = trained(place, capsys, checkpoints)
    again = trained(place, capsys, checkpoints)
    # the epochs were not trained again: their seconds are those that were kept
    assert again["epochs"] == first["epochs"]
    assert "belongs to a run with another" in trained(place, capsys, checkpoints, "--seed=1")
