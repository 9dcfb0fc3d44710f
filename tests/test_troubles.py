"""Troubles of people who do this job, each run by the command on its file beside the project (`../shared/troubles`).

Other members of each kind are tested in the rooms; the table at the end names those tests.
"""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.cli.main import run

SHARED = Path(__file__).parents[2] / "shared"
TROUBLES = SHARED / "troubles"
BUDGET = ("--flash=1MB", "--ram=1MB")
QUICK = (*BUDGET, "--threads=1", "--sensitivity=weights")

pytestmark = pytest.mark.skipif(not TROUBLES.is_dir(), reason="the troubles are beside the project, not in it")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def called(name: str, network: str, *options: str, data: str | None = None) -> tuple[int, str, str]:
        arguments = [name, str(TROUBLES / network), *options]
        if data is not None:
            arguments += ["--data", str(TROUBLES / data)]
        if name == "train":
            arguments += ["--out", str(tmp_path / "out")]
        code = run(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return called


def report(command: Any, network: str, data: str, *options: str) -> dict[str, Any]:
    code, output, error = command("train", network, *QUICK, *options, "--json", data=data)
    assert code == 0, error
    found: dict[str, Any] = json.loads(output)
    return found


def test_1_split_folders_are_no_classes(command: Any) -> None:
    for data in ("folders_set", "folders_good"):
        assert report(command, "colours.onnx", data, "--epochs=0")["accuracy"]["float"] == 100


def test_2_a_regression_is_judged_by_its_error(command: Any) -> None:
    options = ("--weight-bits=*=2", "--activation-bits=*=2", "--epochs=0", *BUDGET)
    code, output, _ = command("train", "regression.onnx", *options, data="regression.npz")
    assert code == 0
    assert "signal-to-noise ratio against the float network" in output
    assert "%\n" not in output.split("task:")[1]
    assert "summed sensitivity (fisher) 0," not in output


def test_3_a_layer_that_never_fires_is_the_constant_zero(command: Any) -> None:
    assert report(command, "dead_branch.onnx", "dead_branch.npz", "--epochs=0")["accuracy"]["integer_only"] == 100


@pytest.mark.parametrize(
    "network", ["nhwc_then_mean.onnx", "mean_then_nhwc.onnx", "dead_head.onnx", "external/model.onnx"]
)
def test_4_11_13_networks_are_read(command: Any, network: str) -> None:
    code, output, error = command("fit", network, *BUDGET)
    assert code == 0, error
    assert "FITS" in output


def test_5_a_missing_normalisation_is_said_and_can_be_declared(command: Any) -> None:
    found = report(command, "colours01.onnx", "folders_good", "--epochs=0")
    assert any("near chance" in warning and "normalisation" in warning for warning in found["warnings"])
    declared = report(command, "colours01.onnx", "folders_good", "--epochs=0", f"--input-scale={1 / 255}")
    assert declared["accuracy"]["float"] == 100
    assert not any("near chance" in warning for warning in declared["warnings"])


def test_6_spikes_are_said_and_the_range_can_be_chosen(command: Any, tmp_path: Path) -> None:
    warnings = report(command, "sensor.onnx", "spikes.npz", "--epochs=0")["warnings"]
    assert any("rare values widen the range of the input" in warning for warning in warnings)
    chosen = {"range_setting": "percentile", "range_percentile": 99.0, "epochs": 5}
    (tmp_path / "training.json").write_text(json.dumps(chosen))
    found = report(command, "sensor.onnx", "spikes.npz", f"--training-file={tmp_path / 'training.json'}")
    assert found["accuracy"]["integer_only"] > 70


def test_7_features_in_different_units_get_their_own_scale(command: Any) -> None:
    assert report(command, "sensor_raw.onnx", "raw_units.npz", "--epochs=1")["accuracy"]["integer_only"] > 95


@pytest.mark.parametrize("data", ["parquet_names", "parquet_numbers"])
def test_8_parquet_labels_of_other_types_are_classes(command: Any, data: str) -> None:
    found = report(command, "colours.onnx", data, "--epochs=0")
    assert (found["learned_from"], found["measured_against"]) == ("labels", "labels")
    assert found["accuracy"]["float"] < 100  # the labels of the file are not those of its images


def test_9_shared_weights_count_once(command: Any) -> None:
    code, output, _ = command("fit", "tied.onnx", "--flash=16kB", "--ram=64kB", "--weight-bits=*=8")
    assert code == 0
    assert "FITS" in output


def test_10_torch_modules_in_channels_last_are_read() -> None:
    done = subprocess.run(
        [sys.executable, str(TROUBLES / "torch_channels_last.py")], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[1], timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused" not in done.stdout.lower()


def test_12_a_normalisation_one_by_one_is_named(command: Any) -> None:
    code, _, error = command("fit", "mel_norm.onnx", *BUDGET)
    assert code == 0 or "normaliz" in error


def test_14_tiny_weights_under_a_large_bias_are_the_nearest_constant(command: Any) -> None:
    assert report(command, "tiny_weights.onnx", "tiny_weights.npz", "--epochs=0")["accuracy"]["integer_only"] == 100


def test_15_megabits_are_refused(command: Any) -> None:
    code, _, error = command("fit", "colours.onnx", "--flash=4Mb", "--ram=64kB")
    assert code == 2
    assert "'Mb' means bits" in error


def test_19_all_causes_are_listed_the_most_fundamental_first(command: Any) -> None:
    code, _, error = command("fit", "../networks/gtcrn.onnx", *BUDGET)
    assert code == 2
    assert error.index("GRU") < 600
    assert error.count(";") > 3


def test_20_dead_channels_survive_post_training(command: Any, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).random((12, 96, 96, 3), dtype=np.float32)
    np.savez(tmp_path / "data.npz", train_x=samples)
    found = report(
        command, "../networks/vww_96_float.tflite", str(tmp_path / "data.npz"), "--epochs=0",
        "--post-training-rounding-steps=1",
    )  # fmt: skip
    assert found["quality"] is None


def test_22_calibration_samples_alone_are_enough(command: Any, tmp_path: Path) -> None:
    with np.load(TROUBLES / "raw_units.npz") as arrays:
        np.savez(tmp_path / "data.npz", train_x=arrays["train_x"])
    found = report(
        command, "sensor_raw.onnx", str(tmp_path / "data.npz"), "--epochs=0", "--post-training-rounding-steps=5"
    )
    assert (found["quality"], found["accuracy"]) == (None, None)


def test_23_few_steps_are_said(command: Any) -> None:
    warnings = report(command, "tiny_weights.onnx", "tiny_weights.npz", "--epochs=1")["warnings"]
    assert any("few optimizer steps" in warning for warning in warnings)


TESTED_IN_THEIR_ROOM = {
    16: "tests.qat.data.test_forms",
    17: "tests.qat.data.test_decoding",
    18: "tests.network.test_foreign_files",
    21: "tests.deploy.test_input_codes",
    24: "tests.api.cli.test_progress",
    25: "tests.qat.data.test_label_offset",
    26: "tests.api.operations.test_questions",
}
"""Number of each trouble without a file of its own here -> the module of its tests."""


def test_every_trouble_has_a_test() -> None:
    heads = [re.match(r"test_((?:\d+_)+)", name) for name in globals()]
    here = {int(number) for head in heads if head for number in head[1].split("_")[:-1]}
    assert here | set(TESTED_IN_THEIR_ROOM) == set(range(1, 27))
    for module in TESTED_IN_THEIR_ROOM.values():
        assert any(name.startswith("test_") for name in vars(importlib.import_module(module)))
