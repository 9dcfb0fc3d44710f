"""The database, stores and job scheduler of the service, opened together for one data directory."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Final

from anyio import CapacityLimiter

from api.execution.executors import make_executor
from api.execution.scheduler import Scheduler
from api.execution.upload_parser import UploadParser
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from api.storage.process_lock import ProcessLock
from network.errors import RequestError

_UPLOAD_THREADS: Final = 16
"""Number of uploads that are read or wait for their turn at the same time; further uploads wait longer."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """Database, stores and job scheduler of the service, which HTTP request handlers use.

    Attributes:
        settings: Settings of the service.
        store: The database of the data directory.
        parser: Reader of uploaded networks.
        upload_threads: Limit on the threads that wait until uploads are read.
        networks: Uploaded networks.
        datasets: Datasets: uploaded, built-in, and of the operator.
        jobs: Jobs as callers see them.
        scheduler: Scheduler that runs the jobs.
        data_lock: File descriptor that holds the lock of the data directory.
    """

    settings: Settings
    store: Store
    parser: UploadParser
    upload_threads: CapacityLimiter
    networks: Networks
    datasets: Datasets
    jobs: Jobs
    scheduler: Scheduler
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
        parser = UploadParser(settings)
        networks = Networks(store, settings, parser.parse_upload)
        datasets = Datasets(store, settings)
        scheduler = Scheduler(store, settings, make_executor(settings))
        jobs = Jobs(store, settings, networks, datasets, scheduler.wake)
        return cls(
            settings=settings,
            store=store,
            parser=parser,
            upload_threads=CapacityLimiter(_UPLOAD_THREADS),
            networks=networks,
            datasets=datasets,
            jobs=jobs,
            scheduler=scheduler,
            data_lock=lock,
        )

    def start(self) -> None:
        """Start the job scheduler of the service and the first process that reads uploads."""
        self.parser.start()
        self.scheduler.start()

    def close(self) -> None:
        """End all worker processes, queue their jobs again, and release the service's data directory."""
        self.parser.close()
        self.scheduler.stop()
        self.store.close()
        os.close(self.data_lock)
