"""Memory of the HTTP service over many mixed requests, and whether it grows.

    python -m benchmarks.service_memory [--requests 20000] [--clients N] [--database URL] [--answers SIZE] [--json]

One service over new data answers requests of all kinds in a fixed random order: questions by rules and by the exact
program, kept and new; uploads that are new, known or damaged; lists, descriptions, jobs that are queued and cancelled,
events, parts of artifacts, deletions, and requests that are refused. After every 200 requests, the resident memory of
the service and of each of its helper processes is read. The slope is that of a straight line through the second half
of the samples, when all caches are full; the peak is the largest sample. For this, the kept answers have a limit that
is reached after about 2,000 requests; with that of `bitbudget serve`, the table of their names grows to 5 MB at most.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

import httpx
import numpy as np

from benchmarks.networks import mobilenet_v1
from benchmarks.service_load import DIGITS, ROOT, served
from network.json_reading.description import write_json

SAMPLED_REQUESTS: Final = 200
"""Number of requests between two samples."""
DIGITS_BUDGET: Final = {"flash": "18kB", "ram": "2800"}
_SEED: Final = 2026
_REFUSED: Final = frozenset({404, 409, 422, 429})
"""Statuses of requests that are meant to be refused, and of a full queue."""


@dataclass(frozen=True)
class Sample:
    """Memory of the processes of a service after some requests.

    Attributes:
        requests: Number of requests so far.
        service_mb: Resident memory of the process that answers HTTP, in MB.
        helpers_mb: Resident memory of the largest of its helper processes, in MB.
        helpers: Number of its helper processes.
    """

    requests: int
    service_mb: float
    helpers_mb: float
    helpers: int


@dataclass(frozen=True)
class Growth:
    """Growth of the memory of a process over the second half of the samples.

    Attributes:
        first_mb: Median of the first tenth of these samples, in MB.
        last_mb: Median of their last tenth, in MB.
        peak_mb: Largest of all samples, in MB.
        kb_per_thousand: Slope in kB per thousand requests.
    """

    first_mb: float
    last_mb: float
    peak_mb: float
    kb_per_thousand: float

    @classmethod
    def of(cls, requests: Sequence[int], megabytes: Sequence[float]) -> Growth:
        half = len(requests) // 2
        late, tenth = megabytes[half:], max(1, (len(requests) - half) // 10)
        slope = float(np.polyfit(requests[half:], late, 1)[0])
        first, last = float(np.median(late[:tenth])), float(np.median(late[-tenth:]))
        return cls(first, last, max(megabytes), slope * 1e6)


class Mix:
    """Requests of all kinds to one service, each of which one client sends.

    Args:
        client: Client of the service.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._numbers = count(1)
        self._mobilenet = write_json(mobilenet_v1(), with_weights=False)
        self.network = self._uploaded("/v1/networks", "mobilenet.json", self._mobilenet.encode())
        self.digits = self._uploaded("/v1/networks", DIGITS.name, DIGITS.read_bytes())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "data.npz"
            np.savez(path, train_x=np.zeros((64, 1, 8, 8), np.float32), train_y=np.arange(64) % 10)
            self._dataset = path.read_bytes()
        body = {"kind": "fit", "network_id": self.digits, **DIGITS_BUDGET}
        self.job = str(client.post("/v1/jobs", json=body).raise_for_status().json()["id"])
        client.get(f"/v1/jobs/{self.job}", params={"wait_seconds": 60}).raise_for_status()
        self.kinds: dict[str, tuple[int, Callable[[Random], httpx.Response]]] = {
            "kept answer": (20, lambda _: self._fit(self.network, flash="2MB", ram="512kB")),
            "rules": (15, lambda draw: self._fit(self.network, **_near(draw), method="mixpc")),
            "exact": (10, lambda draw: self._fit(self.digits, flash=str(draw.randrange(9_000, 18_000)), ram="2800")),
            "devices": (3, lambda draw: self._ask("devices", devices=["nrf52840"], reserved_ram=draw.randrange(9_000))),
            "pareto": (2, lambda draw: self._ask("pareto", ram=str(draw.randrange(2_000, 3_000)), points=3)),
            "new network": (5, self._upload_new),
            "known network": (3, lambda _: self._post_file("/v1/networks", DIGITS.name, DIGITS.read_bytes())),
            "damaged network": (3, lambda draw: self._post_file("/v1/networks", "a.onnx", draw.randbytes(3_000))),
            "dataset": (2, lambda _: self._post_file("/v1/datasets", "data.npz", self._dataset)),
            "job": (2, self._start_and_cancel),
            "invalid": (6, lambda _: client.post(f"/v1/networks/{self.network}/fit", json={"flash": "18kb"})),
            "missing": (4, lambda draw: client.get(f"/v1/networks/{draw.randbytes(32).hex()}")),
            "lists": (8, lambda draw: client.get(f"/v1/{draw.choice(['networks', 'datasets', 'jobs', 'devices'])}")),
            "descriptions": (8, lambda draw: client.get(f"/v1/networks/{draw.choice([self.network, self.digits])}")),
            "events": (3, lambda _: client.get(f"/v1/jobs/{self.job}/events")),
            "artifact": (3, self._part_of_artifact),
            "health": (3, lambda _: client.get("/healthz")),
        }

    def send(self, draw: Random) -> tuple[str, int]:
        """Send one request of a random kind, and return the kind and the status of the answer."""
        [kind] = draw.choices(list(self.kinds), [weight for weight, _ in self.kinds.values()])
        response = self.kinds[kind][1](draw)
        if response.status_code not in _REFUSED:
            response.raise_for_status()
        return kind, response.status_code

    def _fit(self, network: str, **question: Any) -> httpx.Response:
        return self._client.post(f"/v1/networks/{network}/fit", json=question)

    def _ask(self, kind: str, **question: Any) -> httpx.Response:
        return self._client.post(f"/v1/networks/{self.digits}/{kind}", json=question)

    def _post_file(self, path: str, name: str, content: bytes) -> httpx.Response:
        return self._client.post(path, files={"file": (name, content)})

    def _uploaded(self, path: str, name: str, content: bytes) -> str:
        return str(self._post_file(path, name, content).raise_for_status().json()["id"])

    def _upload_new(self, draw: Random) -> httpx.Response:
        """Upload a network that the service does not have, ask about it, and delete it."""
        content = self._mobilenet.replace("conv1", f"first{next(self._numbers)}")
        response = self._post_file("/v1/networks", "new.json", content.encode())
        if response.is_success:
            network = response.json()["id"]
            self._fit(network, **_near(draw), method="mixpl")
            return self._client.delete(f"/v1/networks/{network}")
        return response

    def _start_and_cancel(self, _: Random) -> httpx.Response:
        body = {"kind": "fit", "network_id": self.digits, **DIGITS_BUDGET, "time_limit_seconds": 3600.0}
        response = self._client.post("/v1/jobs", json=body)
        if not response.is_success:
            return response
        path = f"/v1/jobs/{response.json()['id']}"
        self._client.post(f"{path}/cancel")
        self._client.get(path, params={"wait_seconds": 30})
        return self._client.delete(path)

    def _part_of_artifact(self, draw: Random) -> httpx.Response:
        part = {"Range": f"bytes={draw.randrange(100)}-{draw.randrange(100, 900)}"}
        return self._client.get(f"/v1/jobs/{self.job}/artifacts/report.json", headers=part)


def _near(draw: Random) -> dict[str, str]:
    return {"flash": str(2_000_000 - draw.randrange(100_000)), "ram": "512kB"}


def memory_of(process_id: int, requests: int) -> Sample:
    """Read the resident memory of a service and of its helper processes."""
    helpers = [resident for child in _descendants(process_id) if (resident := _resident_mb(child))]
    return Sample(requests, _resident_mb(process_id), max(helpers, default=0.0), len(helpers))


def _descendants(process_id: int) -> list[int]:
    found: list[int] = []
    for listed in Path(f"/proc/{process_id}/task").glob("*/children"):
        try:
            children = [int(child) for child in listed.read_text().split()]
        except OSError:  # the thread has ended
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _resident_mb(process_id: int) -> float:
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:  # it has ended
        return 0.0
    return int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6 if "VmRSS:" in status else 0.0


def measured(
    requests: int, clients: int, database: str | None, max_answers: str
) -> tuple[list[Sample], Counter[str], float]:
    """Send requests to a new service; return the samples, the numbers of kinds and statuses, and the seconds."""
    samples: list[Sample] = []
    seen: Counter[str] = Counter()
    options = [f"--max-answers-size={max_answers}", *([] if database is None else [f"--database={database}"])]
    with served(ROOT, 1, options) as (url, process_id), httpx.Client(base_url=url, timeout=120) as client:
        mix = Mix(client)
        draws = [Random(_SEED + number) for number in range(clients)]  # noqa: S311  # a repeatable order
        began = time.perf_counter()

        def send_some(draw: Random) -> list[tuple[str, int]]:
            return [mix.send(draw) for _ in range(SAMPLED_REQUESTS // clients)]

        with ThreadPoolExecutor(clients) as pool:
            while sum(seen.values()) < 2 * requests:
                for answers in pool.map(send_some, draws):
                    seen.update(kind for kind, _ in answers)
                    seen.update(f"status {status}" for _, status in answers)
                samples.append(memory_of(process_id, sum(seen.values()) // 2))
                if len(samples) % 10 == 0:
                    print(json.dumps(asdict(samples[-1])), file=sys.stderr, flush=True)
        took_seconds = time.perf_counter() - began
    return samples, seen, took_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="number of requests (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="number of clients (default: %(default)s)")
    parser.add_argument("--database", metavar="URL", help="database of the service (default: SQLite)")
    parser.add_argument(
        "--answers", metavar="SIZE", default="4MiB", help="size of all kept answers (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.requests < 4 * SAMPLED_REQUESTS or not 1 <= options.clients <= SAMPLED_REQUESTS:
        parser.error(f"--requests must be {4 * SAMPLED_REQUESTS} or more, --clients 1 to {SAMPLED_REQUESTS}")
    samples, seen, seconds = measured(options.requests, options.clients, options.database, options.answers)
    numbers = [sample.requests for sample in samples]
    growth = {
        "service": Growth.of(numbers, [sample.service_mb for sample in samples]),
        "largest helper": Growth.of(numbers, [sample.helpers_mb for sample in samples]),
    }
    if options.json:
        print(json.dumps({name: asdict(each) for name, each in growth.items()} | {"seconds": seconds, "seen": seen}))
        return
    print(
        f"{numbers[-1]:,} requests in {seconds:.0f} s; most helpers at a time: {max(each.helpers for each in samples)}"
    )
    print(", ".join(f"{number:,} {what}" for what, number in sorted(seen.items())))
    print("| process | middle MB | end MB | peak MB | kB per 1,000 requests |\n| --- | --: | --: | --: | --: |")
    for name, each in growth.items():
        figures = f"{each.first_mb:.1f} | {each.last_mb:.1f} | {each.peak_mb:.1f} | {each.kb_per_thousand:+.1f}"
        print(f"| {name} | {figures} |")


if __name__ == "__main__":
    main()
