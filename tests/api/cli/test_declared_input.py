"""`--input-mean`, `--input-scale` and `--label-offset`, and the same in requests to the service and in Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bitbudget
from api.cli.main import run
from network.json_reading.description import write_json
from network.layers import RELU, FullyConnected, Shape
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import npz
from tests.builders import network_of

BUDGET = ["--flash=100kB", "--ram=100kB", "--epochs=0", "--threads=1"]
CLASSES, SPARE = 4, 1
"""The network has one output more than the data has classes: its output 0 is a background class."""


def network_file(folder: Path) -> Path:
    """Write a network that reads x / 127.5 - 1 per channel, without this normalisation, and knows its data exactly."""
    hidden, outputs = np.eye(CLASSES, dtype=np.float32), np.zeros((CLASSES + SPARE, CLASSES), dtype=np.float32)
    outputs[SPARE:] = np.eye(CLASSES)
    layers = [
        FullyConnected(name="a", inputs=("input",), output="h", output_channels=4, activation=RELU, weight=hidden),
        FullyConnected(name="b", inputs=("h",), output="scores", output_channels=CLASSES + SPARE, weight=outputs),
    ]
    path = folder / "network.json"
    path.write_text(write_json(network_of(layers, Shape(4)), with_weights=True))
    return path


def dataset_file(folder: Path, dtype: type[np.generic] = np.uint8) -> Path:
    """Write vectors in which the element of the class is bright; the float network needs them as x / 127.5 - 1."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % CLASSES
    samples = rng.integers(0, 100, (200, CLASSES))
    samples[np.arange(200), labels] = rng.integers(160, 256, 200)
    samples = samples.reshape(-1, 1, 1, CLASSES)  # bytes are images: height, width, channels
    path = folder / "data.npz"
    path.write_bytes(npz(train_x=samples.astype(dtype), train_y=labels, test_x=samples.astype(dtype), test_y=labels))
    return path


def arguments(folder: Path, *options: str) -> list[str]:
    return ["train", str(network_file(folder)), f"--data={dataset_file(folder)}", f"--out={folder / 'out'}", "--json",
            *BUDGET, *options]  # fmt: skip


NORMALISED = ["--input-mean=127.5", "--input-scale=0.00784313725490196"]


def test_train_with_declared_preprocessing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(tmp_path, *NORMALISED, "--label-offset=1")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["accuracy"]["float"] == answer["accuracy"]["integer_only"] == 100.0
    saved = json.loads((tmp_path / "out" / "network.json").read_text())["input"]
    assert (saved["subtract"], saved["multiply"]) == ([127.5], [0.00784313725490196])
    assert saved["codes_of_bytes"] == "identity"
    first_id = answer["network"]["id"]
    assert run(arguments(tmp_path, "--input-mean=127.5,127,128,127.5", "--label-offset=1")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["accuracy"]["float"] == 100.0
    assert answer["network"]["id"] != first_id


def test_the_warning_about_labels_names_the_option_that_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments(tmp_path, *NORMALISED)) == 0
    (warning,) = [each for each in json.loads(capsys.readouterr().out)["warnings"] if "shifted" in each]
    assert "--label-offset 1" in warning


@pytest.mark.parametrize("command", ["fit", "pareto", "sensitivity", "devices"])
def test_other_commands_have_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    given = [command, str(network_file(tmp_path)), f"--data={dataset_file(tmp_path)}", "--json"]
    given += BUDGET[:2] if command in {"fit", "pareto"} else []
    ids = set()
    for options in ([], NORMALISED):
        assert run([*given, *options, "--label-offset=1"]) == 0
        ids.add(json.loads(capsys.readouterr().out)["network"]["id"])
    assert len(ids) == 2
    assert run([*given, "--label-offset=2"]) == 2
    assert "train_y[3] is 5 (50 labels are out of range); expected 0 to 4" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--label-offset=2"], "label_offset"),
        (["--label-offset=-1"], "becomes -1 with a label_offset of -1"),
        (["--input-mean=1,2"], "input_mean has 2 numbers; expected 1, or 4"),
        (["--input-scale=0"], "expected numbers other than 0"),
        (["--input-scale=a"], "input_scale is 'a'; expected a number"),
        (["--label-offset=one"], "'--label-offset': 'one' is not a valid integer"),
    ],
)
def test_refuses_what_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    assert run(arguments(tmp_path, *options)) == 2
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_python_has_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = network_file(tmp_path)
    network = bitbudget.read(path, input_mean=127.5, input_scale=[1 / 127.5] * 4)
    assert network.only_input.format.subtract == (127.5,) * 4
    assert bitbudget.read(path.read_bytes(), input_mean=1).only_input.format.subtract == (1.0,)
    data = bitbudget.dataset(dataset_file(tmp_path), label_offset=1)
    result = bitbudget.train(
        network, data, out=tmp_path / "out", flash="100kB", ram="100kB", training={"epochs": 0, "threads": 1}
    )
    assert result.accuracy is not None
    assert result.accuracy.integer_only == 100.0
    plain = bitbudget.read(path)
    fits = [bitbudget.fit(each, flash="100kB", ram="100kB") for each in (network, plain)]
    assert fits[0].answer.network.id != fits[1].answer.network.id


def upload(service: LiveService, content: bytes, **parameters: Any) -> Any:
    return service.http.post("/v1/networks", params=parameters, files={"file": ("n.json", content)})


def test_an_upload_declares_the_same(service: LiveService, tmp_path: Path) -> None:
    content = network_file(tmp_path).read_bytes()
    plain = upload(service, content).json()
    assert (plain["input_mean"], plain["input_scale"]) == ([0.0], [1.0])
    declared = {"input_mean": "127.5,127.5,127.5,127.5", "input_scale": "0.00784313725490196"}
    response = upload(service, content, **declared)
    assert response.status_code == 201
    network = response.json()
    assert network["id"] != plain["id"]
    assert (network["input_mean"], network["input_scale"]) == ([127.5] * 4, [0.00784313725490196])
    assert upload(service, content, **declared).status_code == 200
    assert service.http.get(f"/v1/networks/{network['id']}").json() == network
    dataset = service.upload_dataset(dataset_file(tmp_path).read_bytes())
    body = {"flash": "100kB", "ram": "100kB", "dataset": dataset, "training": {"epochs": 0, "threads": 1}}
    job = service.finished(service.start_job(network_id=network["id"], label_offset=1, **body))
    assert job["state"] == "succeeded", job
    assert job["result"]["accuracy"]["integer_only"] == 100.0
    assert job["request"]["label_offset"] == 1
    refused = service.http.post("/v1/jobs", json={**body, "network_id": network["id"], "label_offset": -1})
    assert "becomes -1" in assert_problem(refused, 422, "invalid-dataset")


@pytest.mark.parametrize(
    ("parameters", "status", "expected"),
    [
        ({"input_mean": "1,2"}, 422, "input_mean has 2 numbers"),
        ({"input_scale": "0"}, 422, "other than 0"),
        ({"input_mean": "1;2"}, 422, "numbers with commas between them"),
    ],
)
def test_refuses_an_upload_that_does_not_fit(
    service: LiveService, tmp_path: Path, parameters: dict[str, str], status: int, expected: str
) -> None:
    response = upload(service, network_file(tmp_path).read_bytes(), **parameters)
    assert response.status_code == status, response.text
    assert expected in response.text
