"""Traces in the form of OpenTelemetry, sent to a collector by OTLP over HTTP: extra `tracing`, setting `otlp_endpoint`.

    span of a request (FastAPI)
      ├── span of each task in a process with limits
      └── span of each attempt to run the job that the request created, from the worker of the job

Without the setting, nothing of OpenTelemetry's SDK is imported. Its environment variables OTEL_TRACES_SAMPLER,
OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS work as its documentation says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from api.version import version
from network.errors import RequestError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

EXPORT_SECONDS: Final = 2.0
"""Longest time in seconds to send spans to the collector; the end of the service may wait as long."""
_NAME: Final = "bitbudget"

Note = Callable[..., None]
"""Function that adds attributes, given as keyword arguments, to a span."""


class Tracing:
    """Source of spans for one process.

    Args:
        provider: Provider of OpenTelemetry's SDK; None to make no spans.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.provider = provider

    @classmethod
    def to(cls, endpoint: str | None) -> Tracing:
        """Return the source of spans that are sent to a collector.

        Args:
            endpoint: URL of the collector, without the path /v1/traces; None for no spans.

        Raises:
            RequestError: If the extra `tracing` is not installed.
        """
        if endpoint is None:
            return cls()
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise RequestError(
                f"traces need a package that is missing ({error.name}); install bitbudget[tracing], or leave out "
                "BITBUDGET_OTLP_ENDPOINT"
            ) from error
        provider = TracerProvider(
            resource=Resource.create({"service.name": _NAME, "service.version": version()}), shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    @contextmanager
    def span(self, name: str, *, parent: str | None = None, **attributes: str | int) -> Iterator[Note]:
        """Make a span of the work inside of the context; the context's value adds further attributes.

        Args:
            name: Name of the span.
            parent: Value of `traceparent` of a span in another process; None for the present span.
            attributes: Attributes of the span; the prefix "bitbudget." is added to their names.
        """
        if self.provider is None:
            yield lambda **_: None
            return
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = None if parent is None else TraceContextTextMapPropagator().extract({"traceparent": parent})
        tracer = self.provider.get_tracer(_NAME, version())
        with tracer.start_as_current_span(name, context, attributes=_named(attributes)) as span:
            yield lambda **more: span.set_attributes(_named(more))

    def traceparent(self) -> str | None:
        """Return the present span in the form of the W3C, for another process; None outside of a span."""
        if self.provider is None:
            return None
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get("traceparent")

    def close(self) -> None:
        """Send all spans, and end; this may wait for `EXPORT_SECONDS`."""
        if self.provider is not None:
            self.provider.shutdown()


NO_TRACING: Final = Tracing()
"""Source that makes no spans."""


def _named(attributes: dict[str, str | int]) -> dict[str, str | int]:
    return {f"{_NAME}.{name}": value for name, value in attributes.items()}
