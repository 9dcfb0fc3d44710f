"""A process of its own: fit a network over HTTP, and print how often certain functions were called.

    python -m tests.api.services.counted_fit DATA_DIRECTORY METHOD [upload]

Calls are counted by a profiler, so that it does not matter under which name a module has imported the function.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from fastapi.testclient import TestClient

from api.http.app import create_app
from api.http.service import Service
from api.operations import question
from api.settings import Settings
from network import reading
from network.budget import parse_size_bytes
from network.devices.catalogue import device_named, device_of
from network.memory.books import accounting_for
from network.sensitivity.from_weights import weight_sensitivity
from tests.api.small_files import tiny_json

COUNTED: Final[dict[CodeType, str]] = {
    device_of.__code__: "device",
    device_named.__code__: "device",
    parse_size_bytes.__code__: "size",
    question._budget.__code__: "budget",
    accounting_for.__code__: "rule book",
    reading.read_network.__code__: "network file",
    weight_sensitivity.__code__: "table",
}
DEVICE: Final = {"name": "own", "core": "cortex-m4", "flash": "60kB", "ram": "20kB", "clock_hz": 1_000_000}


def main() -> None:
    """Count during the fit alone; the profiler is there from the start, so that every thread of the service has it."""
    data, method = Path(sys.argv[1]), sys.argv[2]
    counts: Counter[str] = Counter()
    is_fitting = threading.Event()

    def count(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in COUNTED and is_fitting.is_set():
            counts[COUNTED[frame.f_code]] += 1

    threading.setprofile(count)
    sys.setprofile(count)
    with TestClient(create_app(Service.open(Settings(data_directory=data)))) as client:
        if "upload" in sys.argv:
            client.post("/v1/networks", content=tiny_json()).raise_for_status()
        (network,) = client.get("/v1/networks").raise_for_status().json()
        request: dict[str, object] = {"device": DEVICE, "ram": "9kB", "method": method}
        if method == "exact":
            request |= {"max_milliseconds": 1000, "shadow_prices": True}
        is_fitting.set()
        answer = client.post(f"/v1/networks/{network['id']}/fit", json=request).raise_for_status().json()
        is_fitting.clear()
    print(json.dumps({"counts": counts, "fits": answer["fits"], "weight_bits": answer["weight_bits"]}))


if __name__ == "__main__":
    main()
