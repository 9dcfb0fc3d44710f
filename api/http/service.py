"""The service of one data directory, opened as a whole: database, processes, job scheduler, metrics and traces."""

from __future__ import annotations

import os
import shutil
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Final

from api.execution.deleting import DeletionThread
from api.execution.executors import make_executor
from api.execution.job_creation import JobCreation
from api.execution.reading import Reads
from api.execution.retention import Retention
from api.execution.scheduler import Scheduler
from api.execution.solving import Solves
from api.execution.tracing import Tracing
from api.execution.webhook_deliveries import WebhookDeliveries
from api.execution.workers import Workers
from api.http.event_feed import EventFeed
from api.http.metrics import Metrics
from api.http.project import Project
from api.http.resumable_uploads import Appending, ResumableUploads
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.measured_tables import MeasuredTables
from api.services.networks import Networks
from api.services.webhooks import Webhooks
from api.settings import Settings
from api.storage.answer_cache import AnswerCache, ProjectAnswers
from api.storage.database import Store
from api.storage.objects.deletions import Deletions
from api.storage.objects.opening import delete_left, opened_store
from api.storage.partial_uploads import PartialUploads
from api.storage.process_lock import ProcessLock
from network.errors import RequestError

_MAX_PROJECTS: Final = 256
"""Number of projects whose objects stay in memory; making them again takes milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """All that the projects of a service share.

    Attributes:
        settings: Settings of the service.
        store: The database.
        workers: Processes in which the service parses and computes.
        scheduler: Scheduler that runs the jobs.
        deliveries: Deliveries to webhooks.
        retention: Deletion of what is not used.
        events: Events of jobs for open streams.
        metrics: Metrics of the service for Prometheus.
        tracing: Source of spans for a collector of traces.
        answers: Kept answers of all projects.
        answered: Number of questions of all projects whose answer was kept, under True, and that were solved, under
            False.
        partial_uploads: Unfinished uploads of datasets that arrive in pieces.
        appending: Scope of the request that appends to each of them at the moment.
        deleting: Thread that deletes in the store; None without a store.
        data_lock: File descriptor that holds the lock of the data directory.
        projects: Views of projects, by name; the one used last at the end.
    """

    settings: Settings
    store: Store
    workers: Workers
    scheduler: Scheduler
    deliveries: WebhookDeliveries
    retention: Retention
    events: EventFeed
    metrics: Metrics
    tracing: Tracing
    answers: AnswerCache
    answered: Counter[bool]
    partial_uploads: PartialUploads
    appending: Appending
    deleting: DeletionThread | None
    data_lock: int
    projects: OrderedDict[str, Project]

    @classmethod
    def open(cls, settings: Settings) -> Service:
        """Open the service's data directory, and create it if it does not exist.

        Args:
            settings: Settings of the service.

        Raises:
            RequestError: If the data directory is not writable, if another service uses it, or if the store cannot be
                used.
            StoreError: If a later version of bitbudget created the database.
        """
        objects = opened_store(settings)
        tracing = Tracing.to(settings.otlp_endpoint)
        try:
            settings.data_directory.mkdir(parents=True, exist_ok=True)
            lock = _lock(settings)
        except OSError as error:
            raise RequestError(
                f"cannot use '{settings.data_directory}' as the data directory: {error.strerror}"
            ) from error
        if lock is None:
            raise RequestError(
                f"another service uses the data directory '{settings.data_directory}'; choose another directory, or "
                "give all services the URL of one database"
            )
        for directory in (settings.incoming_directory, settings.jobs_directory):
            directory.mkdir(exist_ok=True)
        store = Store(settings.database)
        if objects is not None:
            delete_left(store, settings)
        workers = Workers(settings, tracing)
        answers = AnswerCache(settings.answers_directory, settings.max_answers_bytes)
        scheduler = Scheduler(store, settings, make_executor(settings))
        deliveries = WebhookDeliveries(store, settings)
        events = EventFeed(store)
        answered = Counter({True: 0, False: 0})
        partial_uploads = PartialUploads(settings.partial_directory, settings.upload_hours * 3600)
        partial_uploads.delete_expired()
        return cls(
            settings=settings,
            store=store,
            workers=workers,
            scheduler=scheduler,
            deliveries=deliveries,
            retention=Retention(store, settings, answers),
            events=events,
            metrics=Metrics(workers, answered, scheduler, events, deliveries),
            tracing=tracing,
            answers=answers,
            answered=answered,
            partial_uploads=partial_uploads,
            appending={},
            deleting=None if objects is None else DeletionThread(store, Deletions(settings, objects)),
            data_lock=lock,
            projects=OrderedDict(),
        )

    def of_project(self, name: str) -> Project:
        """Return the service as one project sees it: with its files, jobs and kept answers alone.

        Args:
            name: Name of the project.
        """
        seen = self.projects.pop(name, None)
        if seen is None:
            seen = self._new_view(name)
        self.projects[name] = seen
        if len(self.projects) > _MAX_PROJECTS:
            self.projects.popitem(last=False)
        return seen

    def _new_view(self, name: str) -> Project:
        store = self.store.of_project(name)
        networks, datasets = Networks(store, self.settings), Datasets(store, self.settings)
        answers = ProjectAnswers(self.answers, name)
        jobs = Jobs(store, self.settings, self.scheduler.wake)
        reads = Reads(networks, datasets, self.workers)
        solves = Solves(self.settings, networks, MeasuredTables(store), answers, self.workers, self.answered)
        return Project(
            settings=self.settings,
            store=store,
            events=self.events,
            networks=networks,
            datasets=datasets,
            answers=answers,
            jobs=jobs,
            reads=reads,
            uploads=ResumableUploads(name, self.settings, reads, self.partial_uploads, self.appending),
            solves=solves,
            job_creation=JobCreation(jobs, networks, reads, solves, self.settings, self.tracing),
            webhooks=Webhooks(store, self.settings),
        )

    def start(self) -> None:
        """Start the job scheduler, deliveries, retention and the server of tasks; this runs on the event loop."""
        self.workers.start()
        self.scheduler.start()
        self.deliveries.start()
        self.retention.start()
        if self.deleting is not None:
            self.deleting.start()

    def refuse_work(self) -> None:
        """End all streams and all tasks that answer requests, and refuse new ones; this runs on the event loop."""
        self.events.close()
        self.workers.close()

    def close(self) -> None:
        """End all worker processes, queue their jobs again, and release the service's data directory.

        This waits, and runs in a thread after `refuse_work`.
        """
        self.workers.reap()
        self.retention.stop()
        self.deliveries.stop()
        self.scheduler.stop()
        if self.deleting is not None:
            self.deleting.stop()
        self.store.close()
        self.tracing.close()
        os.close(self.data_lock)


def _lock(settings: Settings) -> int | None:
    """Lock the data directory, and delete uploads that an earlier service did not finish.

    Services whose database has a URL share a data directory; otherwise one service has it alone.

    Returns:
        An open file descriptor that holds the lock; None if another service does not share the directory.
    """
    lock = ProcessLock(settings.data_directory / "service.lock")
    descriptor = lock.take()
    if descriptor is not None:
        ProcessLock.sign(descriptor, os.getpid())
        shutil.rmtree(settings.incoming_directory, ignore_errors=True)
        if settings.database_url is None:
            return descriptor
        os.close(descriptor)
    return None if settings.database_url is None else lock.share()
