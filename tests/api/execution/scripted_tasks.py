"""Tasks for a pool that do on purpose what a hostile file could make a reader do."""

from __future__ import annotations

import ctypes
import json
import os
import time
from pathlib import Path

from network.errors import InvalidNetwork
from network.json_reading.description import read_json


def run(request: bytes) -> bytes:
    """Do what the request says, with real code: nothing here simulates an ending."""
    what, _, argument = request.decode().partition(" ")
    if what == "echo":
        return argument.encode()
    if what == "processes":
        return json.dumps([os.getpid(), os.getppid()]).encode()
    if what == "loop":
        Path(argument).write_text(str(os.getpid()))
        while True:
            pass
    if what == "sleep":
        time.sleep(float(argument))
        return b"slept"
    if what == "allocate":
        return str(len(bytearray(int(argument)))).encode()
    if what == "misleading":
        try:
            bytearray(2**40)
        except MemoryError as error:
            raise InvalidNetwork("the file is damaged") from error
    if what == "crash":
        ctypes.string_at(0)
    if what == "exit":
        os._exit(int(argument))
    if what == "refuse":
        read_json(b"[]", "task")
    raise KeyError(what)
