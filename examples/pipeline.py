"""Example of a build pipeline that uses bitbudget, from a network and a memory budget to an integer-only network.

    python -m examples.pipeline                                start a service, use it and stop it
    python -m examples.pipeline --url http://127.0.0.1:8000    use a service that is running

The pipeline needs four requests: upload the network, choose its bits, create a job, download its results. It uses only
Python's standard library, so that you can copy the parts that you need.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import sys
import time
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from examples.display import ProgressLine, layer_table, quality_table
from examples.own_service import PipelineError, running_service

DIGITS = Path(__file__).parent / "digits" / "digits.onnx"
CANCEL_SECONDS = 15


class Service:
    """HTTP client for the part of the bitbudget service that the example pipeline needs."""

    def __init__(self, url: str) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise PipelineError(f"--url is {url!r}; expected http://... or https://...")
        self.url = url.rstrip("/")
        is_here = urlsplit(url).hostname in {"127.0.0.1", "localhost"}
        self._opener = build_opener(ProxyHandler({} if is_here else None))  # a proxy cannot reach this machine

    def get(self, path: str) -> Any:
        return json.loads(self.fetch(path))

    def post(self, path: str, document: object = None, headers: dict[str, str] | None = None) -> Any:
        body = json.dumps(document).encode() if document is not None else b""
        return json.loads(self._send("POST", path, body, {"Content-Type": "application/json"} | (headers or {})))

    def upload(self, path: str, file: Path) -> Any:
        headers = {"Content-Type": "application/octet-stream"}
        return json.loads(self._send("POST", f"{path}?name={quote(file.name)}", file.read_bytes(), headers))

    def fetch(self, path: str) -> bytes:
        return self._send("GET", path, None, {})

    def _send(self, verb: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        request = Request(self.url + path, body, headers, method=verb)  # noqa: S310  # the scheme is checked above
        try:
            with self._opener.open(request, timeout=120) as response:
                content: bytes = response.read()
                return content
        except HTTPError as error:
            raise PipelineError(f"{verb} {path}: {error.code} {_detail(error)}") from error
        except (URLError, OSError) as error:
            raise PipelineError(f"{verb} {self.url}{path}: {getattr(error, 'reason', error)}") from error


def _detail(error: HTTPError) -> str:
    """Return the error message of an HTTP problem document (RFC 9457), or the standard phrase of the HTTP status."""
    try:
        return str(json.load(error)["detail"])
    except (ValueError, KeyError, TypeError):
        return str(error.reason)


def play(service: Service, network_file: Path, budget: dict[str, str], epochs: int, out: Path) -> None:
    """Run the whole example pipeline: upload a network, choose its bits, run a job and download the results."""
    network = service.upload("/v1/networks", network_file)
    print(f"uploaded    {network_file.name}: {network['parameters']:,} parameters, network {network['id'][:12]}")

    answer = service.post(f"/v1/networks/{network['id']}/fit", budget)
    if not answer["fits"]:
        short = [each for each in answer["regions"] if each["excess_bytes"]]
        missing = " and ".join(f"{each['excess_bytes']:,} bytes of {each['region']}" for each in short)
        if not short:
            together = " and ".join(answer["certificate"]["conflicting"])
            raise PipelineError(f"does not fit: the budgets of {together} cannot be met together")
        raise PipelineError(f"does not fit: {missing} are missing even with the fewest bits")
    memory, given = answer["memory"], answer["budget"]
    print(
        f"fits        {memory['flash_bytes']:,} of {given['flash_bytes']:,} bytes of flash, "
        f"{memory['ram_bytes']:,} of {given['ram_bytes']:,} bytes of RAM, by {answer['method']}"
    )

    request = budget | {"network_id": network["id"], "dataset": "digits", "training": {"epochs": epochs}}
    # With this key, a repeated request returns the job of the first request instead of a new one.
    job = service.post("/v1/jobs", request, {"Idempotency-Key": uuid.uuid4().hex})
    print(f"job         {job['id']}")
    job = watch(service, job)
    fetch_artifacts(service, job, out)
    print(f"\n{layer_table(network, job['result'])}\n\n{quality_table(job['result'])}")


def watch(service: Service, job: dict[str, Any]) -> dict[str, Any]:
    """Show the progress of a job until it has succeeded; if the pipeline ends before that, cancel the job."""
    line = ProgressLine()
    path = f"/v1/jobs/{job['id']}"
    try:
        while job["state"] in {"queued", "running"}:
            line.show(job["progress"])
            job = service.get(f"{path}?wait_seconds=30&after={job['revision']}")
    except BaseException:
        line.end()
        cancel(service, path)
        raise
    line.end()
    if job["state"] != "succeeded":
        problem = job.get("error") or {}
        raise PipelineError(f"the job has {job['state']}: {problem.get('detail', 'no reason given')}")
    return job


def cancel(service: Service, path: str) -> None:
    """Cancel a job and wait until it has ended, because its worker process would outlive the service."""
    print("cancelling the job", file=sys.stderr)
    try:
        job = service.post(f"{path}/cancel")
        deadline = time.monotonic() + CANCEL_SECONDS
        while job["state"] == "cancelling" and time.monotonic() < deadline:
            time.sleep(0.2)
            job = service.get(path)
    except PipelineError as error:
        print(f"could not cancel the job: {error}", file=sys.stderr)


def fetch_artifacts(service: Service, job: dict[str, Any], out: Path) -> None:
    """Download every file that a job produced into a directory, and check its SHA-256."""
    out.mkdir(parents=True, exist_ok=True)
    for artifact in job["artifacts"]:
        content = service.fetch(f"/v1/jobs/{job['id']}/artifacts/{quote(artifact['name'])}")
        if hashlib.sha256(content).hexdigest() != artifact["sha256"]:
            raise PipelineError(
                f"the SHA-256 of the downloaded file {artifact['name']} differs from the one that the job states"
            )
        (out / Path(artifact["name"]).name).write_bytes(content)
        print(f"fetched     {out / artifact['name']}, {artifact['size_bytes']:,} bytes, SHA-256 verified")


def end_on_signal(signum: int, frame: object) -> None:
    """Make SIGTERM end the example pipeline in the same way as Ctrl-C."""
    raise KeyboardInterrupt


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Run an example of a build pipeline that uses bitbudget.")
    parser.add_argument("--url", help="URL of a running service (default: start a service and stop it at the end)")
    parser.add_argument("--network", type=Path, default=DIGITS, help="an ONNX file for scikit-learn's digits")
    parser.add_argument("--flash", default="18kB", help="flash budget of the network")
    parser.add_argument("--ram", default="2800", help="RAM budget of the network")
    parser.add_argument("--method", default="exact", help="exact, mixpc or mixpl")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("out"), help="the directory for the artifacts")
    arguments = parser.parse_args(given)
    budget = {"flash": arguments.flash, "ram": arguments.ram, "method": arguments.method}
    started = time.monotonic()
    try:
        with nullcontext(arguments.url) if arguments.url else running_service() as url:
            service = Service(url)
            print(f"service     {service.url}", flush=True)
            play(service, arguments.network, budget, arguments.epochs, arguments.out)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    print(f"\ndone in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end_on_signal)
    sys.exit(main())
