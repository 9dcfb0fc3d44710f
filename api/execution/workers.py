"""The processes with limits in which the service parses and computes, and the error for each way in which one ends.

reading     uploaded networks, and what a solve needs of a stored one      2 at the same time
datasets    uploaded and other datasets, one of which may need much memory  1 at the same time
solving     questions: fit, devices, Pareto front                          `max_solves` at the same time
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.errors import Busy, InternalFault, ProcessesLost, ReadingLimit, ServiceError, SolvingLimit, Unavailable
from api.execution.forked_tasks import Call, ForkedTasks
from api.execution.task_messages import Ending, Outcome
from api.execution.task_pool import PoolBusy, PoolClosed, PoolLost, TaskPool
from api.execution.tracing import NO_TRACING, Tracing
from api.services.network_structures import DamagedFile
from api.settings import MAX_DATASET_EXPANSION, MIB, Settings
from network import errors
from network.errors import BitbudgetError, DatasetError, UnreadableFile

READING_PLACES: Final = 2
"""Number of networks that are read at the same time."""
WAIT_SECONDS: Final = 30.0
"""Longest time in seconds that an upload waits for its turn."""

_TASKS: Final = "api.execution.tasks:prepared_tasks"
_DATASET_MARGIN_BYTES: Final = 512 * MIB
"""Memory that reading a dataset may need in addition to its arrays, in bytes: decoded images, open archives."""
_ERRORS: Final = {
    each.__name__: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BitbudgetError)
} | {DamagedFile.__name__: DamagedFile}
"""Class of each error that a task may report, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lane:
    """Pool of one kind of work, with its limits and the words of its errors.

    Attributes:
        pool: Places and queue.
        memory_bytes: Memory of each task, in bytes.
        work: What a task does, such as "reading the network".
        expected: What is usually within the limits.
        advice: What the caller can do.
        limit: Class of the error if a task exceeds a limit.
        crash: Class of the error if a task crashes because of its input; None if a crash is a fault of the service.
        settings: Names of the settings that limit the time and the memory.
    """

    pool: TaskPool
    memory_bytes: int
    work: str
    expected: str
    advice: str
    limit: type[ServiceError]
    crash: type[BitbudgetError] | None
    settings: tuple[str, str]


class Workers:
    """Processes in which the service parses and computes, for its event loop.

    Args:
        settings: Settings of the service, with the limits.
        tracing: Source of spans.
    """

    def __init__(self, settings: Settings, tracing: Tracing = NO_TRACING) -> None:
        self._tracing = tracing
        self._tasks = ForkedTasks(_TASKS)
        self._parse_seconds = settings.parse_seconds
        places = settings.max_solves or len(os.sched_getaffinity(0))
        settings_of_reading = ("BITBUDGET_PARSE_SECONDS", "BITBUDGET_PARSE_MEMORY")
        self._reading = _Lane(
            pool=TaskPool(self._tasks, READING_PLACES, settings.queue_length),
            memory_bytes=settings.parse_memory_bytes,
            work="reading the network",
            expected="a network for a microcontroller",
            advice="upload a smaller network",
            limit=ReadingLimit,
            crash=UnreadableFile,
            settings=settings_of_reading,
        )
        self._datasets = _Lane(
            pool=TaskPool(self._tasks, 1, settings.queue_length),
            memory_bytes=settings.max_dataset_bytes * MAX_DATASET_EXPANSION + _DATASET_MARGIN_BYTES,
            work="reading the dataset",
            expected="a dataset",
            advice="upload a smaller dataset",
            limit=ReadingLimit,
            crash=DatasetError,
            settings=("BITBUDGET_PARSE_SECONDS", "BITBUDGET_MAX_DATASET_SIZE"),
        )
        self._solving = _Lane(
            pool=TaskPool(self._tasks, places, settings.queue_length),
            memory_bytes=settings.solve_memory_bytes,
            work="answering the question",
            expected="a network for a microcontroller",
            advice="give a smaller time_limit_seconds, fewer points or devices, or a smaller network; or send "
            "a fit or a Pareto front to POST /v1/jobs",
            limit=SolvingLimit,
            crash=None,
            settings=("BITBUDGET_REQUEST_SECONDS", "BITBUDGET_SOLVE_MEMORY"),
        )

    @property
    def is_ready(self) -> bool:
        """Whether tasks can start without waiting for imports, and none waits in a full queue."""
        return self._tasks.is_ready

    @property
    def solves(self) -> tuple[int, int]:
        """Number of questions that are being answered, and number of those that wait."""
        return self._solving.pool.running, self._solving.pool.waiting

    @property
    def pools(self) -> dict[str, TaskPool]:
        """Pool of each kind of work, by its name in the metrics."""
        return {"networks": self._reading.pool, "datasets": self._datasets.pool, "questions": self._solving.pool}

    def start(self) -> None:
        """Start the server of tasks, so that the first request does not wait for its imports."""
        self._tasks.warm_up()

    def close(self) -> None:
        """End all tasks, without waiting for their end; `reap` waits."""
        for lane in (self._reading, self._datasets, self._solving):
            lane.pool.close()
        self._tasks.close()

    def reap(self) -> None:
        """Wait until all processes have ended after `close`; this blocks for a short time and may run in a thread."""
        self._tasks.reap()

    async def read_network(self, task: str, request: bytes, readable: tuple[Path, ...]) -> bytes:
        """Run a task that reads files of a network, and return its answer.

        Args:
            task: Name of the task.
            request: Its request.
            readable: Files that it may read.

        Raises:
            Busy: If the queue is full, or no turn came in time.
            Unavailable: If the service ends.
            ReadingLimit: If the task needs too much time or memory.
            BitbudgetError: If the files are not valid.
        """
        return await self._run(self._reading, task, request, readable, WAIT_SECONDS, self._parse_seconds)

    async def read_dataset(self, task: str, request: bytes, readable: tuple[Path, ...]) -> bytes:
        """Run a task that reads a dataset, and return its answer; `read_network` has the arguments and errors."""
        return await self._run(self._datasets, task, request, readable, WAIT_SECONDS, self._parse_seconds)

    async def solve(
        self, task: str, request: bytes, *, wait_seconds: float, seconds: float, whole_seconds: float
    ) -> bytes:  # fmt: skip
        """Run a task that answers a question, and return its answer.

        Args:
            task: Name of the task.
            request: Its request.
            wait_seconds: Longest time to wait for its turn, in seconds.
            seconds: Longest time of the task, in seconds.
            whole_seconds: Longest time of waiting and task together, in seconds.

        Raises:
            Busy: If the queue is full, or no turn came in time.
            Unavailable: If the service ends.
            SolvingLimit: If the task needs too much time or memory.
            BitbudgetError: If parts of the question do not suit each other.
        """
        return await self._run(self._solving, task, request, (), wait_seconds, seconds, whole_seconds)

    async def _run(
        self,
        lane: _Lane,
        task: str,
        request: bytes,
        readable: tuple[Path, ...],
        wait_seconds: float,
        seconds: float,
        whole_seconds: float = math.inf,
    ) -> bytes:
        call = Call(
            task=task,
            request=request,
            memory_bytes=lane.memory_bytes,
            readable=readable,
            has_scratch=lane.crash is None,
        )
        try:
            with self._tracing.span(f"task {task}") as note:
                outcome = await lane.pool.run(
                    call, wait_seconds=wait_seconds, seconds=seconds, whole_seconds=whole_seconds
                )
                note(ending=outcome.ending)
        except PoolBusy as busy:
            raise Busy(
                f"the service has too many requests at the moment; send the request again after "
                f"{busy.retry_after_seconds} s",
                busy.retry_after_seconds,
            ) from None
        except PoolClosed:
            raise Unavailable("the service is ending; try again later") from None
        except PoolLost:
            raise ProcessesLost(
                "the processes of the service that read and solve were killed twice while they worked on this request; "
                "send it again, and ask the operator for the log of the service if it happens again"
            ) from None
        if outcome.ending is Ending.ANSWERED:
            return outcome.body
        raise _error_of(outcome, lane, min(seconds, whole_seconds))


def _error_of(outcome: Outcome, lane: _Lane, seconds: float) -> BitbudgetError:
    """Return the error for a caller whose task has no answer."""
    text = outcome.body.decode(errors="replace")
    of_time, of_memory = lane.settings
    match outcome.ending:
        case Ending.REFUSED:
            name, _, message = text.partition("\n")
            return _ERRORS.get(name, UnreadableFile)(message)
        case Ending.TOO_LONG:
            usual = f"{lane.expected}, which is read within seconds" if lane.crash is not None else lane.expected
            return lane.limit(
                f"{lane.work} took longer than {seconds:g} s; expected {usual}: {lane.advice}, or let the operator of "
                f"the service raise {of_time}"
            )
        case Ending.OUT_OF_MEMORY:
            return lane.limit(
                f"{lane.work} needs more than {math.floor(lane.memory_bytes / MIB)} MiB of memory; expected "
                f"{lane.expected}: {lane.advice}, or let the operator of the service raise {of_memory}"
            )
        case _ if lane.crash is UnreadableFile:
            return UnreadableFile(
                f"the process that read the network was ended by {text[:80]}; expected a complete ONNX, TFLite or JSON "
                "file: export the network again, and if that does not help, report this file as a fault of bitbudget"
            )
        case _ if lane.crash is not None:
            return lane.crash(
                f"the process that read the dataset was ended by {text[:80]}; expected a complete file: write the "
                "dataset again, and if that does not help, report this file as a fault of bitbudget"
            )
        case _:
            return InternalFault(f"{lane.work} was ended by {text[:80]}; the log of the service has the details")
