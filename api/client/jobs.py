"""One job of a service, as its caller sees it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Generic, TypeVar

from api.client.connection import Call, Connection, path_of
from api.client.downloads import content_of, download
from api.client.errors import JobCancelled, JobFailed, StillRunning, VersionMismatch
from api.schemas.job_answers import JobAnswer, JobReport
from api.schemas.job_state import JobState
from api.schemas.problems import Problem
from api.schemas.reports import Artifact, ProgressAnswer
from network.errors import RequestError
from qat.progress import Progress, Report

Report_co = TypeVar("Report_co", bound=JobReport, covariant=True)

WAIT_SECONDS: Final = 30.0
"""Time in seconds after which the service answers without news of a job; a proxy must allow that long."""

SHORTEST_PAUSE_SECONDS: Final = 0.3
"""Shortest time in seconds between two looks at a job: the service writes its progress no more often."""

LONGEST_PAUSE_SECONDS: Final = 2.0
"""Longest time in seconds between two looks at a job whose progress changes all the time."""

PAUSE_SHARE: Final = 1 / 60
"""Pause between two looks, as a share of the time that was waited: a long job needs fewer requests."""


class Job(Generic[Report_co]):
    """One job of a service.

    Args:
        connection: Connections to the service.
        answer: State of the job.
    """

    def __init__(self, connection: Connection, answer: JobAnswer) -> None:
        self._connection = connection
        self._answer = answer

    @property
    def id(self) -> str:
        """Identifier of the job, by which `Client.job` finds it again."""
        return self._answer.id

    @property
    def answer(self) -> JobAnswer:
        """The job as the service has last described it: state, progress, result, error, files."""
        return self._answer

    @property
    def state(self) -> JobState:
        """State of the job, as the service has last described it."""
        return self._answer.state

    def refresh(self) -> JobAnswer:
        """Ask the service for the job, and return its description.

        Raises:
            ClientError: If there is no answer, or an error.
        """
        self._answer = self._ask("GET")
        return self._answer

    def updates(self) -> Iterator[JobAnswer]:
        """Yield the description of the job now, and after each change, until it has ended.

        A service that does not answer for a while, because it is started again, does not end the iteration.

        Raises:
            ClientError: If there is no answer for longer than the client sends requests again, or an error.
        """
        return self._updates_until(math.inf)

    def _updates_until(self, give_up_at: float) -> Iterator[JobAnswer]:
        began_at = time.monotonic()
        yield self.refresh()
        longest = min(WAIT_SECONDS, self._connection.receive_seconds / 2)
        while not self._answer.state.is_final and (asked_at := time.monotonic()) < give_up_at:
            seconds = min(longest, give_up_at - asked_at)
            changed = self._ask("GET", wait_seconds=f"{seconds:.3f}", after=str(self._answer.revision))
            if changed.revision != self._answer.revision:
                self._answer = changed
                yield changed
            if changed.state.is_final:
                return
            pause = min(max((asked_at - began_at) * PAUSE_SHARE, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            time.sleep(max(0.0, asked_at + pause - time.monotonic()))

    def wait(self, *, progress: Report | None = None, timeout_seconds: float | None = None) -> Report_co:
        """Wait until the job has ended, and return its report.

        Args:
            progress: Callback that receives the progress, as that of `bitbudget.train`; None for none.
            timeout_seconds: Time after which this function gives up, and the job continues; None waits for ever.

        Raises:
            JobFailed: If the job has failed; its problem says why.
            JobCancelled: If the job was cancelled.
            StillRunning: If the time is up.
            ClientError: If the service does not answer, or with an error.
        """
        seconds = math.inf if timeout_seconds is None else timeout_seconds
        seen: ProgressAnswer | None = None
        for answer in self._updates_until(time.monotonic() + seconds):
            if progress is not None and answer.progress is not None and answer.progress != seen:
                seen = answer.progress
                progress(progress_of(seen))
        if not self.state.is_final:
            raise StillRunning(
                f"job {self.id} is {self.state} after {seconds:g} s; it continues: wait for it again, or cancel it"
            )
        return self.report

    @property
    def report(self) -> Report_co:
        """Report of the job, as the service has last described it.

        Raises:
            JobFailed: If the job has failed.
            JobCancelled: If the job was cancelled.
            StillRunning: If the job had not ended.
        """
        answer = self._answer
        if answer.state is JobState.FAILED:
            raise JobFailed(self.id, answer.error or _no_reason(self.id))
        if answer.state in {JobState.CANCELLED, JobState.CANCELLING}:
            raise JobCancelled(f"job {self.id} was cancelled; retry() starts it again")
        if not answer.state.is_final:
            raise StillRunning(f"job {self.id} is {answer.state} and has no report yet; wait for it")
        if answer.result is None:
            raise VersionMismatch(f"job {self.id} has succeeded, and the service sends no result; update the older one")
        return answer.result  # type: ignore[return-value]  # the kind of the job was given when it was created

    def cancel(self) -> JobAnswer:
        """Cancel the job, and return its description; it may be `cancelling` for a few seconds.

        Raises:
            ServiceProblem: If the job has succeeded or failed already ("/problems/job-finished").
            ClientError: If there is no answer, or an error.
        """
        self._answer = self._ask("POST", "cancel")
        return self._answer

    def retry(self) -> JobAnswer:
        """Queue the job again if it has failed or was cancelled, and return its description.

        A failed job continues from its last checkpoint; a cancelled job starts anew.

        Raises:
            ServiceProblem: If the job has succeeded.
            ClientError: If there is no answer, or an error.
        """
        self._answer = self._ask("POST", "retry")
        return self._answer

    def delete(self) -> None:
        """Delete the job, which has ended, and its files on the service.

        Raises:
            ServiceProblem: If the job has not ended ("/problems/job-not-finished").
            ClientError: If there is no answer, or an error.
        """
        delete(self._connection, path_of("jobs", self.id))

    @property
    def artifacts(self) -> list[Artifact]:
        """Name, size in bytes and SHA-256 of each file of the job; empty unless it has succeeded."""
        return self._answer.artifacts

    def read(self, name: str) -> bytes:
        """Return the content of a file of the job, whose SHA-256 was verified.

        Args:
            name: Name of the file, such as "report.json".

        Raises:
            RequestError: If the job has no such file.
            ClientError: If the file cannot be had, or is damaged.
        """
        for artifact in self.artifacts:
            if artifact.name == name:
                return content_of(self._connection, self.id, artifact)
        known = ", ".join(each.name for each in self.artifacts) or "none, unless the job has succeeded"
        raise RequestError(f"job {self.id} has no file {name[:80]!r}; its files: {known}")

    def log(self) -> str:
        """Return what the worker of the job has printed so far, such as the traceback of a failure.

        Raises:
            ServiceProblem: If the job does not exist.
            ClientError: If there is no answer, or an error.
        """
        path = path_of("jobs", self.id, "log")
        return self._connection.send(Call(method="GET", path=path)).content.decode(errors="replace")

    def download(self, folder: str | os.PathLike[str]) -> Path:
        """Download all files of the job, verify them, and return their folder, where they appear all at once.

        Args:
            folder: The folder: new, empty, or with an earlier result, which is replaced.

        Raises:
            RequestError: If the folder has other files or cannot be written to.
            JobFailed, JobCancelled, StillRunning: If the job has not succeeded.
            ClientError: If a file cannot be had, or is damaged.
        """
        _ = self.report
        download(self._connection, self.id, self.artifacts, Path(folder))
        return Path(folder)

    def __repr__(self) -> str:
        return f"<Job {self.id} on {self._connection.address.url}: {self._answer.kind}, {self._answer.state}>"

    def _ask(self, method: str, *parts: str, **query: str) -> JobAnswer:
        path = path_of("jobs", self.id, *parts)
        return self._connection.ask(JobAnswer, Call(method=method, path=path, query=query))


def progress_of(answer: ProgressAnswer) -> Progress:
    """Return the progress that the service sends as the progress that functions of this machine report.

    Args:
        answer: Progress of a job.
    """
    return Progress(**{name: getattr(answer, name) for name in Progress.__dataclass_fields__})


def delete(connection: Connection, path: str) -> None:
    """Delete a resource of the service.

    Args:
        connection: Connections to the service.
        path: Path of the resource.

    Raises:
        ClientError: If there is no answer, or an error.
    """
    connection.send(Call(method="DELETE", path=path))


def _no_reason(job_id: str) -> Problem:
    return Problem(type="about:blank", title="The job has failed", status=500, detail=f"job {job_id} gives no reason")
