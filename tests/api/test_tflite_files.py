"""TFLite files in the command and in the service."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from api.cli.main import run
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.network.tflite_reading.tflite_models import Op, T, build, constant

BUDGET = {"flash": "1MB", "ram": "1MB"}


def classifier(last: str = "SOFTMAX") -> bytes:
    """A file of an int8 convolution and a fully connected layer over images of 4x4 pixels and one channel."""
    rng = np.random.default_rng(0)
    tensors = [
        T((1, 4, 4, 1), kind="INT8", scales=(1 / 255,), zero_points=(-128,), name="image"),
        constant(rng.integers(-127, 128, (8, 3, 3, 1)), "int8", scales=(0.01,)),
        T((1, 4, 4, 8), kind="INT8", scales=(0.02,), zero_points=(-128,), name="hidden"),
        constant(rng.integers(-127, 128, (3, 128)), "int8", scales=(0.01,)),
        T((1, 3), kind="INT8", scales=(0.1,), zero_points=(0,), name="scores"),
        T((1, 3), kind="INT8", scales=(1 / 256,), zero_points=(-128,), name="probabilities"),
    ]
    operators = [
        Op("CONV_2D", (0, 1), (2,), {"StrideH": 1, "StrideW": 1, "FusedActivationFunction": 1}),
        Op("FULLY_CONNECTED", (2, 3), (4,)),
        Op(last, (4,), (5,), {"Beta": 1.0} if last == "SOFTMAX" else {}),
    ]
    return build(tensors, operators)


def test_the_command_chooses_bits_of_a_tflite_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "classifier.tflite"
    path.write_bytes(classifier())
    assert run(["fit", str(path), "--flash=1MB", "--ram=1MB", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["network"]["name"] == "classifier"
    assert answer["weight_bits"] == {"hidden": 8, "scores": 8}


def test_the_command_lists_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "classifier.tflite"
    path.write_bytes(classifier("UNIDIRECTIONAL_SEQUENCE_LSTM"))
    assert run(["fit", str(path), "--flash=1MB", "--ram=1MB"]) not in (0, 1)
    message = "1 of 3 operators stands in the way: 1 UNIDIRECTIONAL_SEQUENCE_LSTM ('probabilities')"
    assert message in capsys.readouterr().err


def test_the_command_states_what_the_host_computes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "classifier.tflite"
    path.write_bytes(classifier("LOGISTIC"))
    assert run(["fit", str(path), "--flash=1MB", "--ram=1MB"]) == 0
    assert "the host computes 'probabilities': LOGISTIC of 'scores'" in capsys.readouterr().out


def test_the_service_accepts_a_tflite_file(service: LiveService) -> None:
    uploaded = service.http.post("/v1/networks", files={"file": ("classifier.tflite", classifier())})
    assert uploaded.status_code == 201
    assert uploaded.json()["sample_shape"] == [4, 4, 1]
    fitted = service.http.post(f"/v1/networks/{uploaded.json()['id']}/fit", json=BUDGET)
    assert fitted.json()["weight_bits"] == {"hidden": 8, "scores": 8}


def test_the_service_refuses_a_damaged_tflite_file(service: LiveService) -> None:
    refused = service.http.post("/v1/networks", files={"file": ("cut.tflite", classifier()[:300])})
    assert "not a complete TFLite file" in assert_problem(refused, 422, "unreadable-file")
