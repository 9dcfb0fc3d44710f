"""Metrics of the service for Prometheus, at /metrics.

    counted when a request ends     requests and their seconds, by operation
    read when Prometheus asks       places, queues, ended tasks, kept answers, jobs

A label has few values: operations of the API, HTTP statuses, states, and names that stand in the code; never a path, an
identifier or a name that a caller gave. The service is one process, so that its metrics need no directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, GCCollector, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from api.execution.scheduler import Scheduler
from api.execution.webhook_deliveries import WebhookDeliveries
from api.execution.workers import Workers
from api.http.event_feed import EventFeed
from api.version import version

MEDIA_TYPE: Final = CONTENT_TYPE_LATEST

_BUCKETS: Final = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the seconds of a request in the histogram."""


class Metrics:
    """Metrics of one service.

    Args:
        workers: Processes in which the service parses and computes.
        answered: Number of questions whose answer was kept, under True, and of those that were solved, under False.
        scheduler: Scheduler of the jobs.
        events: Events of jobs for open streams.
        deliveries: Deliveries to webhooks.
    """

    def __init__(
        self,
        workers: Workers,
        answered: Mapping[bool, int],
        scheduler: Scheduler,
        events: EventFeed,
        deliveries: WebhookDeliveries,
    ) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._requests = Counter(
            "bitbudget_requests",
            "Requests that have ended; status 499: the client left before the answer.",
            ["operation", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "bitbudget_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ["operation"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_OfParts(workers, answered, scheduler, events, deliveries))

    def count_request(self, operation: str, status: int, seconds: float) -> None:
        """Count a request that has ended.

        Args:
            operation: Identifier of its operation in the OpenAPI document.
            status: Status of its answer.
            seconds: Time that it took, in seconds.
        """
        self._requests.labels(operation, str(status)).inc()
        self._seconds.labels(operation).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self._registry)


class _OfParts(Collector):
    """Collector of the numbers that parts of the service know; it computes nothing and reads no database."""

    def __init__(
        self,
        workers: Workers,
        answered: Mapping[bool, int],
        scheduler: Scheduler,
        events: EventFeed,
        deliveries: WebhookDeliveries,
    ) -> None:
        self._deliveries = deliveries
        self._events = events
        self._workers = workers
        self._answered = answered
        self._scheduler = scheduler

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics with their present values."""
        yield InfoMetricFamily("bitbudget", "Version of bitbudget.", {"version": version()})
        places = GaugeMetricFamily("bitbudget_places", "Tasks that can run at the same time.", labels=["lane"])
        in_use = GaugeMetricFamily("bitbudget_places_in_use", "Tasks that run.", labels=["lane"])
        waiting = GaugeMetricFamily("bitbudget_queue_length", "Requests that wait for a place.", labels=["lane"])
        longest = GaugeMetricFamily("bitbudget_queue_limit", "Requests that may wait.", labels=["lane"])
        refused = CounterMetricFamily("bitbudget_refused", "Requests that found the queue full.", labels=["lane"])
        ended = CounterMetricFamily(
            "bitbudget_tasks",
            "Tasks that have ended, by how: answered, refused (a fault of the input), or killed because they took too "
            "long, needed too much memory, crashed or failed, or because their client left.",
            labels=["lane", "ending"],
        )
        for lane, pool in self._workers.pools.items():
            for family, value in (
                (places, pool.places),
                (in_use, pool.running),
                (waiting, pool.waiting),
                (longest, pool.queue_length),
                (refused, pool.refused),
            ):
                family.add_metric([lane], value)
            for ending, count in pool.endings.items():
                ended.add_metric([lane, ending], count)
        yield from (places, in_use, waiting, longest, refused, ended)
        kept = CounterMetricFamily("bitbudget_answers", "Questions, by whether their answer was kept.", labels=["kept"])
        for is_kept, count in self._answered.items():
            kept.add_metric([str(is_kept).lower()], count)
        yield kept
        yield GaugeMetricFamily("bitbudget_streams", "Open streams of events of jobs.", self._events.streams)
        attempts = CounterMetricFamily(
            "bitbudget_webhook_attempts", "Attempts to deliver an event to a webhook, by outcome.", labels=["outcome"]
        )
        for outcome, count in self._deliveries.outcomes.items():
            attempts.add_metric([outcome], count)
        yield attempts
        yield GaugeMetricFamily(
            "bitbudget_webhook_attempts_running", "Attempts under way to deliver an event.", self._deliveries.running
        )
        jobs = GaugeMetricFamily("bitbudget_jobs", "Jobs of the database in each state.", labels=["state"])
        for state, number in self._scheduler.counts.items():
            jobs.add_metric([state], number)
        yield jobs
