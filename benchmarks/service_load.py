"""Load on the HTTP service: latency of questions and of /healthz while many clients ask.

    python -m benchmarks.service_load [--before FOLDER] [--clients N] [--requests N] [--training N] [--json]

Each row is measured against a service of its own, which listens on the loopback address of this machine and shares its
cores with the clients. All clients ask at the same time, each one question after another. Every question has a budget
of its own, so that no answer is kept already, except in the rows `kept answer`. A process of its own asks for /healthz
20 times a second. A client that is refused with 429 waits as long as the answer says and asks again; the time counts.

--before measures an earlier version in the same run: a folder with its source, such as a git worktree.
--training lets jobs train meanwhile: endless trainings of the example's network, which are cancelled at the end.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import numpy as np

from benchmarks.networks import mobilenet_v1
from benchmarks.service_load_table import Row, table
from network.json_reading.description import write_json

ROOT: Final = Path(__file__).parents[1]
REQUEST_SECONDS: Final = 120.0
"""Time in seconds after which a client gives up."""
HEALTH_PAUSE_SECONDS: Final = 0.05
DIGITS: Final = ROOT / "examples" / "digits" / "digits.onnx"
FLASH_BYTES, RAM_BYTES = 2_000_000, 512_000
"""Budget of the questions, about that of the paper's largest microcontroller; each question has a little less flash."""


@contextmanager
def served(source: Path, jobs: int, options: Sequence[str] = ()) -> Iterator[tuple[str, int]]:
    """Run the service of a source folder over new data, with places for jobs; yield its URL and its process id."""
    environment = os.environ | {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as data:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "api.cli.main",
                "serve",
                "--port=0",
                f"--data={data}/data",
                f"--max-jobs={max(jobs, 1)}",
                *options,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=source,
            env=environment,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


@contextmanager
def trained(url: str, jobs: int) -> Iterator[None]:
    """Let jobs train while the context is open; it begins when all of them have trained an epoch."""
    with httpx.Client(base_url=url, timeout=60) as client:
        ids = []
        if jobs:
            files = {"file": (DIGITS.name, DIGITS.read_bytes())}
            network = client.post("/v1/networks", files=files).raise_for_status().json()["id"]
        for _ in range(jobs):
            request = {"network_id": network, "dataset": "digits", "flash": "18kB", "ram": "2800"}
            request |= {"training": {"epochs": 10_000}}
            ids.append(client.post("/v1/jobs", json=request).raise_for_status().json()["id"])
        for job_id in ids:
            while not ((client.get(f"/v1/jobs/{job_id}").json()["progress"] or {}).get("epoch") or 0):
                time.sleep(0.2)
        yield
        states = [client.get(f"/v1/jobs/{job_id}").json()["state"] for job_id in ids]
        if states != ["running"] * jobs:
            raise RuntimeError(f"the jobs did not train to the end of the load: {states}")
        for job_id in ids:
            client.post(f"/v1/jobs/{job_id}/cancel")


def watch_health(url: str, end: Connection) -> None:
    """Ask for /healthz until a message comes, then send the times in seconds; a failure counts as the longest time.

    Another message says that the watch begins.
    """
    seconds: list[float] = []
    with httpx.Client(base_url=url, timeout=REQUEST_SECONDS) as client:
        client.get("/healthz").raise_for_status()
        end.send(None)
        while not (seconds and end.poll(HEALTH_PAUSE_SECONDS)):
            began = time.perf_counter()
            try:
                client.get("/healthz").raise_for_status()
            except httpx.HTTPError:
                seconds.append(REQUEST_SECONDS)
            else:
                seconds.append(time.perf_counter() - began)
    end.send(seconds)


@contextmanager
def watched(url: str, into: list[float]) -> Iterator[None]:
    """Ask for /healthz in a process of its own while the context is open; append the times in seconds."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    watcher = multiprocessing.get_context("spawn").Process(target=watch_health, args=(url, theirs))
    watcher.start()
    ours.recv()
    yield
    ours.send(None)
    into += ours.recv()
    watcher.join()


def resident_mb(process_id: int) -> float:
    """Return the largest resident memory that a process has had, in MB."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


async def ask(url: str, path: str, questions: list[list[dict[str, Any]]]) -> tuple[list[float], int, int]:
    """Let each client ask its questions one after another.

    Args:
        url: URL of the service.
        path: Path of the question.
        questions: The questions of each client.

    Returns:
        The time of each answer in seconds, the number of failures, and the number of refusals with 429.
    """
    seconds: list[float] = []
    failed = refused = 0
    limits = httpx.Limits(max_connections=None)

    async def be_a_client(own: list[dict[str, Any]]) -> None:
        nonlocal failed, refused
        for question in own:
            began = time.perf_counter()
            try:
                response = await client.post(path, json=question)
                while response.status_code == httpx.codes.TOO_MANY_REQUESTS:
                    refused += 1
                    await anyio.sleep(float(response.headers["retry-after"]))
                    response = await client.post(path, json=question)
                response.raise_for_status()
            except httpx.HTTPError:
                failed += 1
            else:
                seconds.append(time.perf_counter() - began)

    async with httpx.AsyncClient(base_url=url, timeout=REQUEST_SECONDS, limits=limits) as client:
        async with anyio.create_task_group() as connecting:
            for _ in questions:
                connecting.start_soon(client.get, "/problems")  # what a connection costs is not measured
        async with anyio.create_task_group() as group:
            for own in questions:
                group.start_soon(be_a_client, own)
    return seconds, failed, refused


def measured(version: str, source: Path, question: str, clients: int, requests: int, training: int) -> Row:
    """Measure one kind of question against a new service.

    Args:
        version: Name of the version in the row.
        source: Folder with the source of the service.
        question: "rules", "exact", or "kept answer", which is one exact question again and again.
        clients: Number of clients.
        requests: Number of questions of each client.
        training: Number of jobs that train meanwhile.
    """
    method = "mixpc" if question == "rules" else "exact"

    def asked(number: int) -> dict[str, Any]:
        budget = {"flash": FLASH_BYTES - 16 * number, "ram": RAM_BYTES}
        return {"method": method, **{name: str(size) for name, size in budget.items()}}

    numbers = np.zeros(clients * requests, int) if question == "kept answer" else 1 + np.arange(clients * requests)
    questions = [[asked(int(each)) for each in own] for own in numbers.reshape(clients, requests)]
    content = write_json(mobilenet_v1(), with_weights=False).encode()
    health: list[float] = []
    with served(source, training) as (url, process_id), trained(url, training):
        network = httpx.post(f"{url}/v1/networks", content=content, timeout=60).raise_for_status().json()["id"]
        path = f"/v1/networks/{network}/fit"
        httpx.post(f"{url}{path}", json=asked(0), timeout=60).raise_for_status()
        began = time.perf_counter()
        with watched(url, health):
            seconds, failed, refused = anyio.run(ask, url, path, questions)
        took = time.perf_counter() - began
        memory_mb = resident_mb(process_id)
    return Row(
        version=version,
        question=question,
        training=training,
        clients=clients,
        answered=len(seconds),
        failed=failed,
        refused=refused,
        per_second=len(seconds) / took,
        p50_ms=_milliseconds(seconds, 0.5),
        p99_ms=_milliseconds(seconds, 0.99),
        health_p50_ms=1000 * statistics.median(health),
        health_p99_ms=_milliseconds(health, 0.99),
        resident_mb=memory_mb,
    )


def _milliseconds(seconds: list[float], share: float) -> float:
    return float(np.quantile(seconds, share)) * 1000 if seconds else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, metavar="FOLDER", help="source of an earlier version")
    parser.add_argument("--clients", type=int, default=100, help="number of clients (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=5, help="questions of each client (default: %(default)s)")
    parser.add_argument(
        "--training", type=int, default=0, metavar="N", help="jobs that train meanwhile (default: none)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if options.clients < 1 or options.requests < 1:
        parser.error("--clients and --requests must be 1 or more")
    versions = ({"before": options.before.resolve()} if options.before else {}) | {"now": ROOT}
    rows = []
    for question in ("rules", "exact", "kept answer"):
        for clients, requests in ((1, 20), (options.clients, options.requests)):
            for version, source in versions.items():
                rows.append(measured(version, source, question, clients, requests, options.training))
                print(json.dumps(asdict(rows[-1])), file=sys.stderr, flush=True)
    print(json.dumps([asdict(row) for row in rows]) if options.json else table(rows))


if __name__ == "__main__":
    main()
