"""The database, stores and job scheduler of the service, opened together for one data directory."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

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
from api.storage.answer_cache import AnswerCache
from api.storage.database import Store
from api.storage.process_lock import ProcessLock
from network.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Service:
    """Database, stores and job scheduler of the service, which HTTP request handlers use.

    Attributes:
        settings: Settings of the service.
        store: The database of the data directory.
        workers: Processes in which the service parses and computes.
        reads: Reading of uploads and datasets in these processes.
        solves: Questions about networks, which these processes answer.
        job_creation: Creation of jobs, after checks in these processes.
        answers: Kept answers.
        networks: Uploaded networks.
        datasets: Datasets: uploaded, built-in, and of the operator.
        jobs: Jobs as callers see them.
        scheduler: Scheduler that runs the jobs.
        events: Events of jobs for open streams.
        uploads: Uploads of datasets that arrive in pieces.
        metrics: Metrics of the service for Prometheus.
        tracing: Source of spans for a collector of traces.
        data_lock: File descriptor that holds the lock of the data directory.
    """

    settings: Settings
    store: Store
    workers: Workers
    reads: Reads
    solves: Solves
    job_creation: JobCreation
    answers: AnswerCache
    networks: Networks
    datasets: Datasets
    jobs: Jobs
    scheduler: Scheduler
    events: EventFeed
    uploads: ResumableUploads
    metrics: Metrics
    tracing: Tracing
    data_lock: int

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
            lock = ProcessLock(settings.data_directory / "service.lock").take()
        except OSError as error:
            raise RequestError(
                f"cannot use '{settings.data_directory}' as the data directory: {error.strerror}"
            ) from error
        if lock is None:
            raise RequestError(
                f"another service uses the data directory '{settings.data_directory}'; choose another directory"
            )
        ProcessLock.sign(lock, os.getpid())
        shutil.rmtree(settings.incoming_directory, ignore_errors=True)
        for directory in (settings.incoming_directory, settings.jobs_directory):
            directory.mkdir(exist_ok=True)
        store = Store(settings.database)
        workers = Workers(settings, tracing)
        networks = Networks(store, settings)
        datasets = Datasets(store, settings)
        answers = AnswerCache(settings.answers_directory, settings.max_answers_bytes)
        scheduler = Scheduler(store, settings, make_executor(settings))
        jobs = Jobs(store, settings, scheduler.wake)
        reads = Reads(networks, datasets, workers)
        events = EventFeed(store)
        solves = Solves(settings, networks, MeasuredTables(store), answers, workers)
        return cls(
            settings=settings,
            store=store,
            workers=workers,
            reads=reads,
            solves=solves,
            job_creation=JobCreation(jobs, networks, reads, solves, tracing),
            answers=answers,
            networks=networks,
            datasets=datasets,
            jobs=jobs,
            scheduler=scheduler,
            events=events,
            uploads=ResumableUploads(settings, reads),
            metrics=Metrics(workers, solves, scheduler, events),
            tracing=tracing,
            data_lock=lock,
        )

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
