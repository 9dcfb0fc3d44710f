"""Task of a process with limits: read a network file, and measure time and memory."""

from __future__ import annotations

import json
import resource
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import network.onnx_reading
import network.tflite_reading  # noqa: F401  # imported before the fork, so that no import is measured
from network.errors import NetworkError
from network.reading import read_network


def run(content: bytes) -> bytes:
    """Return JSON: why the file is refused, if it is, processor seconds, and growth of the resident memory."""
    before = _resident_bytes()
    began = time.process_time()
    try:
        read_network(content, "mutant", lambda _: bytes(1000))
    except NetworkError as error:
        refusal = str(error)
    else:
        refusal = ""
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return json.dumps({"refusal": refusal, "seconds": seconds, "growth_bytes": peak - before}).encode()


def _resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def tasks() -> Mapping[str, Callable[[bytes], bytes]]:
    """Return the only task by its name."""
    return {"read": run}
