"""The service's parts, opened together over one data directory."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from api.execution.executors import make_executor
from api.execution.scheduler import Scheduler
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.networks import Networks
from api.settings import Settings
from api.storage.database import Store
from api.storage.process_lock import ProcessLock
from network.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Service:
    """What handlers work with."""

    settings: Settings
    store: Store
    networks: Networks
    datasets: Datasets
    jobs: Jobs
    scheduler: Scheduler
    data_lock: int

    @classmethod
    def open(cls, settings: Settings) -> Service:
        """Open a data directory; made if it is not there.

        Raises:
            RequestError: it cannot be written to, or another service uses it.
            StoreError: another version made it.
        """
        try:
            settings.data_directory.mkdir(parents=True, exist_ok=True)
            lock = ProcessLock(settings.data_directory / "service.lock").take()
        except OSError as error:
            raise RequestError(
                f"cannot use '{settings.data_directory}' as the data directory: {error.strerror}"
            ) from error
        if lock is None:
            raise RequestError(f"another service uses the data directory '{settings.data_directory}'; choose another")
        ProcessLock.sign(lock, os.getpid())
        shutil.rmtree(settings.incoming_directory, ignore_errors=True)
        for directory in (settings.incoming_directory, settings.jobs_directory):
            directory.mkdir(exist_ok=True)
        store = Store(settings.database)
        networks = Networks(store, settings)
        datasets = Datasets(store, settings)
        scheduler = Scheduler(store, settings, make_executor(settings))
        jobs = Jobs(store, settings, networks, datasets, scheduler.wake)
        return cls(
            settings=settings,
            store=store,
            networks=networks,
            datasets=datasets,
            jobs=jobs,
            scheduler=scheduler,
            data_lock=lock,
        )

    def start(self) -> None:
        self.scheduler.start()

    def close(self) -> None:
        """End the workers, put their jobs back into the queue, and let the data directory go."""
        self.scheduler.stop()
        self.store.close()
        os.close(self.data_lock)
