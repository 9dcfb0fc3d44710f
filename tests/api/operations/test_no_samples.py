"""Quantization without samples, by the command: what it says, what it refuses, and equal files for equal seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import bitbudget
from api.cli.main import run
from api.operations.no_samples import INPUTS_FILE, options_without_samples
from deploy.files import load
from network.errors import RequestError
from network.json_reading.description import write_json
from qat.data.unseen import UnseenSamples
from qat.options.post_training import NO_POST_TRAINING, PostTrainingOptions
from qat.options.training import TrainingOptions
from qat.synthesis.dataset import NOT_MEASURED
from tests.api.small_files import tiny_json, tiny_network

RULE = ["--flash=400", "--ram=60", "--method=mixpc", "--accounting=paper"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    network = tiny_network()
    layers = tuple(replace(layer, batch_norm=None) for layer in network.weight_layers)
    (tmp_path / "folded.json").write_text(write_json(replace(network, layers=layers), with_weights=True))
    return tmp_path


def trained(place: Path, out: str, *options: str, data: str = "none:-4:4", network: str = "tiny.json") -> int:
    return run(["train", str(place / network), f"--data={data}", f"--out={place / out}", *RULE, *options])


def test_the_network_is_quantized_and_the_report_says_that_nothing_was_measured(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(place, "out") == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(NOT_MEASURED[:40])
    assert "quality was not measured: there are no samples" in " ".join(printed.out.split())
    assert printed.err.startswith("dataset none:-4:4: no samples; inputs are made from the network\n")
    assert printed.err.count(NOT_MEASURED) == 1
    report = json.loads((place / "out" / "report.json").read_text())
    assert report["without_samples"] is True
    assert report["warnings"] == [NOT_MEASURED]
    assert (report["quality"], report["accuracy"], report["measured_against"]) == (None, None, None)
    assert [each["epoch"] for each in report["epochs"]] == [0]
    assert len(set(report["weight_bits"].values())) > 1
    assert load(place / "out").name == "tiny"


def test_equal_seeds_give_equal_files_also_after_an_interruption(place: Path) -> None:
    kept = f"--checkpoints={place / 'kept'}"
    assert trained(place, "one", kept) == 0
    made = np.load(place / "kept" / INPUTS_FILE)
    for checkpoint in (place / "kept").iterdir():
        if checkpoint.name != INPUTS_FILE:
            checkpoint.unlink()
    assert trained(place, "two", kept) == trained(place, "three") == trained(place, "other", "--seed=1") == 0
    assert np.array_equal(np.load(place / "kept" / INPUTS_FILE), made)
    one, two, three, other = (
        {name: (place / out / name).read_bytes() for name in ("weights.safetensors", "network.json", "network.onnx")}
        for out in ("one", "two", "three", "other")
    )
    assert one == two == three
    assert one["weights.safetensors"] != other["weights.safetensors"]


@pytest.mark.parametrize(
    ("options", "data", "network", "expected"),
    [
        (["--epochs=2"], "none:bytes", "tiny.json", "epochs is 2, and the dataset is 'none'"),
        (["--label-offset=1"], "none", "tiny.json", "label_offset is 1, and the dataset has no labels"),
        ([], "none:byte", "tiny.json", "none:byte is not a dataset without samples"),
        ([], "none", "folded.json", "'tiny' has no batch norm"),
    ],
)
def test_what_cannot_be_done_without_samples_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], data: str, network: str, expected: str
) -> None:
    assert trained(place, "out", *options, data=data, network=network) == 2
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not (place / "out").exists()


def test_what_does_not_fit_is_found_out_before_inputs_are_made(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert trained(place, "out", "--flash=100") == 1
    assert "making inputs" not in capsys.readouterr().err


def test_shrink_needs_samples(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shrunk = ["shrink", str(place / "tiny.json"), "--data=none", f"--out={place / 'out'}", "--max-loss=1"]
    assert run([*shrunk, "--accounting=paper"]) == 2
    assert "shrink judges networks by their quality on real samples" in " ".join(capsys.readouterr().err.split())


def test_a_fit_needs_a_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fit", str(place / "tiny.json"), "--data=none", "--flash=400", "--ram=60", "--accounting=paper"]) == 2
    assert "measure a table (bitbudget sensitivity --data none" in " ".join(capsys.readouterr().err.split())


def test_sensitivities_of_made_inputs_have_the_warning(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sensitivity", str(place / "tiny.json"), "--data=none:-4:4", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["warnings"] == [NOT_MEASURED]
    assert set(answer["weights"]) == {"first", "last"}


def test_post_training_is_what_runs_and_given_options_of_it_are_kept() -> None:
    chosen = options_without_samples(TrainingOptions(seed=3))
    assert (chosen.epochs, chosen.seed, chosen.post_training) == (0, 3, PostTrainingOptions())
    given = TrainingOptions(epochs=0, post_training=NO_POST_TRAINING)
    assert options_without_samples(given) == given
    with pytest.raises(RequestError, match="cannot be trained without samples"):
        options_without_samples(TrainingOptions(epochs=1))


def test_python_opens_the_same_datasets() -> None:
    assert bitbudget.dataset("none:bytes").train_x == UnseenSamples.of("none:bytes")
