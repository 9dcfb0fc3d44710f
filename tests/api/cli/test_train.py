"""`bitbudget train`: a whole training job in one process, and the files that remain if it fails."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from api.cli.files import read_dataset, read_network_file
from api.cli.main import run
from api.operations.train import MainJob, run_main_job
from api.schemas.fit import FitRequest
from deploy.files import load
from network.memory.books import BookName
from qat.options.training import TrainingOptions
from qat.progress import silent
from tests.api.live_service import ROOT
from tests.api.small_files import tiny_dataset, tiny_json, wide_json

RULE = ["--method=mixpc", "--accounting=paper"]
BUDGET = ["--flash=400", "--ram=60", *RULE]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    (tmp_path / "counts.json").write_bytes(tiny_json(with_weights=False))
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    (tmp_path / "labels.npz").write_bytes(tiny_dataset(test_y=np.full(30, 99)))
    return tmp_path


def arguments(place: Path, *options: str, network: str = "tiny.json", data: str = "data.npz") -> list[str]:
    return ["train", str(place / network), f"--data={place / data}", f"--out={place / 'out'}", *options]


def test_a_network_that_exceeds_its_budget_after_the_training_is_kept(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The budget is what the solver counts, to the last byte; conversion needs wide constants for a layer."""
    (place / "wide.json").write_bytes(wide_json())
    eight = ["--weight-bits=*=8", "--activation-bits=*=8", "--sensitivity=weights"]
    device = ["--device=stm32f411re", "--optimize=O2", "--ram=20kB", *eight]
    assert run(["fit", str(place / "wide.json"), *device, "--flash=100kB", "--json"]) == 0
    flash_bytes = int(json.loads(capsys.readouterr().out)["memory"]["flash_bytes"])
    train = arguments(place, *device, f"--flash={flash_bytes}", "--epochs=1", "--threads=1", network="wide.json")
    assert run(train) == 1
    text = " ".join(capsys.readouterr().out.split())
    report = json.loads((place / "out" / "report.json").read_text())
    excess, ram_excess = (region["excess_bytes"] for region in report["regions"])
    assert (report["fits"], report["certificate"], ram_excess) == (False, None, 0)
    assert excess == report["memory"]["flash_bytes"] - flash_bytes > 8 * 8  # 8 channels with 8 more bytes, and code
    assert "FITS" not in text
    said = f"DOES NOT FIT: after the conversion the network needs {excess:.0f} bytes of flash more than the budget"
    assert said in text
    reasons = {each["layer"]: each["wide_because"] for each in report["conversion"]["layers"]}
    assert reasons["last"] is None
    assert f"because 1 layer needs wide constants ('first': {reasons['first']})" in report["overflow"]
    assert "train again with these layers as wide_layers" in report["overflow"]
    assert report["overflow"] in report["warnings"]
    assert load(place / "out").name == "tiny"
    linked = place / "out" / "linked.json"
    if linked.exists():  # there is a compiler
        answer = json.loads(linked.read_text())
        assert (answer["excess_bytes"], answer["is_as_predicted"], answer["is_good"]) == (
            {"flash": excess},
            True,
            False,
        )
    # What the report says helps: the solver then counts the wide layer, to the last byte.
    assert run([*train, "--wide-layer=first", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["certificate"]["missing_bytes"] == excess
    assert run([*train, "--wide-layer=first", f"--flash={flash_bytes + excess:.0f}", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["fits"], again["overflow"]) == (True, None)
    assert again["memory"]["flash_bytes"] == flash_bytes + excess
    assert run([*train, "--wide-layer=nothing"]) == 2
    assert "wide_layers has 'nothing', which is not a layer of the network" in capsys.readouterr().err


def test_the_whole_job(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(place, *BUDGET, "--epochs=2", "--batch-size=32", "--threads=1", "--json")) == 0
    output = capsys.readouterr()
    assert output.err == "", "--json is quiet"
    answer = json.loads(output.out)
    assert run(["fit", str(place / "tiny.json"), *BUDGET, "--json"]) == 0
    fitted = json.loads(capsys.readouterr().out)
    assert {key: answer[key] for key in fitted} == fitted
    assert set(answer["accuracy"]) == {"float", "fake_quantized", "integer_only", "top1_agreement"}
    assert all(0 <= percent <= 100 for percent in answer["accuracy"].values())
    assert [epoch["epoch"] for epoch in answer["epochs"]] == [0, 1, 2]
    assert any("few optimizer steps: 6 " in warning for warning in answer["warnings"])
    out = place / "out"
    assert {each["name"]: each["size_bytes"] for each in answer["artifacts"]} == {
        path.name: path.stat().st_size for path in out.iterdir()
    }
    report = json.loads((out / "report.json").read_text())
    assert report == {key: value for key, value in answer.items() if key != "artifacts"}
    assert json.loads((out / "memory.json").read_text()) == answer["memory"]
    bits = {layer.name: getattr(layer, "weight_bits", None) for layer in load(out).layers}
    assert {name: bits[name] for name in answer["weight_bits"]} == answer["weight_bits"]

    # a second run replaces the files, and shows progress and accuracies
    assert run(arguments(place, "--flash=569", "--ram=144", *RULE, "--epochs=0")) == 0
    output = capsys.readouterr()
    assert "calibrating" in output.err
    assert "dataset data: 96 training samples, 30 test samples, 3 classes\n  0 " in output.err
    for words in ("float", "fake-quantized", "integer-only", "FITS", "weights.safetensors"):
        assert words in output.out
    assert json.loads((out / "report.json").read_text())["weight_bits"] == {"first": 8, "last": 8}
    assert sorted(path.name for path in place.iterdir()) == [
        "counts.json", "data.npz", "labels.npz", "out", "tiny.json",
    ]  # fmt: skip


def test_warnings_are_printed_on_standard_error_before_the_training(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(place, *BUDGET, "--epochs=1", "--batch-size=32", "--threads=1")) == 0
    output = capsys.readouterr()
    assert "warning: " not in output.out
    before, few_steps, after = output.err.partition("warning: the whole training has few optimizer steps: 3 (epochs: 1")
    assert few_steps
    assert "training  epoch" not in before
    assert "training  epoch 1 of 1" in after


def test_the_recipe_is_printed_before_the_training_and_is_in_the_report(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(place, *BUDGET, "--epochs=1", "--batch-size=32", "--threads=1")) == 0
    output = capsys.readouterr()
    told, _, training = output.err.partition("training  epoch 1 of 1")
    chosen = json.loads((place / "out" / "report.json").read_text())["recipe"]
    lines = [f"{each['option']}: {each['value']} ({each['reason']})" for each in chosen]
    assert {each["option"] for each in chosen} >= {"best_by", "post_training", "relative_rates"}
    assert not {each["option"] for each in chosen} & {"epochs", "batch_size"}
    for line in lines:
        assert f"recipe: {line}\n" in told
        assert f"  {line}\n" in output.out
    assert "recipe: " not in training
    assert " (float " in training


@pytest.mark.parametrize(
    "options", [["--epochs=0"], ["--epochs=0", "--post-training", "--post-training-rounding-steps=5"]]
)
def test_calibration_samples_alone_are_enough(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    samples = np.load(place / "data.npz")["train_x"]
    np.savez(place / "samples.npz", train_x=samples)
    given = arguments(place, *BUDGET, *options, "--threads=1", data="samples.npz")
    assert run(given) == 0
    output = capsys.readouterr()
    assert "dataset samples: 96 training samples, no test set, no labels" in output.err
    assert "quality was not measured: the dataset has no test set" in output.out
    assert " %\n" not in output.out
    assert " dB\n" not in output.out
    report = json.loads((place / "out" / "report.json").read_text())
    assert (report["accuracy"], report["measured_against"]) == (None, None)
    assert report["learned_from"] == "float_network"
    assert run([*given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] is None


@pytest.mark.parametrize(
    ("options", "network", "data", "exit_code", "expected"),
    [
        (["--flash=200", "--ram=60", *RULE], "tiny.json", "data.npz", 1, "DOES NOT FIT"),
        ([*BUDGET], "counts.json", "data.npz", 2, "has no weights"),
        ([*BUDGET], "tiny.json", "labels.npz", 2, "99"),
        ([*BUDGET], "tiny.json", "tiny.json", 2, "is not a dataset of a known format"),
        ([*BUDGET], "tiny.json", "nothing.npz", 2, "there is no file"),
        ([*BUDGET], "nothing.onnx", "data.npz", 2, "does not exist"),
        ([*BUDGET, "--epochs=-1"], "tiny.json", "data.npz", 2, "'--epochs': -1 is not in the range 0<=x<=10000"),
        ([*BUDGET, "--regime=wild"], "tiny.json", "data.npz", 2, "'--regime': 'wild' is not one of 'constant', 'step'"),
        (
            [*BUDGET, "--activation-range=wide"],
            "tiny.json",
            "data.npz",
            2,
            "'--activation-range': 'wide' is not",
        ),
        ([*BUDGET, "--epochs=many"], "tiny.json", "data.npz", 2, "'many' is not a valid integer"),
    ],
)
def test_what_cannot_be_done_leaves_nothing(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    network: str,
    data: str,
    exit_code: int,
    expected: str,
) -> None:
    before = sorted(place.rglob("*"))
    assert run(arguments(place, *options, network=network, data=data)) == exit_code
    output = capsys.readouterr()
    assert expected in (output.out if exit_code == 1 else output.err)
    if exit_code == 2:
        assert (output.out, output.err.count("\n")) == ("", 1)
    assert sorted(place.rglob("*")) == before


def test_files_of_others_are_never_touched(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = place / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")
    assert run(arguments(place, *BUDGET)) == 2
    assert "has files other than an earlier result" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["thesis.tex"]
    (place / "file").write_text("")
    assert run([*arguments(place, *BUDGET), f"--out={place / 'file'}"]) == 2
    assert "is a file" in capsys.readouterr().err
    assert run([*arguments(place, *BUDGET), f"--out={place / 'no' / 'where'}"]) == 2
    assert "cannot write into" in capsys.readouterr().err


def test_an_interrupted_training_leaves_nothing(place: Path) -> None:
    before = sorted(place.rglob("*"))
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", *arguments(place, *BUDGET, "--epochs=10000")],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("training"):
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == ""
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == "bitbudget: interrupted; incomplete files were removed"
    assert sorted(place.rglob("*")) == before


def test_an_interrupted_job_goes_on_with_the_sensitivities_that_it_measured(place: Path) -> None:
    """New measurements might differ in the last digit, so that other bits are chosen and the checkpoint is invalid."""
    network, name = read_network_file(str(place / "tiny.json"))
    job = MainJob(
        network=network,
        network_name=name,
        request=FitRequest(flash=300, ram=1000, accounting=BookName.PAPER),
        dataset=read_dataset(str(place / "data.npz")),
        options=TrainingOptions(epochs=0, threads=1),
    )
    kept = place / "checkpoint" / "sensitivity.json"
    first, _ = run_main_job(job, place / "first", report=silent, checkpoint_directory=kept.parent)
    assert first.sensitivity == "fisher"
    table = json.loads(kept.read_text())
    even = {"8": 0, "4": 1, "2": 2}
    table["weights"] = {"first": {"8": 0, "4": 100, "2": 200}, "last": even}
    (kept.parent / "checkpoint.safetensors").unlink()
    kept.write_text(json.dumps(table | {"method": "kept"}))
    second, _ = run_main_job(job, place / "second", report=silent, checkpoint_directory=kept.parent)
    assert (second.sensitivity, second.weight_bits) == ("kept", {"first": 8, "last": 2})
