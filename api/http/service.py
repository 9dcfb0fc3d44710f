"""The database, stores and job scheduler of the service, opened together for one data directory."""

from __future__ import annotations

import os
import shutil
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from typing import Any, Final

from api.execution.executors import make_executor
from api.execution.job_creation import JobCreation
from api.execution.reading import Reads
from api.execution.scheduler import Scheduler
from api.execution.solving import Solves
from api.execution.tracing import Tracing
from api.execution.workers import Workers
from api.http.event_feed import EventFeed
from api.http.metrics import Metrics
from api.http.resumable_uploads import ResumableUploads
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.measured_tables import MeasuredTables
from api.services.networks import Networks
from api.settings import Settings
from api.storage.answer_cache import AnswerCache, ProjectAnswers
from api.storage.database import Store
from api.storage.process_lock import ProcessLock
from network.errors import RequestError

_MAX_PROJECTS: Final = 256
"""Number of projects whose objects stay in memory; making them again takes milliseconds."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """Database, stores and job scheduler of the service, which HTTP request handlers use, as one project sees them.

    Attributes:
        settings: Settings of the service.
        store: The database, seen by the project.
        workers: Processes in which the service parses and computes.
        reads: Reading of uploads and datasets in these processes.
        solves: Questions about networks, which these processes answer.
        job_creation: Creation of jobs, after checks in these processes.
        answers: Kept answers of the project.
        networks: Uploaded networks.
        datasets: Datasets: uploaded, built-in, and of the operator.
        jobs: Jobs as callers see them.
        scheduler: Scheduler that runs the jobs.
        events: Events of jobs for open streams.
        uploads: Uploads of datasets that arrive in pieces.
        metrics: Metrics of the service for Prometheus.
        tracing: Source of spans for a collector of traces.
        all_answers: Kept answers of all projects.
        answered: Number of questions of all projects whose answer was kept, under True, and that were solved, under
            False.
        data_lock: File descriptor that holds the lock of the data directory.
        projects: The service as other projects see it, by the name of the project; the one used last at the end.
    """

    settings: Settings
    store: Store
    workers: Workers
    reads: Reads
    solves: Solves
    job_creation: JobCreation
    answers: ProjectAnswers
    networks: Networks
    datasets: Datasets
    jobs: Jobs
    scheduler: Scheduler
    events: EventFeed
    uploads: ResumableUploads
    metrics: Metrics
    tracing: Tracing
    all_answers: AnswerCache
    answered: Counter[bool]
    data_lock: int
    projects: OrderedDict[str, Service]

    @classmethod
    def open(cls, settings: Settings) -> Service:
        """Open the service's data directory, and create it if it does not exist.

        Args:
            settings: Settings of the service.

        Raises:
            RequestError: If the data directory is not writable, or if another service uses it.
            StoreError: If a later version of bitbudget created the database.
        """
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
        workers = Workers(settings, tracing)
        scheduler = Scheduler(store, settings, make_executor(settings))
        events = EventFeed(store)
        answers = AnswerCache(settings.answers_directory, settings.max_answers_bytes)
        answered = Counter({True: 0, False: 0})
        parts = _parts_of_project(store, settings, workers, answers, answered, scheduler, tracing)
        return cls(
            settings=settings,
            store=store,
            workers=workers,
            scheduler=scheduler,
            events=events,
            metrics=Metrics(workers, answered, scheduler, events),
            tracing=tracing,
            all_answers=answers,
            answered=answered,
            data_lock=lock,
            projects=OrderedDict(),
            **parts,
        )

    def of_project(self, project: str) -> Service:
        """Return the service as one project sees it: with its files, jobs and kept answers alone.

        Args:
            project: Name of the project.
        """
        if project == self.store.project:
            return self
        seen = self.projects.pop(project, None)
        if seen is None:
            store = self.store.of_project(project)
            parts = _parts_of_project(
                store, self.settings, self.workers, self.all_answers, self.answered, self.scheduler, self.tracing
            )
            seen = replace(self, store=store, **parts)
        self.projects[project] = seen
        if len(self.projects) > _MAX_PROJECTS:
            self.projects.popitem(last=False)
        return seen

    def delete_network(self, network_id: str) -> None:
        """Delete an uploaded network and all kept answers about it.

        Raises:
            NotFound: If the network does not exist.
            InUse: If an unfinished job uses the network.
        """
        self.networks.delete(network_id)
        self.answers.forget(network_id)

    def start(self) -> None:
        """Start the job scheduler of the service and the server of tasks; this runs on the event loop."""
        self.workers.start()
        self.scheduler.start()

    def refuse_work(self) -> None:
        """End all streams and all tasks that answer requests, and refuse new ones; this runs on the event loop."""
        self.events.close()
        self.workers.close()

    def close(self) -> None:
        """End all worker processes, queue their jobs again, and release the service's data directory.

        This waits, and runs in a thread after `refuse_work`.
        """
        self.workers.reap()
        self.scheduler.stop()
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


def _parts_of_project(
    store: Store,
    settings: Settings,
    workers: Workers,
    all_answers: AnswerCache,
    answered: Counter[bool],
    scheduler: Scheduler,
    tracing: Tracing,
) -> dict[str, Any]:
    """Return the fields of `Service` that each project has for itself.

    Args:
        store: The database, seen by the project.
        settings: Settings of the service.
        workers: Processes in which the service parses and computes.
        all_answers: Kept answers of all projects.
        answered: Number of questions of all projects that were answered, by whether the answer was kept.
        scheduler: Scheduler of all jobs.
        tracing: Traces of the service.
    """
    networks = Networks(store, settings)
    datasets = Datasets(store, settings)
    answers = ProjectAnswers(all_answers, store.project)
    jobs = Jobs(store, settings, scheduler.wake)
    reads = Reads(networks, datasets, workers)
    solves = Solves(settings, networks, MeasuredTables(store), answers, workers, answered)
    return {
        "networks": networks,
        "datasets": datasets,
        "answers": answers,
        "jobs": jobs,
        "reads": reads,
        "uploads": ResumableUploads(settings, reads),
        "solves": solves,
        "job_creation": JobCreation(jobs, networks, reads, solves, tracing),
    }
