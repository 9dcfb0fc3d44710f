"""`make run`: the pipeline against a service of its own, and what it leaves when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from examples import own_service
from examples.own_service import PipelineError, running_service
from examples.pipeline import Service, fetch_artifacts

ROOT = Path(__file__).parents[2]


def start_pipeline(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    """The pipeline, with everything that it makes under `directory`."""
    (directory / "tmp").mkdir()
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "examples.pipeline", "--out", str(directory / "out"), *arguments],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(directory / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def processes_that_name(path: Path) -> list[str]:
    """Command lines of running processes in which `path` stands, as it does in the service's and its workers'."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        if any(os.fsencode(path) in word for word in words):
            found.append(b" ".join(words).decode(errors="replace"))
    return found


def assert_nothing_is_left(directory: Path) -> None:
    assert not list((directory / "tmp").glob("bitbudget-*"))
    assert_all_ended(directory / "tmp")


def assert_all_ended(path: Path) -> None:
    """A worker that has told its result may still be on its way out."""
    wait_until(lambda: not processes_that_name(path))


def wait_until(condition: Callable[[], bool]) -> None:
    """What other processes do shows a moment later."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def test_the_whole_pipeline(tmp_path: Path) -> None:
    pipeline = start_pipeline(tmp_path, "--epochs", "1")
    output, errors = pipeline.communicate(timeout=150)
    assert pipeline.returncode == 0, output + errors
    report = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert set(report["weight_bits"].values()) == {8, 4}
    assert set(report["activation_bits"].values()) == {8, 4}
    assert (report["method"], report["accounting"], report["sensitivity"]) == ("exact", "deployed", "fisher")
    assert report["memory"]["flash_bytes"] <= 18_000
    assert report["memory"]["ram_bytes"] <= 2800
    assert report["accuracy"]["integer_only"] > 90
    for layer in report["weight_bits"]:
        assert layer in output
    assert f"{report['accuracy']['integer_only']:.2f} %" in output
    assert_nothing_is_left(tmp_path)


def test_an_interrupted_pipeline_stops_what_it_started(tmp_path: Path) -> None:
    pipeline = start_pipeline(tmp_path, "--epochs", "1000")
    assert pipeline.stdout is not None
    for line in pipeline.stdout:
        if line.startswith("running"):
            break
    assert processes_that_name(tmp_path / "tmp")
    pipeline.send_signal(signal.SIGINT)
    _, errors = pipeline.communicate(timeout=60)
    assert pipeline.returncode == 130, errors
    assert errors.endswith("interrupted\n")
    assert_nothing_is_left(tmp_path)


def test_a_budget_that_nothing_fits_is_one_line(tmp_path: Path) -> None:
    pipeline = start_pipeline(tmp_path, "--flash", "1kB")
    _, errors = pipeline.communicate(timeout=60)
    assert pipeline.returncode == 1
    assert errors.startswith("error: does not fit: ")
    assert errors.count("\n") == 1
    assert_nothing_is_left(tmp_path)


def test_a_service_that_does_not_come_up_shows_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_service(tmp_path, monkeypatch, "echo the disk is on fire >&2; exit 3")
    with pytest.raises(PipelineError, match=r"ended with exit code 3(?s:.*)the disk is on fire"), running_service():
        pytest.fail("it came up")


def test_a_service_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_service(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(own_service, "START_SECONDS", 0.3)
    with pytest.raises(PipelineError, match="did not listen"), running_service():
        pytest.fail("it came up")


def test_a_service_that_does_not_stop_is_killed_with_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = tmp_path / "worker"
    pretend_service(
        tmp_path, monkeypatch, f"trap '' TERM; sh -c 'sleep 60; : {worker}' & echo http://127.0.0.1:1; wait"
    )
    monkeypatch.setattr(own_service, "STOP_SECONDS", 0.3)
    with running_service() as url:
        assert url == "http://127.0.0.1:1"
        wait_until(lambda: bool(processes_that_name(worker)))  # the shell may name it a moment after the address
    assert_all_ended(worker)


def pretend_service(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let `bitbudget` be a shell script."""
    command = directory / "bitbudget"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(directory / "python"))


def test_an_artifact_with_another_hash_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "fetch", lambda *_: b"tampered")
    job = {"id": "1", "artifacts": [{"name": "weights.safetensors", "size_bytes": 8, "sha256": "0" * 64}]}
    with pytest.raises(PipelineError, match=r"SHA-256 of the downloaded file weights\.safetensors differs"):
        fetch_artifacts(Service("http://127.0.0.1:1"), job, tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_http_is_spoken() -> None:
    with pytest.raises(PipelineError, match="expected http"):
        Service("file:///etc/passwd")
