"""What a project has and may have, for its callers and for the operator."""

from __future__ import annotations

from api.schemas.projects import ProjectAnswer
from api.services.access import checked_project
from api.settings import Settings
from api.storage.database import Store
from api.storage.database.quotas import Limits
from network.errors import RequestError


def describe_project(store: Store, settings: Settings) -> ProjectAnswer:
    """Return what the project of a view of the database has and may have.

    Args:
        store: Database, seen by the project.
        settings: Settings of the service, with the limits of projects that have none of their own.
    """
    usage, limits = store.usage(), store.own_limits().over(Limits.of(settings))
    return ProjectAnswer(
        name=store.project,
        stored_bytes=usage.stored_bytes,
        max_bytes=limits.max_bytes,
        networks=usage.networks,
        network_bytes=usage.network_bytes,
        datasets=usage.datasets,
        dataset_bytes=usage.dataset_bytes,
        jobs=usage.jobs,
        artifact_bytes=usage.artifact_bytes,
        queued_jobs=usage.queued_jobs,
        max_queued_jobs=limits.max_queued_jobs,
        retention_days=limits.retention_days,
    )


def set_limits(store: Store, project: str, **values: float | None) -> None:
    """Store limits of a project.

    Args:
        store: Database of the service.
        project: Name of the project; a project exists as soon as something names it.
        values: New value of each limit that changes, by the names of `OwnLimits`: None for that of the settings, -1 for
            none.

    Raises:
        RequestError: If the name of the project is not valid, or nothing changes.
    """
    checked_project(project)
    if not values:
        raise RequestError("nothing is to be changed; expected --size, --queued-jobs or --retention-days")
    store.of_project(project).set_limits(**values)
