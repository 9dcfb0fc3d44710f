"""The whole way to PostgreSQL: backup while a job runs, restore, and a service that ends the job."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.storage.database import Store
from tests.api.live_service import ROOT, LiveService
from tests.api.postgres_server import PostgresServer

DIGITS = ROOT / "examples" / "digits" / "digits.onnx"
BUDGET: dict[str, Any] = {"flash": "18kB", "ram": "2800"}


def bitbudget(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "api.cli.main", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.long
def test_a_service_moves_to_postgresql_while_a_job_runs(
    tmp_path: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    archive = tmp_path / "backup.tar"
    with LiveService(tmp_path / "old") as old:
        network = old.upload_network(DIGITS.read_bytes(), "digits.onnx")
        fit = old.http.post(f"/v1/networks/{network}/fit", json=BUDGET).json()
        request = {"network_id": network, "dataset": "digits", "training": {"epochs": 6}, **BUDGET}
        job = old.start_job(**request)
        old.wait_for(job, lambda answer: answer["progress"] is not None and answer["progress"]["phase"] == "training")
        printed = bitbudget("backup", "--data", tmp_path / "old", archive)
        assert printed == f"{archive}: {archive.stat().st_size:,} bytes; uploaded files: 1, jobs: 1\n"
        old.http.post(f"/v1/jobs/{job}/cancel")

    printed = bitbudget("restore", archive, "--data", tmp_path / "new", "--database", url)
    assert printed == f"restored in {tmp_path / 'new'}; uploaded files: 1, jobs: 1\n"
    assert not (tmp_path / "new" / "bitbudget.sqlite").exists()
    monkeypatch.setenv("BITBUDGET_DATABASE", url)
    with LiveService(tmp_path / "new") as new:
        assert new.http.get(f"/v1/networks/{network}").json()["id"] == network
        assert new.http.post(f"/v1/networks/{network}/fit", json=BUDGET).json()["weight_bits"] == fit["weight_bits"]
        done = new.wait_for(job, lambda answer: answer["state"] == "succeeded")
        assert {each["name"] for each in done["artifacts"]} >= {"network.json", "digits-c.zip"}
        assert new.upload_network(DIGITS.read_bytes(), "digits.onnx") == network
        assert new.end(signal.SIGTERM) == 0
    store = Store(url)
    states = [event.data["state"] for event in store.events(job) if event.kind == "state"]
    assert states[-2:] == ["running", "succeeded"]
    store.close()
