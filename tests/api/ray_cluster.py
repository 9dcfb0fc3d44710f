"""A Ray cluster of its own for tests: one node, in a temporary folder, which ends with its context."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

ROOT: Final = Path(__file__).parents[2]
_PATIENCE_SECONDS: Final = 120
_MARK: Final = "BITBUDGET_TEST_CLUSTER"
_OBJECT_STORE_BYTES: Final = 80_000_000


def missing_ray() -> str | None:
    """Return why no Ray cluster can be started here; None if one can."""
    return None if importlib.util.find_spec("ray") else "Ray is not installed (pip install 'bitbudget[ray]')"


class RayCluster:
    """A Ray cluster with one node. The path of its folder is short: those of sockets have 107 characters at most."""

    def __init__(self, processors: int = 2, **environment: str) -> None:
        if reason := missing_ray():
            pytest.skip(reason)
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._processors = processors
        self._environment = environment
        self._port, self._client_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}"
        self._starter: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._kill(self._processes())
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the head, and wait until its dashboard knows how to answer about jobs."""
        environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "RAY_USAGE_STATS_ENABLED": "0",
            _MARK: str(self.folder),
            **self._environment,
        }
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"),
            *("--port=0", f"--dashboard-port={self._port}", "--dashboard-host=127.0.0.1"),
            *("--dashboard-agent-listen-port=0", f"--ray-client-server-port={self._client_port}"),
            *("--min-worker-port=0", "--max-worker-port=0", f"--temp-dir={self.folder}"),
            *(f"--num-cpus={self._processors}", f"--object-store-memory={_OBJECT_STORE_BYTES}"),
        ]
        with (self.folder.with_suffix(".log")).open("ab") as log:
            self._starter = subprocess.Popen(
                command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not self._answers():
            assert time.monotonic() < give_up_at, log.name
            assert self._starter.poll() is None, Path(log.name).read_text()
            time.sleep(0.2)
        Path(log.name).unlink()

    def kill(self) -> None:
        """Kill the processes of Ray itself at once, as a machine that loses its power; Ray then ends the workers."""
        assert self._starter is not None
        self._kill([each for each in self._processes() if _session_of(each) == self._starter.pid])

    def submissions(self) -> list[str]:
        """Return the identifiers of the submissions that the cluster knows."""
        answer = httpx.get(f"{self.url}/api/jobs/", headers=self._headers, timeout=10).raise_for_status()
        return [each["submission_id"] for each in answer.json() if each["submission_id"]]

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/jobs/", headers=self._headers, timeout=5).is_success
        except httpx.HTTPError:
            return False

    @property
    def _headers(self) -> dict[str, str]:
        token = self._environment.get("RAY_AUTH_TOKEN")
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def _processes(self) -> list[int]:
        mark = f"{_MARK}={self.folder}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        return found

    def _kill(self, processes: list[int]) -> None:
        for each in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        if self._starter is not None:
            self._starter.wait(_PATIENCE_SECONDS)


_shared: list[RayCluster] = []


def shared_ray_cluster() -> RayCluster:
    """Return the cluster that the tests of a module share, who end it with `end_shared_ray_cluster`."""
    if not _shared:
        _shared.append(RayCluster(processors=4).__enter__())
    return _shared[0]


def end_shared_ray_cluster() -> None:
    """End the cluster of the tests of a module, if there is one."""
    while _shared:
        _shared.pop().__exit__()


def _session_of(process_id: int) -> int | None:
    try:
        return os.getsid(process_id)
    except ProcessLookupError:
        return None


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
