"""Leases of jobs, by which each started job belongs to one service, also where several services share a database.

A service renews the leases of its jobs. When it is gone, they run out, and another service takes the jobs over. Their
workers may be alive, on this machine or on another one: the worker of a job that was taken over counts as gone only if
the executor does not find it and it has given no sign of life for `gone_seconds`. If that is wrong all the same, the
number of the attempt protects the job: a worker of an earlier attempt changes neither its record nor its files.

A service that has a data directory and an SQLite file of its own is alone: it takes over the jobs of an earlier service
at once, and believes its executor.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from typing import Any, Final

from api.execution.executor import HEARTBEAT_SECONDS, LOST_HEARTBEATS, Attempt
from api.settings import Settings
from api.storage.database import Store
from api.storage.records import Job

_LEFT_SHARE: Final = 2 / 3
"""Share of its time that a lease still has when it is renewed."""
NO_LEASE: Final[dict[str, Any]] = {"lease_owner": None, "lease_until": None}
"""Values of the columns of a job without a lease."""


class Leases:
    """Leases that one service has.

    Args:
        store: Database of the jobs.
        is_alone: Whether no other service uses the database.
        lease_seconds: Time in seconds for which a lease holds.
        gone_seconds: Time in seconds without a sign of life after which an unknown worker counts as gone.

    Attributes:
        owner: Identifier of this service.
    """

    def __init__(self, store: Store, *, is_alone: bool, lease_seconds: float, gone_seconds: float) -> None:
        self.owner: Final = uuid.uuid4().hex
        self._store = store
        self._is_alone = is_alone
        self._lease_seconds = lease_seconds
        self._gone_seconds = gone_seconds
        self._signs: dict[Attempt, tuple[float | None, float]] = {}

    @classmethod
    def of_service(cls, store: Store, settings: Settings) -> Leases:
        """Return the leases of a service; it is alone unless its database has a URL.

        Args:
            store: Database of the jobs.
            settings: Settings of the service.
        """
        return cls(
            store,
            is_alone=settings.database_url is None,
            lease_seconds=settings.lease_seconds,
            gone_seconds=max(settings.lease_seconds, LOST_HEARTBEATS * HEARTBEAT_SECONDS),
        )

    def first(self) -> dict[str, Any]:
        """Return the values of the columns of a job that this service starts."""
        return {"lease_owner": self.owner, "lease_until": time.time() + self._lease_seconds}

    def holds(self, job: Job) -> bool:
        """Return whether a started job belongs to this service; renew its lease, or take it over if it has run out."""
        if job.lease_owner == self.owner:
            left_seconds = 0.0 if job.lease_until is None else job.lease_until - time.time()
            # A service that is alone renews nothing: the write would fail if the disk is full.
            if self._is_alone or left_seconds > _LEFT_SHARE * self._lease_seconds:
                return True
            return self._store.take_lease(job.id, self.owner, self._lease_seconds)
        if self._is_alone and job.lease_owner is not None:
            return self._store.change_job_of_any_project(
                job.id, [job.state], of_attempt=job.attempt, of_owner=job.lease_owner, **self.first()
            )
        if job.lease_until is not None and job.lease_until > time.time():
            return False
        if not self._store.take_lease(job.id, self.owner, self._lease_seconds):
            return False
        if not self._is_alone:
            self._signs[Attempt(job.id, job.attempt)] = (job.heartbeat_at, time.monotonic())
        return True

    def may_be_elsewhere(self, job: Job) -> bool:
        """Return whether the worker of a job may be alive although the executor of this service does not find it.

        Args:
            job: A job that this service has.
        """
        attempt = Attempt(job.id, job.attempt)
        if attempt not in self._signs:
            return False
        heartbeat_at, seen_at = self._signs[attempt]
        if job.heartbeat_at != heartbeat_at:
            self._signs[attempt] = (job.heartbeat_at, time.monotonic())
            return True
        return time.monotonic() - seen_at < self._gone_seconds

    def keep(self, attempts: Collection[Attempt]) -> None:
        """Drop what is known about workers of other attempts than the given ones."""
        self._signs = {attempt: self._signs[attempt] for attempt in self._signs.keys() & set(attempts)}
