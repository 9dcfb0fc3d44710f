"""The protocol between the job scheduler, which decides what happens to jobs, and executors, which run the workers.

    Scheduler (policy)                       Executor (means)
    which job starts next          ────►     start(attempt) -> handle
    after a restart of the service ────►     find(attempt) -> handle
    every turn                     ────►     is_alive(handle)
    cancel, stop                   ────►     ask_to_end(handle), then kill(handle)
    a worker is gone               ────►     ending(handle), output_of(attempt), last_output(attempt)
    its job is settled             ────►     forget(handle)

An executor knows nothing of the states of a job. The worker that it starts (`python -m api.execution.worker JOB
--attempt NUMBER`) reads the job from the database and writes progress and result there.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Final, NewType, Protocol

from network.errors import BitbudgetError

HEARTBEAT_SECONDS: Final = 2.0
"""Time in seconds between two signs of life that a worker writes to the database as long as its work goes on."""

LOST_HEARTBEATS: Final = 5
"""Number of signs of life in a row that a living worker may miss because its machine is busy."""

ALREADY_BEGUN: Final = 75
"""Exit code of a worker that did nothing because another worker has begun the same attempt."""

Handle = NewType("Handle", str)
"""Text by which an executor recognises one worker. Only the executor that made it gives it a meaning."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job by one worker process.

    Attributes:
        job_id: Identifier of the job.
        number: Number of the attempt: 1 for the first start of the job, one more for every further start.
    """

    job_id: str
    number: int


def ending_of(status: int) -> str:
    """Return how a process ended, as a noun phrase.

    Args:
        status: Exit code of the process, or the negative number of the signal that ended it.
    """
    return f"exit code {status}" if status >= 0 else f"signal {-status}, {signal.Signals(-status).name}"


class ExecutorUnavailable(BitbudgetError):
    """Error: an executor cannot be reached at the moment, so that the state of its workers is unknown."""


class Executor(Protocol):
    """Protocol of a system that runs the workers of jobs: processes of this machine, or a cluster.

    What every method guarantees:

    - It returns within a few seconds. It never waits until a worker has started or ended.
    - It may be called by another process than the one that started the worker: a handle stays valid as long as its
      worker is alive, also after a restart of the service.
    - It raises `ExecutorUnavailable` if it cannot find out, or cannot do, what is required. The scheduler then changes
      nothing and calls again in its next turn. A worker must never be reported as ended only because a connection
      failed.
    - It is called by one thread at a time.

    The scheduler guarantees that it starts an attempt only if no earlier attempt of the same job is alive.
    """

    def start(self, attempt: Attempt) -> Handle | None:
        """Start a worker for one attempt to run a job, and return the worker's handle.

        The call is idempotent: if the attempt was started before, by this or by another process, no second worker is
        started and the same handle is returned, even if the worker has ended. An executor that can only see living
        workers fulfils this for living workers; the scheduler repeats a start only after `ExecutorUnavailable`.

        From the return on, `is_alive` is true until the worker has ended. An executor may queue the worker: a queued
        worker is alive.

        An executor that must know more about the job, such as the number of processors, reads the request of the job
        from the database.

        Args:
            attempt: The attempt to start. In the database, the job is already running in this attempt.

        Returns:
            The handle of the worker; None if the executor has no room for it at the moment and started nothing.

        Raises:
            ExecutorUnavailable: If it is not known whether the worker was started.
        """

    def find(self, attempt: Attempt) -> Handle | None:
        """Return the handle of the worker of an attempt to run a job; the worker may have been started by any process.

        Args:
            attempt: The attempt to look for.

        Returns:
            The handle; None if no worker of this attempt is alive and nothing else is known of it. A worker with a
            handle may have ended: `is_alive` decides.
        """

    def is_alive(self, handle: Handle) -> bool:
        """Return whether a worker may still change its job's files or database record.

        False is final. The scheduler then settles the job, and may start its next attempt at once.
        """

    def ending(self, handle: Handle) -> str | None:
        """Return how a worker ended, such as 'exit code 1' or 'out of memory'; None if that is not known."""

    def output_of(self, attempt: Attempt) -> str:
        """Return the place where an operator finds a worker's output, as a noun phrase for an error message."""

    def last_output(self, attempt: Attempt) -> str:
        """Return the last lines of a worker's output, for an error message; empty if there are none."""

    def ask_to_end(self, handle: Handle) -> None:
        """Ask a worker to end soon; asking again, or asking a worker that has ended, is not an error."""

    def kill(self, handle: Handle) -> None:
        """End a worker and all processes that it started, without giving it time to finish.

        The worker may be alive for a short time afterwards. Killing again, or killing a worker that has ended, is not
        an error.
        """

    def forget(self, handle: Handle) -> None:
        """Delete what is kept of a worker that has ended and whose job is settled; the log of the job stays.

        A second call, or a call for a worker that this executor does not know, is not an error. What cannot be deleted
        at the moment is deleted later.
        """

    def close(self) -> None:
        """Kill each worker that this executor object started and that is still alive, and release all resources.

        The scheduler calls it once, after it has ended the workers of all jobs; nothing is called afterwards. A service
        that crashes never calls it, and its workers live on.
        """
