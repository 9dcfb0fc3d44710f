"""Tasks for a pool that do on purpose what a hostile file could make a reader do."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from network.errors import InvalidNetwork
from network.json_reading.description import read_json


def run(request: bytes) -> bytes:
    """Do what the request says, with real code: nothing here simulates an ending."""
    what, _, argument = request.decode().partition(" ")
    return SCRIPTS[what](argument)


def processes(_: str) -> bytes:
    return json.dumps([os.getpid(), os.getppid()]).encode()


def loop(argument: str) -> bytes:
    """Announce this process in a file that the test reads, and never end."""
    Path(argument).write_text(str(os.getpid()))
    while True:
        pass


def loop_with_child(argument: str) -> bytes:
    """Announce a child process, which a solver of PuLP would be, and wait for it."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(argument).write_text(str(child.pid))
    child.wait()
    return b""


def wait_for_file(argument: str) -> bytes:
    while not Path(argument).exists():
        time.sleep(0.005)
    return b"waited"


def misleading(_: str) -> bytes:
    try:
        bytearray(2**40)
    except MemoryError as error:
        raise InvalidNetwork("the file is damaged") from error
    return b""


def crash(_: str) -> bytes:
    ctypes.string_at(0)
    return b""


def leave(argument: str) -> bytes:
    os._exit(int(argument))


def refuse(_: str) -> bytes:
    read_json(b"[]", "task")
    return b""


def refusal_of(action: Callable[[], object]) -> str:
    """Return the name of the error number with which the system refuses an action; "done" if it does not."""
    try:
        action()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "done"


def read_file(argument: str) -> bytes:
    return refusal_of(Path(argument).read_bytes).encode()


def write_file(argument: str) -> bytes:
    return refusal_of(lambda: Path(argument).write_text("text")).encode()


def connect(argument: str) -> bytes:
    return refusal_of(lambda: socket.create_connection(("127.0.0.1", int(argument)), timeout=2)).encode()


def end_process(argument: str) -> bytes:
    return refusal_of(lambda: os.kill(int(argument), signal.SIGTERM)).encode()


def use_scratch(_: str) -> bytes:
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(b"text")
    return file.name.encode()


KEPT: list[bytearray] = []


def keep(argument: str) -> bytes:
    """Allocate memory and keep it, as a process does whose heap has grown."""
    KEPT.append(bytearray(int(argument)))
    return b""


SCRIPTS: Mapping[str, Callable[[str], bytes]] = {
    "echo": lambda argument: argument.encode(),
    "processes": processes,
    "loop": loop,
    "wait": wait_for_file,
    "allocate": lambda argument: str(len(bytearray(int(argument)))).encode(),
    "keep": keep,
    "large": lambda argument: bytes(int(argument)),
    "misleading": misleading,
    "crash": crash,
    "exit": leave,
    "refuse": refuse,
    "child": loop_with_child,
    "read": read_file,
    "write": write_file,
    "connect": connect,
    "end": end_process,
    "scratch": use_scratch,
}


def tasks() -> Mapping[str, Callable[[bytes], bytes]]:
    """Return the only task by its name."""
    return {"run": run}
