"""Executor that runs each worker of a job as a submission to a Ray cluster.

The identifier of the submission is made of job and attempt, so that a repeated start is harmless and a new service
finds the workers of an earlier one. What Ray says is believed, with one exception: if the cluster has forgotten a
submission, or has lost its node, the worker may be alive for a while. Then the signs of life in the database decide.

    Ray: PENDING, RUNNING                                   alive
    Ray: STOPPED, SUCCEEDED, FAILED with an exit code       gone
    Ray: FAILED because a node was lost; unknown to Ray     alive until it gave no sign of life for 10 s
    no answer                                               ExecutorUnavailable
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import Sequence
from typing import Final

from api.execution.executor import (
    ALREADY_BEGUN,
    HEARTBEAT_SECONDS,
    LOST_HEARTBEATS,
    Attempt,
    ExecutorUnavailable,
    Handle,
    ending_of,
)
from api.execution.job_share import share_of
from api.execution.log_tail import last_lines, last_lines_of
from api.execution.log_writer import append
from api.execution.ray_jobs import Command, RayJobs, Submission, reserved_for
from api.execution.worker_command import (
    WORKER_ARGUMENTS,
    environment_elsewhere,
    options_elsewhere,
    worker_options,
)
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from network.errors import RequestError

LOG: Final = logging.getLogger("bitbudget.scheduler")

GONE_SECONDS: Final = LOST_HEARTBEATS * HEARTBEAT_SECONDS
"""Time in seconds without a sign of life after which a worker that Ray has lost sight of counts as gone."""
_FRESH_SECONDS: Final = 0.5
"""Time in seconds for which a worker that was alive is believed to be alive without asking Ray."""
CLOSING_SECONDS: Final = 5.0
"""Longest time in seconds to wait for the ends of workers when the service ends; Ray kills after 3 s."""
_REMEMBERED_ENDINGS: Final = 1000
"""Number of ended workers that stay known after their submissions were deleted."""
_PAUSE_SECONDS: Final = 0.2
_JOB: Final = "bitbudget_job"
"""Name of the metadata that marks the submissions of bitbudget."""


class RayExecutor:
    """Executor that runs each worker of a job on a Ray cluster.

    Args:
        settings: Settings of the service; they have the address of the cluster.
        worker_arguments: Arguments of Python that run a worker; the job, the attempt and the options are appended.
        closing_seconds: Longest time in seconds that `close` waits for the ends of workers.

    Raises:
        RequestError: If the settings have no address.
    """

    def __init__(
        self,
        settings: Settings,
        worker_arguments: Sequence[str] = WORKER_ARGUMENTS,
        closing_seconds: float = CLOSING_SECONDS,
    ) -> None:
        if settings.ray_address is None:
            raise RequestError(
                "the executor ray needs the URL of a Ray cluster's dashboard; give --ray-address http://HEAD:8265"
            )
        self._settings = settings
        self._worker_arguments = worker_arguments
        self._closing_seconds = closing_seconds
        self._jobs = RayJobs(settings.ray_address, settings.ray_token)
        self._store = Store(settings.database)
        self._own: set[Handle] = set()
        self._alive_until: dict[Handle, float] = {}
        self._endings: dict[Handle, str] = {}
        self._stopped_pending: set[Handle] = set()
        self._deletable: set[Handle] = set()
        self._signs: dict[Handle, tuple[float | None, float]] = {}
        try:
            self._sweep()
        except ExecutorUnavailable as error:
            LOG.warning("%s; jobs wait until it does", error)

    def start(self, attempt: Attempt) -> Handle | None:
        """Submit a worker for an attempt to run a job, unless the attempt was submitted before."""
        handle = _handle(attempt)
        if self._jobs.find(handle) is None and not self._has_begun(attempt):
            try:
                self._jobs.submit(handle, self._command(attempt))
            except ExecutorUnavailable:
                if self._jobs.find(handle) is None:
                    raise
        self._own.add(handle)
        return handle

    def find(self, attempt: Attempt) -> Handle | None:
        """Return the handle of an attempt that the cluster knows, or whose worker has begun on a lost cluster."""
        handle = _handle(attempt)
        is_known = handle in self._endings or self._jobs.find(handle) is not None or self._has_begun(attempt)
        return handle if is_known else None

    def is_alive(self, handle: Handle) -> bool:
        """Return whether a worker waits for a place on the cluster, or runs, or may run on a lost node."""
        if handle in self._endings:
            return False
        if time.monotonic() < self._alive_until.get(handle, 0.0):
            return True
        submission = self._jobs.find(handle)
        if submission is not None and submission.waited_too_long:
            self._submit_again(handle)
        elif submission is None or (submission.has_ended and not _is_certain(submission)):
            if not self._gives_signs(handle):
                self._endings[handle] = _ending(submission)
        elif submission.has_ended or (submission.is_pending and handle in self._stopped_pending):
            # A stopped submission that waits would only find out that its job no longer runs in its attempt.
            self._endings[handle] = _ending(submission)
        else:
            self._alive_until[handle] = time.monotonic() + _FRESH_SECONDS
        return handle not in self._endings

    def ending(self, handle: Handle) -> str | None:
        """Return the exit code or the signal of a worker, or what Ray says about its end."""
        return None if self.is_alive(handle) else self._endings[handle]

    def output_of(self, attempt: Attempt) -> str:
        """Return a noun phrase that names the log file of a job and its submission in Ray's dashboard."""
        log = JobDirectory.of(attempt.job_id, self._settings).log
        return (
            f"the file {log.relative_to(self._settings.data_directory)} in the data directory of the service, and what "
            f"Ray says about it in the log of the submission {_handle(attempt)}"
        )

    def last_output(self, attempt: Attempt) -> str:
        """Return the last lines of the log of a job; where the nodes cannot write it, those that Ray has logged."""
        own = last_lines(JobDirectory.of(attempt.job_id, self._settings).log)
        if own and self._shares_files:
            return own
        with contextlib.suppress(ExecutorUnavailable):
            return last_lines_of(self._jobs.logs(_handle(attempt)))
        return ""

    def ask_to_end(self, handle: Handle) -> None:
        """Let Ray stop a worker: SIGTERM to its processes, and SIGKILL to those that are alive 3 s later."""
        if handle in self._endings:
            return
        submission = self._jobs.find(handle)
        if submission is None or submission.has_ended:
            return
        self._jobs.stop(handle)
        if submission.is_pending:
            self._stopped_pending.add(handle)
            self._alive_until.pop(handle, None)

    def kill(self, handle: Handle) -> None:
        """Do the same as `ask_to_end`, which ends with SIGKILL: Ray has no harder way."""
        self.ask_to_end(handle)

    def forget(self, handle: Handle) -> None:
        """Delete the submission of a worker, or later if Ray still has it in its queue."""
        self._own.discard(handle)
        self._alive_until.pop(handle, None)
        self._signs.pop(handle, None)
        self._stopped_pending.discard(handle)
        for oldest in tuple(self._endings)[:-_REMEMBERED_ENDINGS]:
            del self._endings[oldest]
        self._deletable.add(handle)
        for each in tuple(self._deletable):
            with contextlib.suppress(ExecutorUnavailable):
                submission = self._jobs.find(each)
                if submission is not None and not submission.has_ended:
                    continue
                if submission is not None:
                    self._keep_log(each)
                    self._jobs.delete(each)
                self._deletable.discard(each)

    def close(self) -> None:
        """Stop each worker that this executor object started, and wait a few seconds until all have ended."""
        living = set(self._own)
        give_up_at = time.monotonic() + self._closing_seconds
        try:
            for handle in living:
                self.ask_to_end(handle)
            while (living := {handle for handle in living if self._runs(handle)}) and time.monotonic() < give_up_at:
                time.sleep(_PAUSE_SECONDS)
        except ExecutorUnavailable as error:
            LOG.warning("%s; the workers of %d jobs live on", error, len(living))
        self._own.clear()
        self._jobs.close()
        self._store.close()

    @property
    def _shares_files(self) -> bool:
        """Whether the nodes have the data directory of the service: without a store, they find the files there."""
        return self._settings.store_url is None

    def _keep_log(self, handle: Handle) -> None:
        """Append what Ray has logged to the log of a job whose worker could not write it, because nothing is shared."""
        log = JobDirectory.of(_attempt(handle).job_id, self._settings).log
        if self._shares_files or not log.parent.is_dir():
            return
        append(log, self._jobs.logs(handle).encode(), self._settings.max_log_bytes)

    def _runs(self, handle: Handle) -> bool:
        submission = self._jobs.find(handle)
        return submission is not None and not submission.has_ended

    def _command(self, attempt: Attempt) -> Command:
        python, settings = self._settings.ray_python, self._settings
        log = JobDirectory.of(attempt.job_id, settings).log
        share = share_of(settings, self._store.job_of_any_project(attempt.job_id))
        logged = (python, "-m", "api.execution.logged_command", str(log), str(settings.max_log_bytes))
        line = [
            *(logged if self._shares_files else ()),
            *(python, *self._worker_arguments, attempt.job_id),
            *worker_options(attempt, share),
            *options_elsewhere(settings),
        ]
        return Command(
            line=f"exec {shlex.join(line)}",
            environment=environment_elsewhere(settings, share),
            reserved=reserved_for(share),
            metadata={_JOB: attempt.job_id},
        )

    def _submit_again(self, handle: Handle) -> None:
        """Put a submission into Ray's queue again, which Ray gave up because the cluster had no place for it."""
        self._jobs.delete(handle)
        self._jobs.submit(handle, self._command(_attempt(handle)))

    def _has_begun(self, attempt: Attempt) -> bool:
        """Return whether a worker of an attempt has given a sign of life."""
        job = self._store.job_of_any_project(attempt.job_id)
        return job is not None and job.attempt == attempt.number and job.heartbeat_at is not None

    def _gives_signs(self, handle: Handle) -> bool:
        """Return whether a worker of which Ray knows nothing may be alive, because of its signs of life."""
        attempt, now = _attempt(handle), time.monotonic()
        job = self._store.job_of_any_project(attempt.job_id)
        if job is None or job.attempt != attempt.number:
            return False  # it may change nothing
        heartbeat_at, seen_at = self._signs.setdefault(handle, (job.heartbeat_at, now))
        if job.heartbeat_at != heartbeat_at:
            self._signs[handle] = (job.heartbeat_at, now)
            return True
        return now - seen_at < GONE_SECONDS

    def _sweep(self) -> None:
        """Delete the submissions of settled attempts that an earlier service has left behind."""
        for submission in self._jobs.submissions():
            if not submission.has_ended or _JOB not in submission.metadata:
                continue
            attempt = _attempt(Handle(submission.id))
            job = self._store.job_of_any_project(attempt.job_id)
            if job is not None and (job.attempt > attempt.number or job.state.is_final):
                self._jobs.delete(submission.id)


def _is_certain(submission: Submission) -> bool:
    return submission.is_certain and submission.exit_code != ALREADY_BEGUN


def _ending(submission: Submission | None) -> str:
    if submission is None:
        return "lost: the Ray cluster was started anew"
    if submission.exit_code is not None:
        return ending_of(submission.exit_code)
    if submission.was_stopped or submission.is_pending:
        return "stopped by Ray: SIGTERM, and signal 9, SIGKILL, if it was alive 3 s later"
    return f"Ray: {submission.message.splitlines()[0][:300] if submission.message else submission.status}"


def _handle(attempt: Attempt) -> Handle:
    return Handle(f"{attempt.job_id}-{attempt.number}")


def _attempt(handle: Handle) -> Attempt:
    job_id, _, number = handle.rpartition("-")
    return Attempt(job_id, int(number))
