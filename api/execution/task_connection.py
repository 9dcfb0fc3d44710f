"""A started server that forks tasks, with the connection to it.

Everything but `reap` runs on the event loop of the service and never blocks it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

from api.execution.task_messages import MAX_MESSAGE_BYTES, TaskStart, packed, packed_start, unpacked

LOG: Final = logging.getLogger("bitbudget.tasks")

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_START_SECONDS: Final = 60.0
"""Longest time in seconds in which a server must have imported everything."""
_END_SECONDS: Final = 2.0
"""Time in seconds for a server to end after its connection is closed, before it is killed."""
_ALONE: Final = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JOBLIB_MULTIPROCESSING": "0",
}
"""Environment of the server: threads and processes of a library would not survive the fork."""


class ServerLost(Exception):
    """Error: the server that forks tasks ended."""


class TaskServer:
    """A started `task_server` with the connection to it."""

    def __init__(self, tasks: str) -> None:
        self._loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost = asyncio.Event()
        self._statuses: dict[int, asyncio.Future[int | None]] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # the command is ours, and its arguments are not from a shell
                [sys.executable, "-m", "api.execution.task_server", f"--tasks={tasks}", f"--control={theirs.fileno()}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=os.environ | _ALONE | {"PYTHONPATH": os.pathsep.join(_import_path())},
            )
        self._loop.add_reader(self._control, self._receive)

    def start(self, start: TaskStart) -> tuple[socket.socket, asyncio.Future[int | None]]:
        """Start a task; return the connection to it, and its exit status when it has ended (None: not known).

        Raises:
            ServerLost: If the server has ended.
        """
        if self.lost.is_set():
            raise ServerLost
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [packed_start(start)], [theirs.fileno()])
            except OSError:
                ours.close()
                self.close()
                raise ServerLost from None
        status = self._statuses[start.number] = self._loop.create_future()
        return ours, status

    def kill(self, number: int) -> None:
        """Kill a task."""
        if self.lost.is_set():
            return
        try:
            self._control.send(packed("kill", number=number))
        except OSError:
            self.close()

    async def until_ready(self) -> None:
        """Wait until tasks can start.

        Raises:
            ServerLost: If the server ends, or is not ready in time.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self.ready), _START_SECONDS)
        except TimeoutError:
            self.close()
            raise ServerLost from None

    def close(self) -> None:
        """Close the connection: no more tasks start, the server kills those that run and ends."""
        if self.lost.is_set():
            return
        self.lost.set()
        self._loop.remove_reader(self._control)
        self._control.close()
        if not self.ready.done():
            self.ready.set_exception(ServerLost())
            self.ready.exception()  # there may be nothing that waits for it
        for status in self._statuses.values():
            status.set_result(None)
        self._statuses.clear()

    def reap(self) -> None:
        """Wait until a closed server has ended; kill it if it does not, or if it still imports and runs no task."""
        has_started = self.ready.exception() is None
        try:
            self._process.wait(_END_SECONDS if has_started else 0)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # the kernel then kills its tasks
            self._process.wait()

    def _receive(self) -> None:
        try:
            message = self._control.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self.close()
            return
        kind, values = unpacked(message)
        if kind == "ended":
            self._statuses.pop(values["number"]).set_result(values["status"])
        elif kind == "ready" and not self.ready.done():
            if values["missing"]:
                LOG.warning("tasks run with %s", ", and ".join(values["missing"]))
            self.ready.set_result(None)


def _import_path() -> list[str]:
    """Return the directories in which the server finds the packages of bitbudget, installed or not."""
    return [str(_PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
