"""`bitbudget --server URL`: the same output, files and exit codes as on this machine."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from api.cli.main import run
from api.schemas.job_answers import JobAnswer
from tests.api.client.scripted_server import Answering, Response, in_turn, problem, scripted
from tests.api.live_service import ROOT, LiveService
from tests.api.small_files import DIGITS_ONNX, tiny_dataset, tiny_json

RULE = ["--method=mixpc", "--accounting=paper"]
BUDGET = ["--flash=400", "--ram=60", *RULE]
TIMES = re.compile(r'("seconds": )[\d.e-]+|( in )[\d.]+( s\b)|((?:report\.json|curve\.svg)  )[\d,]+( bytes)')
HASHES_OF_REPORTS = re.compile(r'("name": "(?:report\.json|curve\.svg)",\s+"size_bytes": )\d+(,\s+"sha256": ")\w+')
FAST = ["--epochs=1", "--threads=1", "--seed=1"]
ROUNDED = ["--post-training", "--post-training-rounding-steps=5", "--threads=1"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny.json").write_bytes(tiny_json())
    (tmp_path / "data.npz").write_bytes(tiny_dataset())
    (tmp_path / "empty").mkdir()
    shutil.copy(DIGITS_ONNX, tmp_path / "digits.onnx")
    (tmp_path / "broken.onnx").write_bytes(DIGITS_ONNX.read_bytes()[:-500])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def both(
    service: LiveService, arguments: list[str], capsys: pytest.CaptureFixture[str], out: Path | None = None
) -> tuple[tuple[int, str, str], tuple[int, str, str]]:
    """Run a command here and on a service; return exit code, output and last line of errors of each."""
    results = []
    for server in ([], ["--server", service.url]):
        if out is not None and out.is_dir():
            out.rename(out.with_name("here"))
        code = run([*server, *arguments])
        printed = capsys.readouterr()
        lines = printed.err.splitlines()
        results.append((code, without_times(printed.out), lines[-1] if lines and code else ""))
    return results[0], results[1]


def without_times(text: str) -> str:
    """Replace the figures that differ from run to run."""
    return HASHES_OF_REPORTS.sub(r"\1-\2-", TIMES.sub(r"\1\2\4-\3\5", text))


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["fit", "digits.onnx", "--flash=18kB", "--ram=2800", "--prices"], 0),
        (["fit", "digits.onnx", "--flash=18kB", "--ram=2800", "--json", "--weight-bits=stem=8"], 0),
        (["fit", "digits.onnx", "--flash=10kB", "--ram=2800"], 1),
        (["fit", "tiny.json", *BUDGET, "--input-mean=0.5", "--json"], 0),
        (["devices", "digits.onnx", "--device=nrf52840", "--device=stm32f411re"], 0),
        (["devices", "tiny.json", *RULE, "--json"], 0),
        (["pareto", "digits.onnx", "--ram=4kB", "--points=4"], 0),
        (["pareto", "digits.onnx", "--ram=1kB", "--points=4"], 1),
        (["train", "tiny.json", "--data=data.npz", "--out=out", "--flash=10", "--ram=60", *RULE], 1),
        (["shrink", "tiny.json", "--data=data.npz", "--out=out", "--max-loss=1", "--ram=10", "--accounting=paper"], 1),
        (["fit", "none.onnx", "--flash=1kB", "--ram=1kB"], 2),
        (["fit", "broken.onnx", "--flash=1kB", "--ram=1kB"], 2),
        (["fit", "digits.onnx", "--flash=18 kilos", "--ram=1kB"], 2),
        (["fit", "digits.onnx", "--flash=18kB"], 2),
        (["fit", "digits.onnx", "--flash=18kB", "--ram=1kB", "--sensitivity=fisher"], 2),
        (["fit", "digits.onnx", "--flash=18kB", "--ram=1kB", "--weight-bits=unknown=8"], 2),
        (["fit", "digits.onnx", "--flash=18kB", "--ram=1kB", "--input-shape=1,9,9"], 2),
        (["train", "digits.onnx", "--data=data.npz", "--out=out", "--flash=18kB", "--ram=2800"], 2),
        (["train", "tiny.json", "--data=none.npz", "--out=out", *BUDGET], 2),
        (["train", "tiny.json", "--data=empty", "--out=out", *BUDGET], 2),
        (["train", "tiny.json", "--data=data.npz", "--out=empty/none/out", *BUDGET, *FAST], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_output_and_exit_code_are_those_of_this_machine(
    arguments: list[str], exit_code: int, service: LiveService, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = both(service, arguments, capsys)
    assert there == here
    assert here[0] == exit_code
    assert not (place / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "tiny.json", "--data=data.npz", *BUDGET, *FAST],
        pytest.param(["train", "tiny.json", "--data=data.npz", *BUDGET, *FAST, "--json"], marks=pytest.mark.long),
        pytest.param(
            ["shrink", "tiny.json", "--data=data.npz", "--max-loss=100", "--points=4", "--accounting=paper", *ROUNDED],
            marks=pytest.mark.long,
        ),
    ],
    ids=["train", "train --json", "shrink"],
)
def test_files_of_a_job_are_those_of_this_machine(
    arguments: list[str], service: LiveService, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = both(service, [*arguments, "--out=out"], capsys, place / "out")
    # The folders of the points that were not chosen stay on the service.
    assert there[1] == "".join(line for line in here[1].splitlines(keepends=True) if not line.rstrip().endswith("/"))
    assert (there[0], here[0]) == (0, 0)
    files = {path.name for path in (place / "here").iterdir() if path.is_file()}
    assert {path.name for path in (place / "out").iterdir()} == files
    differing = [name for name in files if (place / "here" / name).read_bytes() != (place / "out" / name).read_bytes()]
    assert set(differing) <= {"report.json", "curve.svg"}  # these have times


@pytest.mark.long
def test_a_measured_table_is_that_of_this_machine(
    service: LiveService, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measuring = ["sensitivity", "tiny.json", "--data=data.npz", "--samples=32", "--out=table.json"]
    here, there = both(service, measuring, capsys)
    assert there == here
    table = (place / "table.json").read_text()
    assert run(measuring) == 0
    assert (place / "table.json").read_text() == table
    capsys.readouterr()
    here, there = both(service, ["fit", "tiny.json", "--flash=20kB", "--ram=2kB", "--data=data.npz"], capsys)
    assert there == here
    assert "(fisher)" in here[1]


def test_the_standard_input_and_a_stored_name(
    service: LiveService, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service keeps the first name of a content; the command prints the name of its own file."""
    shutil.copy(place / "digits.onnx", place / "again.v2.onnx")
    here, there = both(service, ["fit", "again.v2.onnx", "--flash=18kB", "--ram=2800"], capsys)
    assert there == here
    assert there[1].startswith("again.v2: ")
    for server in ([], ["--server", service.url]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DIGITS_ONNX.read_bytes())))
        assert run([*server, "fit", "-", "--flash=18kB", "--ram=2800"]) == 0
        assert capsys.readouterr().out == here[1].replace("again.v2", "stdin")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "out"], "'build' works on this machine alone; leave --server out"),
        (["serve"], "'serve' works on this machine alone"),
    ],
)
def test_local_commands_refuse_a_service(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--server", "http://127.0.0.1:1", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_variable_does_not_disturb_local_commands(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BITBUDGET_SERVER", "http://127.0.0.1:1")
    assert run(["devices"]) == 0
    assert run(["emit", "none", "--out=firmware"]) == 2
    assert "127.0.0.1" not in capsys.readouterr().err
    assert run(["fit", "tiny.json", *BUDGET]) == 69


FIT = ["fit", "tiny.json", *BUDGET]


def test_errors_of_the_service_have_their_own_exit_code(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    refusal = problem(401, "unauthorized", "the key is not known; ask the operator for one")
    page = Response(body=b"<html>", headers={"Content-Type": "text/html"})
    with scripted({"GET /": refusal}) as refusing, scripted({"GET /": page}) as other:
        for url, message in (
            (nobody, "cannot reach http://127.0.0.1"),
            (refusing.url, "the key is not known; ask the operator for one"),
            (other.url, "answers, but not as a bitbudget service"),
        ):
            assert run(["--server", url, *FIT]) == 69
            printed = capsys.readouterr()
            assert printed.out == ""
            assert message in printed.err
            assert len(printed.err.splitlines()) == 1
    assert run(["--server", "localhost:8000", *FIT]) == 2
    assert "expected http://HOST:PORT" in capsys.readouterr().err


def test_another_version_is_noted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    older = Response(body={"name": "bitbudget", "version": "0.0.1", "links": {}})
    with scripted({"GET /": older}) as server:
        assert run(["--server", server.url, *FIT]) == 2
    note, error = capsys.readouterr().err.splitlines()
    assert note.startswith("bitbudget: the service is bitbudget 0.0.1, this command ")
    assert "(the service is bitbudget 0.0.1, this client " in error


def test_a_job_that_waits_says_why(place: Path, capsys: pytest.CaptureFixture[str], service: LiveService) -> None:
    run(["--server", service.url, *FIT])  # so that the service has the network
    network_id = hashlib.sha256(tiny_json()).hexdigest()
    dataset = service.http.get("/v1/datasets/digits").json()
    job = dict.fromkeys(JobAnswer.model_fields) | {
        "id": "j",
        "state": "queued",
        "revision": 1,
        "created_at": "2026-11-28T09:00:00Z",
        "kind": "training",
        "request": {"kind": "training", "network_id": network_id, "dataset": "digits"},
        "artifacts": [],
    }
    waiting = job | {"revision": 2, "waiting": {"reason": "the disk is full", "until": "2026-11-28T09:10:00Z"}}
    failed = {"type": "/problems/worker-lost", "title": "t", "status": 500, "detail": "its worker died twice"}
    answers: dict[str, Answering | Response] = {
        f"GET /v1/networks/{network_id}": Response(body=service.http.get(f"/v1/networks/{network_id}").json()),
        "GET /v1/datasets/digits": Response(body=dataset),
        "POST /v1/jobs": Response(202, job),
        "GET /v1/jobs/j": in_turn(
            Response(body=job),
            Response(body=waiting),
            Response(body=waiting | {"revision": 3}),
            Response(body=job | {"state": "failed", "revision": 4, "error": failed}),
        ),
    }
    with scripted(answers) as server:
        train = ["train", "tiny.json", "--data=digits", "--out=out", *BUDGET]
        assert run(["--server", server.url, *train]) == 69  # the service has failed, not the input
    assert capsys.readouterr().err.splitlines()[-3:] == [
        f"bitbudget: job j on {server.url}",
        "bitbudget: the job waits: the disk is full",
        "bitbudget: its worker died twice",
    ]


def test_checkpoints_stay_with_the_service(
    service: LiveService, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "tiny.json", "--data=data.npz", "--out=out", "--checkpoints=kept", *BUDGET]
    assert run(["--server", service.url, *arguments]) == 2
    assert "the service keeps the checkpoints" in capsys.readouterr().err


@pytest.mark.long
def test_an_interrupt_cancels_the_job(service: LiveService, place: Path) -> None:
    arguments = ["train", "tiny.json", "--data=data.npz", "--out=out", "--epochs=5000", "--threads=1", *BUDGET]
    with subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "--server", service.url, *arguments],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if line.startswith("training"):
                process.send_signal(signal.SIGINT)
                break
        lines += process.stderr.readlines()
        assert process.wait(60) == 130, lines
    (job_id,) = re.findall(r"cancelling job (\w+)", "".join(lines))
    assert service.finished(job_id)["state"] == "cancelled"
    assert not (place / "out").exists()
