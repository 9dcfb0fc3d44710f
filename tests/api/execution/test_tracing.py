"""Traces: what a collector receives over HTTP from a real service."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from api.execution.tracing import Tracing
from tests.api.local_service import local_service
from tests.api.small_files import tiny_dataset, tiny_json

FIT = {"flash": 400, "ram": 60, "method": "mixpc", "accounting": "paper"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def collector() -> Iterator[tuple[str, list[Span]]]:
    """Run a collector of traces; yield its URL, and the list that receives the spans."""
    received: list[Span] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    received.extend(scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_request_and_its_tasks_are_one_trace(tmp_path: Path) -> None:
    with collector() as (url, spans):
        with local_service(tmp_path / "data", otlp_endpoint=url) as (_, client):
            network_id = client.post("/v1/networks", content=tiny_json()).json()["id"]
            parent = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            client.post(f"/v1/networks/{network_id}/fit", json=FIT, headers=parent).raise_for_status()
            client.get("/healthz", headers=parent)
        of_trace = [span for span in spans if span.trace_id.hex() == TRACE]
    by_name = {span.name: span for span in of_trace}
    assert by_name.keys() == {"POST /v1/networks/{network_id}/fit", "task solve"}
    request, task = by_name["POST /v1/networks/{network_id}/fit"], by_name["task solve"]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert task.parent_span_id == request.span_id
    assert request.start_time_unix_nano <= task.start_time_unix_nano < task.end_time_unix_nano
    attributes = {each.key: each.value.string_value for each in task.attributes}
    assert attributes == {"bitbudget.ending": "answered"}


def test_a_collector_that_does_not_answer_delays_nothing_for_long(tmp_path: Path) -> None:
    with local_service(tmp_path / "data", otlp_endpoint="http://127.0.0.1:9") as (_, client):
        assert client.get("/v1/jobs").is_success


def test_without_the_setting_nothing_is_imported() -> None:
    code = (
        "import sys, api.cli.commands.serve, api.http.service\n"
        "from api.execution.tracing import NO_TRACING\n"
        "with NO_TRACING.span('x') as note: note(a=1)\n"
        "assert NO_TRACING.traceparent() is None\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


def test_a_span_continues_that_of_another_process() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider)
    with tracing.span("first"):
        parent = tracing.traceparent()
    assert parent is not None
    assert tracing.traceparent() is None
    with tracing.span("second", parent=parent, job="7") as note:
        note(attempt=2)
    first, second = exporter.get_finished_spans()
    assert second.parent is not None
    assert (second.context.trace_id, second.parent.span_id) == (first.context.trace_id, first.context.span_id)
    assert second.attributes == {"bitbudget.job": "7", "bitbudget.attempt": 2}


def test_a_job_is_in_the_log_and_the_trace_of_its_request(tmp_path: Path) -> None:
    with collector() as (url, spans):
        options = {"otlp_endpoint": url, "log_format": "json"}
        with local_service(tmp_path / "data", **options) as (service, client):
            request = {
                "network_id": client.post("/v1/networks", content=tiny_json()).json()["id"],
                "dataset": client.post("/v1/datasets", content=tiny_dataset()).json()["id"],
                "training": {"epochs": 0, "threads": 1},
                **FIT,
            }
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "build 7"}
            job = client.post("/v1/jobs", json=request, headers=headers).raise_for_status().json()
            ended = client.get(f"/v1/jobs/{job['id']}?wait_seconds=60").json()
            assert ended["state"] == "succeeded", ended
            kept = service.store.job(job["id"])
            log = (service.settings.jobs_directory / job["id"] / "log.txt").read_text()
    assert kept is not None
    assert kept.request_id == "build 7"
    lines = [json.loads(line) for line in log.splitlines()]
    assert {(line["request_id"], line["job"], line["attempt"]) for line in lines} == {("build 7", job["id"], 1)}
    (attempt,) = (span for span in spans if span.name == "job attempt")
    (posted,) = (span for span in spans if span.name == "POST /v1/jobs")
    assert attempt.trace_id.hex() == TRACE
    assert attempt.parent_span_id == posted.span_id
    assert {each.key for each in attempt.attributes} == {"bitbudget.job", "bitbudget.attempt", "bitbudget.kind"}
