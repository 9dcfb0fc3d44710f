"""Record the examples of the OpenAPI document from a running service: `python docs/openapi_examples.py`.

Each example is a request that was sent, or an answer that came, for `examples/digits/digits.onnx`. Run it when
requests or answers change; a test checks the examples against their schemas.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, Final

import httpx

from api.http.openapi_examples import FILE

NETWORK: Final = Path(__file__).parents[1] / "examples/digits/digits.onnx"
BUDGET: Final = {"flash": "18kB", "ram": 2800}
TRAINING: Final = {"epochs": 0, "calibration_samples": 64}
TIMEOUT_SECONDS: Final = 120.0

Examples = dict[str, dict[str, Any]]


class _Recorder:
    """Client that keeps requests and answers as examples, by the name of the operation.

    Args:
        url: URL of the service.
        names: Method and path, as the OpenAPI document writes it -> name of the operation.
    """

    def __init__(self, url: str, names: dict[tuple[str, str], str]) -> None:
        self._http = httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS)
        self._names = names
        self.examples: Examples = {}

    def send(self, method: str, path: str, title: str = "", *, keep: bool = True, **options: Any) -> Any:
        """Send a request, and return the JSON of its answer; `title` names an example of the request."""
        answer = self._http.request(method, path, **options)
        name = next(
            name
            for (known, pattern), name in self._names.items()
            if known == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path.partition("?")[0])
        )
        found = self.examples.setdefault(name, {"requests": {}, "answers": {}})
        if title:
            found["requests"][title] = options["json"]
        if keep and answer.content:
            found["answers"].setdefault(f"{answer.status_code}", answer.json())
        return answer.json() if answer.content else None


def record(url: str, receiver_url: str) -> Examples:
    """Return the examples of all operations with JSON, from a service that is empty.

    Args:
        url: URL of the service.
        receiver_url: URL that accepts webhooks.
    """
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    names = {
        (method.upper(), path): each["operationId"] for path, item in paths.items() for method, each in item.items()
    }
    recorder = _Recorder(url, names)
    send = recorder.send
    for path in ("/", "/healthz", "/v1/project", "/problems/not-found", "/v1/devices/stm32l432kc", "/v1/devices/none"):
        send("GET", path)
    network = send("POST", "/v1/networks", files={"file": ("digits.onnx", NETWORK.read_bytes())})["id"]
    send("POST", "/v1/networks", files={"file": ("digits.onnx", NETWORK.read_bytes())})
    send("GET", f"/v1/networks/{network}")
    send("GET", "/v1/datasets/digits")
    for path in ("/v1/networks", "/v1/datasets", "/v1/devices", "/problems"):
        send("GET", path, params={"limit": 2})
    questions = f"/v1/networks/{network}"
    fit: dict[str, Any] = {"device": "stm32l432kc", "reserved_flash": "238 KiB", "reserved_ram": "61 KiB"}
    send("POST", f"{questions}/fit", "a budget", json=BUDGET)
    send("POST", f"{questions}/fit", "a device", json=fit)
    send("POST", f"{questions}/fit", "fixed bits", json=BUDGET | {"allowed_weight_bits": {"*": [8, 4]}})
    send("POST", f"{questions}/fit", json={"flash": "18kb"})
    send("POST", f"{questions}/devices", "two devices", json={"devices": ["stm32l432kc", "nrf52840"]})
    send("POST", f"{questions}/pareto", "five budgets of flash", json={"ram": 2800, "points": 5})
    measured = {"dataset": "digits", "samples": 64}
    send("POST", f"{questions}/sensitivity", "64 samples", json=measured)
    job = {"network_id": network, "dataset": "digits"}
    training = {"kind": "training", **job, **BUDGET, "training": TRAINING}
    shrink = {"kind": "shrink", **job, "max_loss": 0.5}
    created = send("POST", "/v1/jobs", "a training", json=training)["id"]
    send("POST", "/v1/jobs", json=training | {"flash": "5kB"})
    other = send("POST", "/v1/jobs", "the least bytes", json=shrink)["id"]
    send("POST", f"/v1/jobs/{other}/cancel")
    send("POST", f"/v1/jobs/{other}/retry")
    send("POST", f"/v1/jobs/{other}/cancel")
    sent = {"network": ("digits.onnx", NETWORK.read_bytes())}
    send("POST", "/v1/pipeline", files=sent, data={"request": json.dumps({"kind": "fit", **BUDGET})})
    whole = {"kind": "training", "dataset": "digits", **BUDGET, "training": TRAINING}
    answered = send("POST", "/v1/pipeline", files=sent, data={"request": json.dumps(whole)})
    send("POST", f"/v1/jobs/{answered['job']['id']}/cancel", keep=False)
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "43326", "Upload-Metadata": "name ZGF0YQ=="}
    piece = send("POST", "/v1/uploads", headers=tus)["id"]
    send("GET", f"/v1/uploads/{piece}")
    _record_webhooks(send, receiver_url)
    while send("GET", f"/v1/jobs/{created}", keep=False, params={"wait_seconds": 60})["state"] != "succeeded":
        pass
    for path in ("", "/artifacts", "/deployment"):
        send("GET", f"/v1/jobs/{created}{path}")
    send("GET", "/readyz")
    send("GET", "/v1/jobs", params={"limit": 1, "state": "succeeded"})
    return {name: each for name, each in sorted(recorder.examples.items()) if any(each.values())}


def _record_webhooks(send: Callable[..., Any], receiver_url: str) -> None:
    wanted = {"url": "https://ci.example.com/hooks/bitbudget", "events": ["job.succeeded", "job.failed"]}
    created = send("POST", "/v1/webhooks", "endings of jobs", json=wanted)["id"]
    send("GET", f"/v1/webhooks/{created}")
    send("GET", "/v1/webhooks")
    send("POST", f"/v1/webhooks/{created}/enable")
    pinged = send("POST", "/v1/webhooks", keep=False, json={"url": receiver_url})["id"]
    path = f"/v1/webhooks/{pinged}/deliveries"
    delivery = f"{path}/{send('POST', f'/v1/webhooks/{pinged}/ping')['id']}"
    while send("GET", delivery, keep=False)["state"] != "delivered":
        time.sleep(0.1)
    send("GET", delivery)
    send("GET", path, params={"limit": 1})
    send("POST", f"{delivery}/redeliver")


class _Receiver(BaseHTTPRequestHandler):
    """Receiver of webhooks that accepts everything."""

    def do_POST(self) -> None:
        """Accept a delivery."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def main() -> None:
    """Start a service, record the examples, and write them to the file from which the document takes them."""
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    Thread(target=receiver.serve_forever, daemon=True).start()
    with TemporaryDirectory() as folder, receiver:
        command = [sys.executable, "-m", "api.cli.main", "serve", "--port=0", f"--data={folder}/data"]
        command += ["--webhook-networks=127.0.0.0/8"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:  # noqa: S603  # our own command
            try:
                assert service.stdout is not None  # noqa: S101  # it is a pipe
                examples = record(service.stdout.readline().strip(), f"http://127.0.0.1:{receiver.server_port}/")
            finally:
                service.terminate()
    FILE.write_text(json.dumps(examples, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
