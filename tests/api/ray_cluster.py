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
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Node:
    """A further node of a cluster, with the process that keeps it."""

    starter: subprocess.Popen[bytes]


class RayCluster:
    """A Ray cluster with one node. The path of its folder is short: those of sockets have 107 characters at most."""

    def __init__(self, processors: int = 2, **environment: str) -> None:
        if reason := missing_ray():
            pytest.skip(reason)
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._processors = processors
        self._environment = environment
        self._port, self._client_port, self._head_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self._port}"
        self._starter: subprocess.Popen[bytes] | None = None
        self._starters: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        while living := self._processes():  # one may start another one while it is killed
            self._kill(living)
            for starter in self._starters:
                starter.wait(_PATIENCE_SECONDS)
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the head, and wait until its dashboard knows how to answer about jobs."""
        self._starter = self._start(
            *("--head", f"--port={self._head_port}", f"--dashboard-port={self._port}", "--dashboard-host=127.0.0.1"),
            *(f"--ray-client-server-port={self._client_port}", f"--temp-dir={self.folder}"),
            f"--num-cpus={self._processors}",
        )
        self._wait(self._answers)

    def add_node(self, processors: int) -> Node:
        """Start a further node of the cluster on this machine, and wait until its jobs can run there."""
        before = self._nodes()
        node = Node(self._start(f"--address=127.0.0.1:{self._head_port}", f"--num-cpus={processors}"))
        self._wait(lambda: bool(self._nodes() - before))
        return node

    def kill(self) -> None:
        """Kill the processes of the head at once, as a machine that loses its power; Ray then ends the workers."""
        assert self._starter is not None
        self._kill_session(self._starter)

    def kill_node(self, node: Node) -> None:
        """Kill the processes of a node at once."""
        self._kill_session(node.starter)

    def _kill_session(self, starter: subprocess.Popen[bytes]) -> None:
        self._kill([each for each in self._processes() if _session_of(each) == starter.pid])
        starter.wait(_PATIENCE_SECONDS)

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(ROOT),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "disabled",  # a token in the home directory, which some earlier program made, is not used
            _MARK: str(self.folder),
            **self._environment,
        }
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats", *options),
            *("--dashboard-agent-listen-port=0", "--min-worker-port=0", "--max-worker-port=0"),
            f"--object-store-memory={_OBJECT_STORE_BYTES}",
        ]
        with (self.folder / "start.log").open("ab") as log:
            starter = subprocess.Popen(
                command, env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )

        self._starters.append(starter)
        return starter

    def _wait(self, condition: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < give_up_at, (self.folder / "start.log").read_text()
            time.sleep(0.2)

    def _nodes(self) -> set[str]:
        """Return the identifiers of living nodes, as the dashboard knows them: it notices a lost node late."""
        answer = httpx.get(f"{self.url}/nodes?view=summary", headers=self._headers, timeout=10).raise_for_status()
        raylets = [each["raylet"] for each in answer.json()["data"]["summary"]]
        return {each["nodeId"] for each in raylets if each["state"] == "ALIVE"}

    @property
    def address(self) -> str:
        """Address of the cluster for `ray.init`."""
        return f"127.0.0.1:{self._head_port}"

    def submissions(self) -> list[str]:
        """Return the identifiers of the submissions that the cluster knows."""
        answer = httpx.get(f"{self.url}/api/jobs/", headers=self._headers, timeout=10).raise_for_status()
        return [each["submission_id"] for each in answer.json() if each["submission_id"]]

    def names(self) -> list[tuple[int, str]]:
        """Return process id and command line of each process of the cluster; Ray names those of tasks after them."""
        found = []
        for each in self._processes():
            with contextlib.suppress(OSError):
                found.append((each, Path(f"/proc/{each}/cmdline").read_bytes().decode(errors="replace")))
        return found

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


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address on which nothing listens at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
