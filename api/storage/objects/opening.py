"""What a service with a store, or without one, checks and tidies up in its data directory when it starts."""

from __future__ import annotations

import shutil
from typing import Final

from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.objects.object_store import ObjectStore
from network.errors import RequestError

_MOVE: Final = (
    "make a backup with the settings of the earlier service, and restore it with the new ones (bitbudget backup, "
    "bitbudget restore)"
)


def opened_store(settings: Settings) -> ObjectStore | None:
    """Return the store of a service after it was tried; None if the service has the data directory alone.

    Raises:
        RequestError: If the store cannot be used, or the data directory is that of a service with another store.
    """
    objects = ObjectStore.of(settings)
    if objects is None:
        if settings.cache_directory.is_dir():
            raise RequestError(
                f"the data directory '{settings.data_directory}' is that of a service with a store; give its URL by "
                f"BITBUDGET_STORE or --store. To move from a store into the data directory, {_MOVE}"
            )
        return None
    for directory in (settings.networks_directory, settings.datasets_directory):
        if directory.is_dir() and any(directory.iterdir()):
            raise RequestError(
                f"the data directory '{settings.data_directory}' has the files of a service without a store; {_MOVE}"
            )
    objects.check()
    settings.cache_directory.mkdir(parents=True, exist_ok=True)
    return objects


def delete_left(store: Store, settings: Settings) -> None:
    """Delete checkpoints that workers of this machine left of jobs that have ended elsewhere; logs stay.

    Args:
        store: Database of the service.
        settings: Settings of a service with a store.
    """
    for root in settings.jobs_directory.iterdir():
        job = store.job_of_any_project(root.name)
        directory = JobDirectory(root)
        if job is None:
            if not directory.lock.is_held:
                shutil.rmtree(root, ignore_errors=True)
        elif job.state.is_final:
            directory.clear_results(job.attempt)
