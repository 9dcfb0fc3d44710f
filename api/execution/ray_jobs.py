"""The Jobs API of a Ray cluster by HTTP: submissions are made, read, stopped and deleted.

Ray documents this interface (cluster/running-applications/job-submission/rest.html). Its own client is a part of Ray,
which is 250 MB large; the service needs six requests.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from api.execution.executor import ExecutorUnavailable
from api.execution.job_share import JobShare

WAITING_PROCESSORS: Final = 0.01
"""Share of a processor that is reserved for a worker that waits while other processes train."""
_TIMEOUT: Final = httpx.Timeout(5.0, connect=2.0)
"""Longest times in seconds to reach the cluster, and to wait for its answer."""
_REST_SECONDS: Final = 1.0
"""Time in seconds after a failed request in which no further one is sent, so that many jobs do not wait in vain."""
_NOT_FOUND: Final = 404
_NEVER_STARTED: Final = frozenset({"JOB_SUPERVISOR_ACTOR_START_TIMEOUT", "RUNTIME_ENV_SETUP_FAILURE"})
_ENDED: Final = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})


@dataclass(frozen=True, slots=True)
class Submission:
    """State of a submission to a Ray cluster.

    Attributes:
        id: Identifier that the submitter chose.
        status: PENDING, RUNNING, STOPPED, SUCCEEDED or FAILED.
        message: Description of the state.
        error_type: Kind of the error, such as JOB_SUPERVISOR_ACTOR_DIED; None if there is none.
        exit_code: Exit code of the command, or the negative number of the signal that ended it; None if Ray does not
            know it.
        metadata: Texts that the submitter gave.
    """

    id: str
    status: str
    message: str
    error_type: str | None
    exit_code: int | None
    metadata: dict[str, str]

    @property
    def is_pending(self) -> bool:
        """Whether the command waits for a place on the cluster."""
        return self.status == "PENDING"

    @property
    def has_ended(self) -> bool:
        """Whether Ray believes that the command has ended."""
        return self.status in _ENDED

    @property
    def was_stopped(self) -> bool:
        """Whether the command was stopped by a request."""
        return self.status == "STOPPED"

    @property
    def waited_too_long(self) -> bool:
        """Whether Ray gave up the submission because the cluster had no place for it, and never ran the command."""
        return self.error_type == "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"

    @property
    def is_certain(self) -> bool:
        """Whether the end is certain; otherwise Ray has lost sight of a command that may be alive on a lost node."""
        return self.status != "FAILED" or self.exit_code is not None or self.error_type in _NEVER_STARTED


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """What a Ray cluster reserves for a command.

    Attributes:
        processors: Number of processors, which may be a fraction of one.
        gpus: Number of GPUs.
        memory_bytes: Memory in bytes; None reserves none.
    """

    processors: float
    gpus: int = 0
    memory_bytes: int | None = None


def reserved_for(share: JobShare) -> Reserved:
    """Return what is reserved for the worker of a job.

    If several processes train, each of them has the share of the job, and the worker waits for them. If it reserved
    whole processors, the workers of several jobs could hold those for which all of them wait; if it reserved nothing,
    Ray would start it on the head.

    Args:
        share: What the job gets.
    """
    if share.training_processes > 1:
        return Reserved(processors=WAITING_PROCESSORS)
    return Reserved(processors=share.processors, gpus=share.gpus, memory_bytes=share.memory_bytes)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Command that a Ray cluster runs.

    Attributes:
        line: Command line for a shell.
        environment: Environment variables.
        reserved: What is reserved for it.
        metadata: Texts that Ray keeps with the submission.
    """

    line: str
    environment: dict[str, str]
    reserved: Reserved
    metadata: dict[str, str] = field(default_factory=dict)


class RayJobs:
    """Client of the Jobs API of one Ray cluster.

    Each method raises `ExecutorUnavailable` if the cluster does not answer in time, or refuses.

    Args:
        address: URL of the cluster's dashboard.
        token: Token of the cluster; None for a cluster without authentication.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._address = address.rstrip("/")
        self._http = httpx.Client(base_url=self._address, timeout=_TIMEOUT, headers=headers)
        self._failed_at = -_REST_SECONDS
        self._failure = ""

    def submissions(self) -> list[Submission]:
        """Return all submissions that the cluster knows."""
        with self._understanding():
            known = self._request("GET", "/api/jobs/").json()
            return [_submission(each) for each in known if each["submission_id"]]

    def find(self, submission_id: str) -> Submission | None:
        """Return the state of a submission; None if the cluster does not know it."""
        answer = self._request("GET", f"/api/jobs/{submission_id}", may_be_missing=True)
        with self._understanding():
            return None if answer.status_code == _NOT_FOUND else _submission(answer.json())

    def submit(self, submission_id: str, command: Command) -> None:
        """Submit a command; Ray refuses a second submission with the same identifier.

        Args:
            submission_id: Identifier, unique on the cluster.
            command: The command.
        """
        document: dict[str, Any] = {
            "submission_id": submission_id,
            "entrypoint": command.line,
            "runtime_env": {"env_vars": command.environment},
            "metadata": command.metadata,
            "entrypoint_num_cpus": command.reserved.processors,
            "entrypoint_num_gpus": command.reserved.gpus,
        }
        if command.reserved.memory_bytes is not None:
            document["entrypoint_memory"] = command.reserved.memory_bytes
        self._request("POST", "/api/jobs/", json=document)

    def stop(self, submission_id: str) -> None:
        """Let Ray send SIGTERM to the processes of a command, and SIGKILL to those that are alive 3 s later."""
        self._request("POST", f"/api/jobs/{submission_id}/stop", may_be_missing=True)

    def delete(self, submission_id: str) -> None:
        """Delete what the cluster knows of a submission that has ended."""
        self._request("DELETE", f"/api/jobs/{submission_id}", may_be_missing=True)

    def logs(self, submission_id: str) -> str:
        """Return what Ray has logged about a submission; empty if there is nothing."""
        answer = self._request("GET", f"/api/jobs/{submission_id}/logs", may_be_missing=True)
        with self._understanding():
            return "" if answer.status_code == _NOT_FOUND else str(answer.json()["logs"] or "")

    def close(self) -> None:
        """Close the connections to the cluster."""
        self._http.close()

    @contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, KeyError, TypeError) as error:
            raise ExecutorUnavailable(
                f"what answers at {self._address} is not the dashboard of a Ray cluster; check --ray-address"
            ) from error

    def _request(self, method: str, path: str, *, may_be_missing: bool = False, json: Any = None) -> httpx.Response:
        if time.monotonic() - self._failed_at < _REST_SECONDS:
            raise ExecutorUnavailable(self._failure)
        try:
            answer = self._http.request(method, path, json=json)
        except httpx.HTTPError as error:
            self._failed_at = time.monotonic()
            self._failure = f"the Ray cluster at {self._address} does not answer ({error or type(error).__name__})"
            raise ExecutorUnavailable(self._failure) from error
        if answer.is_success or (may_be_missing and answer.status_code == _NOT_FOUND):
            return answer
        last_line = (answer.text.strip().splitlines() or [""])[-1][:300]
        raise ExecutorUnavailable(f"the Ray cluster at {self._address} answered {answer.status_code}: {last_line}")


def _submission(document: dict[str, Any]) -> Submission:
    return Submission(
        id=document["submission_id"],
        status=document["status"],
        message=document["message"] or "",
        error_type=document["error_type"],
        exit_code=document["driver_exit_code"],
        metadata=document["metadata"] or {},
    )
