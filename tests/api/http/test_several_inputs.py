"""A network with several inputs over HTTP and by the command: upload, one array for each input, training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.cli.main import run
from deploy.files import load
from network.json_reading.description import write_json
from tests.api.live_service import LiveService
from tests.api.small_files import npz
from tests.qat.test_several_inputs import arrays, image_and_vector

TRAINING = {"epochs": 1, "batch_size": 32, "threads": 1}


def network_content() -> bytes:
    return write_json(image_and_vector(), with_weights=True).encode()


def dataset_content() -> bytes:
    content: dict[str, Any] = {}
    for part, values in (("train", arrays(96, 0)), ("test", arrays(24, 1))):
        content |= {f"{part}_x_image": values["image"], f"{part}_x_vector": values["vector"]}
        content[f"{part}_y"] = values["labels"]
    return npz(**content)


@pytest.mark.parametrize("accounting", ["deployed", "paper"])
def test_a_job_trains_a_network_with_several_inputs(service: LiveService, tmp_path: Path, accounting: str) -> None:
    network_id = service.upload_network(network_content(), "two.json")
    network = service.http.get(f"/v1/networks/{network_id}").json()
    assert network["inputs"] == [
        {"name": "image", "sample_shape": [6, 6, 2]},
        {"name": "vector", "sample_shape": [4]},
    ]
    assert (network["input"], network["sample_shape"]) == ("image", [76])
    dataset_id = service.upload_dataset(dataset_content())
    dataset = service.http.get(f"/v1/datasets/{dataset_id}").json()
    assert (dataset["sample_shape"], dataset["sample_type"]) == ([76], "float32")
    budget = {"flash": "10kB", "ram": "4kB", "accounting": accounting}
    job = service.finished(
        service.start_job(network_id=network_id, dataset=dataset_id, training=TRAINING, sensitivity="weights", **budget)
    )
    assert job["state"] == "succeeded", job
    result = job["result"]
    assert (result["activation_bits"]["image"], result["activation_bits"]["vector"]) == (8, 8)
    first, second, last, *_ = result["memory"]["steps"]
    assert first["input_bytes"] == 72
    assert (first["waiting_bytes"], second["waiting_bytes"], last["waiting_bytes"]) == (4, 4, 0)
    for name in ("network.json", "weights.safetensors"):
        (tmp_path / name).write_bytes(service.http.get(f"/v1/jobs/{job['id']}/artifacts/{name}").content)
    assert load(tmp_path).input_names == ("image", "vector")


def test_the_command_trains_a_network_with_several_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "two.json").write_bytes(network_content())
    (tmp_path / "two.npz").write_bytes(dataset_content())
    arguments = ["train", str(tmp_path / "two.json"), f"--data={tmp_path / 'two.npz'}", f"--out={tmp_path / 'out'}"]
    assert run([*arguments, "--flash=10kB", "--ram=4kB", "--epochs=1", "--batch-size=32", "--threads=1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["sensitivity"] == "fisher"
    assert report["accuracy"]["integer_only"] > 0
    np.savez(tmp_path / "wrong.npz", train_x_image=arrays(8, 0)["image"])
    arguments[2] = f"--data={tmp_path / 'wrong.npz'}"
    assert run([*arguments, "--flash=10kB", "--ram=4kB", "--epochs=1"]) != 0
    assert "the samples have the arrays train_x_image; expected one for each input" in capsys.readouterr().err
