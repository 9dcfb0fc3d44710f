"""A real service in a separate process, with the requests that tests send."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import httpx

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 60.0

Answer = dict[str, Any]


class LiveService:
    """`bitbudget serve` over a data directory, on a free port."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self._log = data.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", "serve", "--port", "0", "--data", str(data), *options],
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=ROOT,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip().replace("//0.0.0.0:", "//127.0.0.1:")
        assert self.url.startswith("http://127.0.0.1:"), self._log.name
        self.http = httpx.Client(base_url=self.url, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGTERM)

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the process of the service, but not to its workers, and return the exit code."""
        self.http.close()
        self.process.send_signal(number)
        code = self.process.wait(TIMEOUT_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()
        return code

    def upload_network(self, content: bytes, name: str = "tiny.json") -> str:
        response = self.http.post("/v1/networks", files={"file": (name, content)})
        assert response.is_success, response.text
        return str(response.json()["id"])

    def upload_dataset(self, content: bytes) -> str:
        response = self.http.post("/v1/datasets", files={"file": ("data.npz", content)})
        assert response.is_success, response.text
        return str(response.json()["id"])

    def start_job(self, **request: Any) -> str:
        response = self.http.post("/v1/jobs", json=request)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def listed(self, path: str, **query: Any) -> list[Answer]:
        """Return the items of all pages of a list."""
        items: list[Answer] = []
        cursor: str | None = ""
        while cursor is not None:
            asked = query | ({"cursor": cursor} if cursor else {})
            page = self.http.get(path, params=asked).raise_for_status().json()
            items += page["items"]
            cursor = page["next_cursor"]
        return items

    def job(self, job_id: str) -> Answer:
        answer: Answer = self.http.get(f"/v1/jobs/{job_id}").json()
        return answer

    def wait_for(self, job_id: str, condition: Callable[[Answer], bool]) -> Answer:
        """Poll a job until a condition holds; a job that ends without it fails the test."""
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < give_up_at:
            job = self.job(job_id)
            if condition(job):
                return job
            assert job["state"] not in {"succeeded", "failed", "cancelled"}, job
            time.sleep(0.05)
        raise AssertionError(f"waited {TIMEOUT_SECONDS} s in vain: {job}")

    def finished(self, job_id: str) -> Answer:
        return self.wait_for(job_id, lambda job: job["state"] in {"succeeded", "failed", "cancelled"})

    def worker(self, job_id: str) -> int:
        """Return the process id of the worker of a job."""
        lock = self.data / "jobs" / job_id / "lock"
        give_up_at = time.monotonic() + TIMEOUT_SECONDS
        while not (process_id := lock.read_text().partition("\n")[0]) and time.monotonic() < give_up_at:
            time.sleep(0.01)
        return int(process_id)

    def attempt_with_saved_work(self, job_id: str) -> int:
        """Return the number of the running attempt if the database says that it has saved work; 0 otherwise.

        A worker that is killed before this is known has saved nothing, whatever progress of an earlier one is shown.
        """
        with closing(sqlite3.connect(self.data / "bitbudget.sqlite", timeout=TIMEOUT_SECONDS)) as database:
            query = "SELECT attempt FROM jobs WHERE id = ? AND state = 'running' AND progress_at IS NOT NULL"
            row = database.execute(query, [job_id]).fetchone()
        return 0 if row is None else int(row[0])

    def files(self) -> set[str]:
        """Return the files in the data directory, without the database and the locks.

        A worker may delete a directory at the same time: `os.walk` passes over it, and `Path.rglob` does not.
        """
        return {
            str(Path(folder, name).relative_to(self.data))
            for folder, _, names in os.walk(self.data)
            for name in names
            if not name.startswith("bitbudget.sqlite") and not name.endswith(".lock")
        }


def is_training(epoch: int) -> Callable[[Answer], bool]:
    """Return whether a job has finished an epoch, so that it has a checkpoint."""
    return lambda job: bool(job["progress"]) and (job["progress"]["epoch"] or 0) > epoch


def is_alive(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def kill(process_id: int) -> None:
    """Kill the service with SIGKILL, and wait until its process has ended."""
    os.kill(process_id, signal.SIGKILL)
    while is_alive(process_id):
        time.sleep(0.01)
