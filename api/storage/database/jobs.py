"""Statements on the records of jobs.

The state of a job changes by compare-and-set only: if two processes want to change it differently, one of them succeeds
and the other one learns that it did not. A worker also names its attempt, so that a worker which was believed to be
lost cannot change a job that a later attempt runs.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, RowMapping, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from api.schemas.job_state import JobState
from api.storage.database.events import write_event
from api.storage.database.idempotency import write_key
from api.storage.database.last_use import is_unused_job, note_use
from api.storage.database.outbox import write_job_deliveries
from api.storage.database.project_records import ProjectRecords
from api.storage.database.quotas import Limits, check_bytes, check_queue
from api.storage.database.schema import EVENTS, IDEMPOTENCY, JOBS
from api.storage.records import TRACEPARENT, UNFINISHED, Job

_ALL_STATES: Final = tuple(JobState)
_UNSEEN: Final = frozenset({"lease_owner", "lease_until", "heartbeat_at", "progress_at", "used_at"})
"""Columns that callers of the service do not see, so that a change of them leaves the revision as it is."""
_WITHOUT_LARGE: Final[dict[str, Any]] = {"result": None, "artifacts": []}
"""Columns that a list of jobs does not read, with their values in it."""
_ALL: Final = list(JOBS.c)
_SMALL: Final = [column for column in _ALL if column.name not in _WITHOUT_LARGE]


class JobRecords(ProjectRecords):
    """Records of the jobs of one project; methods with `of_all_projects` or `of_any_project` see those of all."""

    def add_job(
        self,
        job_id: str,
        request: dict[str, Any],
        idempotency_key: str | None,
        *,
        request_id: str | None = None,
        traceparent: str | None = None,
        defaults: Limits | None = None,
    ) -> bool:
        """Add a job to the queue in the database.

        Args:
            job_id: Identifier of the new job.
            request: The request as a JSON object.
            idempotency_key: The idempotency key of the caller; None if the caller gave none.
            request_id: Identifier of the HTTP request; None if it has none.
            traceparent: Span of the HTTP request, which the first event of the job keeps; None if it has none.
            defaults: Limits of a project that has none of its own; None checks no quota.

        Returns:
            True if the job was added; False if another job of the project was created with the same idempotency key.

        Raises:
            QuotaExceeded: If the project has used all bytes that it may have.
            QueueLimit: If as many jobs of the project wait as may.
        """
        values = {
            "id": job_id,
            "project": self.project,
            "state": JobState.QUEUED,
            "revision": 1,
            "created_at": time.time(),
            "request": request,
            "request_id": request_id,
            "idempotency_key": idempotency_key,
            "crashes": 0,
            "attempt": 0,
            "artifacts": [],
        }
        try:
            with self._database.writing() as connection:
                if idempotency_key is not None:
                    write_key(connection, self.project, idempotency_key, job_id, request)
                check_bytes(connection, self.project, 0, defaults)
                check_queue(connection, self.project, defaults)
                note_use(connection, self.project, {str(request.get(each)) for each in ("network_id", "dataset")})
                connection.execute(insert(JOBS).values(values))
                data: dict[str, Any] = {"state": JobState.QUEUED, "attempt": 0, "revision": 1}
                data |= {} if traceparent is None else {TRACEPARENT: traceparent}
                write_event(connection, self.project, job_id, "state", data)
                write_job_deliveries(connection, self.project, job_id, JobState.QUEUED, 0, 1, None)
        except IntegrityError:
            return False
        return True

    def job(self, job_id: str) -> Job | None:
        """Return the database record of a job of this project by its identifier; None if there is none."""
        return self._first(select(JOBS).where(JOBS.c.id == job_id, JOBS.c.project == self.project))

    def job_of_any_project(self, job_id: str) -> Job | None:
        """Return the database record of a job by its identifier; None if there is none."""
        return self._first(select(JOBS).where(JOBS.c.id == job_id))

    def job_with_key(self, idempotency_key: str) -> Job | None:
        """Return the database record of the job with an idempotency key; None if there is none."""
        key = (IDEMPOTENCY.c.project == self.project) & (IDEMPOTENCY.c.key == idempotency_key)
        return self._first(select(JOBS).join(IDEMPOTENCY, IDEMPOTENCY.c.job_id == JOBS.c.id).where(key))

    def jobs(self, states: Iterable[JobState] = _ALL_STATES, limit: int | None = None) -> list[Job]:
        """Return the database records of the jobs of this project in given states, newest first.

        Args:
            states: States of the jobs to return.
            limit: Largest number of jobs to return; None for all.
        """
        return self._all(_in_states(states).where(JOBS.c.project == self.project).limit(limit))

    def jobs_page(
        self, states: Iterable[JobState] = _ALL_STATES, limit: int = 100, before_number: int | None = None
    ) -> list[Job]:
        """Return the database records of some jobs of this project, newest first, without results and artifacts.

        Args:
            states: States of the jobs to return.
            limit: Largest number of jobs on the page. One more is returned if there is a next page.
            before_number: Number of the last job of the previous page; None for the first page.
        """
        query = _in_states(states, _SMALL).where(JOBS.c.project == self.project).limit(limit + 1)
        return self._all(query if before_number is None else query.where(JOBS.c.number < before_number))

    def jobs_of_all_projects(self, states: Iterable[JobState] = _ALL_STATES, limit: int | None = None) -> list[Job]:
        """Return the database records of the jobs of all projects in given states, newest first.

        Args:
            states: States of the jobs to return.
            limit: Largest number of jobs to return; None for all.
        """
        return self._all(_in_states(states).limit(limit))

    def count_jobs(self) -> dict[JobState, int]:
        """Return the number of jobs of this project in each state."""
        return self._count(select(JOBS.c.state, func.count()).where(JOBS.c.project == self.project))

    def count_jobs_of_all_projects(self) -> dict[JobState, int]:
        """Return the number of jobs of all projects in each state."""
        return self._count(select(JOBS.c.state, func.count()))

    def change_job(
        self,
        job_id: str,
        expected: Iterable[JobState],
        *,
        of_attempt: int | None = None,
        of_owner: str | None = None,
        defaults: Limits | None = None,
        **values: Any,
    ) -> bool:
        """Change columns of the database record of a job of this project, if the job is in one of the expected states.

        A change of the state and a change of the progress are also written as events. A change of the lease or of signs
        of life alone leaves the revision as it is.

        Args:
            job_id: Identifier of the job.
            expected: States in which the job may be changed.
            of_attempt: Number of the attempt that the job must be in; None if the attempt does not matter.
            of_owner: Identifier of the service that must have the lease; None if the lease does not matter.
            defaults: Limits of a project that has none of its own, for a change that queues the job; None checks none.
            values: New value of each column that changes.

        Returns:
            True if the job was changed.

        Raises:
            QueueLimit: If as many jobs of the project wait as may.
        """
        return self._change(self.project, job_id, expected, of_attempt, of_owner, values, defaults)

    def change_job_of_any_project(
        self,
        job_id: str,
        expected: Iterable[JobState],
        *,
        of_attempt: int | None = None,
        of_owner: str | None = None,
        **values: Any,
    ) -> bool:
        """Change columns of the database record of a job of any project; otherwise the same as `change_job`."""
        return self._change(None, job_id, expected, of_attempt, of_owner, values)

    def take_lease(self, job_id: str, owner: str, seconds: float) -> bool:
        """Take or extend the lease of a started job of any project.

        Args:
            job_id: Identifier of the job.
            owner: Identifier of the service that wants to run the job.
            seconds: Time in seconds for which the lease holds from now on.

        Returns:
            False if another service has a lease that still holds, or if the job is not running or being cancelled.
        """
        now = time.time()
        free = JOBS.c.lease_owner.is_(None) | (JOBS.c.lease_owner == owner) | (JOBS.c.lease_until < now)
        started = JOBS.c.state.in_([JobState.RUNNING, JobState.CANCELLING])
        change = update(JOBS).where(JOBS.c.id == job_id, started, free)
        with self._database.writing() as connection:
            changed = connection.execute(change.values(lease_owner=owner, lease_until=now + seconds))
        return changed.rowcount == 1

    def begin_attempt(self, job_id: str, attempt: int) -> bool:
        """Write the first sign of life of an attempt; of several workers of one attempt, one alone succeeds.

        Args:
            job_id: Identifier of a job of this project.
            attempt: Number of the attempt that begins.

        Returns:
            False if a worker of this attempt has begun before, or if the job does not run in this attempt.
        """
        begins = (JOBS.c.attempt == attempt) & (JOBS.c.state == JobState.RUNNING) & JOBS.c.heartbeat_at.is_(None)
        change = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.project == self.project, begins)
        with self._database.writing() as connection:
            return connection.execute(change.values(heartbeat_at=time.time())).rowcount == 1

    def delete_job(self, job_id: str, unused_since: float | None = None) -> bool:
        """Delete the record and the events of a finished job of this project; its idempotency key is kept.

        Args:
            job_id: Identifier of the job.
            unused_since: Unix time in seconds; a job that was used later is not deleted either. None: it may be.

        Returns:
            False if the job is not finished or does not exist.
        """
        finished = (JOBS.c.id == job_id) & (JOBS.c.project == self.project) & JOBS.c.state.not_in(UNFINISHED)
        finished = finished if unused_since is None else finished & is_unused_job(unused_since)
        with self._database.writing() as connection:
            is_deleted = connection.execute(delete(JOBS).where(finished)).rowcount == 1
            if is_deleted:
                connection.execute(delete(EVENTS).where(EVENTS.c.job_id == job_id))
        return is_deleted

    def _change(
        self,
        project: str | None,
        job_id: str,
        expected: Iterable[JobState],
        of_attempt: int | None,
        of_owner: str | None,
        values: dict[str, Any],
        defaults: Limits | None = None,
    ) -> bool:
        change = update(JOBS).where(JOBS.c.id == job_id, JOBS.c.state.in_(list(expected)))
        for column, value in ((JOBS.c.project, project), (JOBS.c.attempt, of_attempt), (JOBS.c.lease_owner, of_owner)):
            if value is not None:
                change = change.where(column == value)
        if (state := values.get("state")) is not None:
            values["finished_at"] = time.time() if state.is_final else None
        if (artifacts := values.get("artifacts")) is not None:
            values["stored_bytes"] = sum(each["size_bytes"] for each in artifacts)
        if not values.keys() <= _UNSEEN:
            values["revision"] = JOBS.c.revision + 1
        changed = change.values(**values).returning(JOBS.c.project, JOBS.c.attempt, JOBS.c.revision)
        with self._database.writing() as connection:
            if project is not None and state is JobState.QUEUED:
                check_queue(connection, project, defaults)
            row = connection.execute(changed).first()
            if row is None:
                return False
            if state is not None:
                data = {"state": state, "attempt": row.attempt, "revision": row.revision}
                error = {} if values.get("error") is None else {"error": values["error"]}
                write_event(connection, row.project, job_id, "state", data | error)
                write_job_deliveries(
                    connection, row.project, job_id, state, row.attempt, row.revision, values.get("error")
                )
            if values.get("progress") is not None:
                write_event(connection, row.project, job_id, "progress", values["progress"])
        return True

    def _first(self, query: Select[Any]) -> Job | None:
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return _job(row._mapping) if row else None

    def _all(self, query: Select[Any]) -> list[Job]:
        with self._database.reading() as connection:
            return [_job(row._mapping) for row in connection.execute(query)]

    def _count(self, query: Select[Any]) -> dict[JobState, int]:
        with self._database.reading() as connection:
            counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(query.group_by(JOBS.c.state))}
        return {state: counts.get(state, 0) for state in JobState}


def _in_states(states: Iterable[JobState], columns: Sequence[Column[Any]] = _ALL) -> Select[Any]:
    return select(*columns).where(JOBS.c.state.in_(list(states))).order_by(JOBS.c.number.desc())


def _job(row: RowMapping) -> Job:
    return Job(**{**_WITHOUT_LARGE, **row, "state": JobState(row["state"])})
