"""The options of reading on the command line, in Python and in the service identify the same network alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import bitbudget
from api.cli.main import run
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_dataset
from tests.network.onnx_reading.onnx_models import model, node, random

BUDGET = {"flash": "1MB", "ram": "1MB"}
CONTENT = model(
    [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Elu", "r", "e"), node("Conv", "e v", "y")],
    ("N", 2, "time"),
    {"w": random(4, 2, 3), "v": random(2, 4, 3)},
).SerializeToString()
CLASSES = model(
    [node("Flatten", "x", "f"), node("Gemm", "f m", "h"), node("Relu", "h", "r"), node("Gemm", "r k", "c"),
     node("Elu", "c", "e"), node("Gemm", "e k", "y")],
    ("N", 1, 4, 4),
    {"m": random(16, 3), "k": random(3, 3)},
).SerializeToString()  # fmt: skip
OPTIONS = ["--input-shape", "1,2,30", "--output", "r"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "open.onnx"
    path.write_bytes(CONTENT)
    return path


def fitted(path: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> Any:
    assert run(["fit", str(path), "--flash", "1MB", "--ram", "1MB", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_command_python_and_service_give_the_same_object(
    service: LiveService, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_command = fitted(path, *OPTIONS, capsys=capsys)
    network = bitbudget.read(path, input_shape=(1, 2, 30), outputs=["r"])
    from_bytes = bitbudget.read(CONTENT, "open", input_shape=(1, 2, 30), outputs=["r"])
    for each in (network, from_bytes):
        assert json.loads(bitbudget.fit(each, flash="1MB", ram="1MB").answer.model_dump_json()) == by_command
    response = service.http.post(
        "/v1/networks", params={"input_shape": "1,2,30", "output": "r"}, files={"file": (path.name, CONTENT)}
    )
    assert response.status_code == 201
    uploaded = response.json()
    assert uploaded["reading_options"] == {"input_shape": ["1x2x30"], "output": ["r"]}
    assert (uploaded["sample_shape"], uploaded["outputs"]) == ([2, 30], ["r"])
    assert service.http.post(f"/v1/networks/{uploaded['id']}/fit", json=BUDGET).json() == by_command


def test_other_options_are_another_network(
    service: LiveService, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [("1,2,30", "r"), ("2,30", "r"), ("2,31", "r"), ("2,30", "c"), ("2,30", "c", "r")]
    many = [["--input-shape", shape, *(f"--output={name}" for name in names)] for shape, *names in given]
    ids = [fitted(path, *options, capsys=capsys)["network"]["id"] for options in many]
    assert len(set(ids)) == len(many)
    uploaded = []
    for length in (30, 31, 30):
        response = service.http.post(f"/v1/networks?input_shape=2,{length}&output=c&output=r", content=CONTENT)
        uploaded.append((response.status_code, response.json()["id"], response.json()["sample_shape"]))
    assert [status for status, *_ in uploaded] == [201, 201, 200]
    assert uploaded[0][1:] == uploaded[2][1:]
    assert uploaded[0][1] == ids[-1]
    assert uploaded[1][2] == [2, 31]
    for _, network_id, _ in uploaded[:2]:
        assert service.http.delete(f"/v1/networks/{network_id}").status_code == 204


def test_a_job_reads_the_network_with_its_options(service: LiveService) -> None:
    response = service.http.post("/v1/networks", params={"output": "c"}, content=CLASSES)
    assert response.status_code == 201
    job_id = service.start_job(
        network_id=response.json()["id"],
        dataset=service.upload_dataset(tiny_dataset()),
        training={"epochs": 0},
        **BUDGET,
    )
    job = service.finished(job_id)
    assert job["state"] == "succeeded", job
    assert [layer["name"] for layer in response.json()["layers"]] == ["H", "C"]


@pytest.mark.parametrize(
    ("options", "problem", "message"),
    [
        ({}, "unsupported-operator", "--input-shape 1,2,96"),
        ({"input_shape": "2,30"}, "unsupported-operator", "--output 'r'"),
        ({"input_shape": "1,3,30"}, "invalid-request", "fixes the extents ?,2,?"),
        ({"input_shape": "wide"}, "invalid-request", "expected extents such as 1,40,98"),
        ({"input_shape": "2,30", "output": "rr"}, "invalid-request", "close names are 'r'"),
    ],
)
def test_wrong_options_are_problems_and_exit_code_2(
    service: LiveService,
    path: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, str],
    problem: str,
    message: str,
) -> None:
    response = service.http.post("/v1/networks", params=options, content=CONTENT)
    status = 422 if problem == "unsupported-operator" else response.status_code
    assert 400 <= status < 500
    assert message in assert_problem(response, status, problem)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    assert run(["fit", str(path), "--flash", "1MB", "--ram", "1MB", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["devices"],
        ["pareto", "--ram", "1MB"],
        ["sensitivity", "--data", "digits"],
        ["train", "--data", "digits", "--out", "unused", "--flash", "1MB", "--ram", "1MB"],
    ],
)
def test_every_command_that_reads_a_network_has_the_options(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    name, *others = arguments
    assert run([name, str(path), *others, "--input-shape", "1,3,30"]) == 2
    assert "fixes the extents ?,2,?" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [{"input_shape": 30}, {"input_shape": (2, 30.0)}, {"input_shape": {"x": 30}}, {"outputs": "r"}]
)
def test_arguments_of_another_type_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(bitbudget.RequestError, match=f"the argument {next(iter(given))} is"):
        bitbudget.read(CONTENT, **given)
