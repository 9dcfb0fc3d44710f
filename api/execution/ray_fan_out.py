"""Parts of a job as tasks of the Ray cluster on which the job runs.

    worker (a submission) ── map ──► tasks, each with the processors of the job
            ▲                             │
            └──── latest progress ◄── Noticeboard, an actor

If the worker ends, Ray ends its tasks. A task that is lost with its node is repeated once; a second loss ends the
worker, and the next attempt of the job continues from what was kept.

Workers hold their own processors while they wait, so that several sweeps can fill a cluster, and no task could ever
begin. A worker that has no sign of its tasks therefore computes one part itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import ray

from api.execution.job_share import JobShare
from qat.fan_out import IN_ORDER, FanOut, Input, Output, ReportOfPart, Shared
from qat.progress import Progress, Report

MOST_PARTS: Final = 64
"""Largest number of parts at the same time."""
_RETRIES: Final = 1
PATIENCE_SECONDS: Final = 60.0
"""Time in seconds without a sign of any task after which the worker computes a part itself: longer than a task takes to
begin, if there is room for it."""
_POLL_SECONDS: Final = 0.5
"""Time in seconds between two looks at the progress of the tasks."""


@dataclass(frozen=True, slots=True)
class _Notices:
    """What tasks have told since the last look.

    Attributes:
        has_begun: Whether a task has begun.
        latest: Latest progress of each part that has reported, by its number.
    """

    has_begun: bool
    latest: dict[int, Progress]


class _Noticeboard:
    """Latest progress of each part, and whether a task has begun."""

    def __init__(self) -> None:
        self._has_begun = False
        self._latest: dict[int, Progress] = {}

    def begin(self) -> None:
        self._has_begun = True

    def put(self, number: int, progress: Progress) -> None:
        self._latest[number] = progress

    def take(self) -> _Notices:
        taken = _Notices(self._has_begun, self._latest)
        self._has_begun, self._latest = False, {}
        return taken


class RayFanOut:
    """Tasks of a Ray cluster that compute the parts of one job.

    Args:
        share: Processors and GPUs of each task.
        width: Number of tasks that the cluster can run at the same time.
        patience_seconds: Time without a sign of any task after which this process computes a part.
    """

    def __init__(self, share: JobShare, width: int, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._width = width
        self._patience_seconds = patience_seconds
        self._resources: dict[str, Any] = {"num_cpus": share.processors, "num_gpus": share.gpus}
        if share.memory_bytes is not None:
            self._resources["memory"] = share.memory_bytes

    @property
    def width(self) -> int:
        """Number of tasks that the cluster can run at the same time."""
        return self._width

    def map(
        self,
        function: Callable[[Shared, Input, Report], Output],
        shared: Shared,
        inputs: Sequence[Input],
        report: ReportOfPart,
    ) -> Iterator[tuple[int, Output]]:
        """Compute a function for each input in a task of the cluster, and yield each result when it is ready.

        Where no task can begin, this process computes one part after the other.
        """
        board: Any = ray.remote(_Noticeboard).options(num_cpus=0).remote()
        task: Any = ray.remote(_compute).options(max_retries=_RETRIES, **self._resources)
        shared_reference = ray.put(shared)
        numbers = {
            task.remote(function, shared_reference, each, number, board): number for number, each in enumerate(inputs)
        }
        last_sign = time.monotonic()
        try:
            while numbers:
                ready, _ = ray.wait(list(numbers), timeout=_POLL_SECONDS)
                notices: _Notices = ray.get(board.take.remote())
                for number in sorted(notices.latest):
                    report(number, notices.latest[number])
                for reference in ready:
                    yield numbers.pop(reference), _result(reference)
                if ready or notices.has_begun or notices.latest:
                    last_sign = time.monotonic()
                elif time.monotonic() - last_sign >= self._patience_seconds:
                    reference, number = next(iter(numbers.items()))
                    del numbers[reference]
                    ray.cancel(reference, force=True)
                    yield number, function(shared, inputs[number], partial(report, number))
        finally:
            for reference in numbers:
                ray.cancel(reference, force=True)
            ray.kill(board)


@contextmanager
def on_cluster(share: JobShare) -> Iterator[FanOut]:
    """Connect this worker to the cluster on which it runs, and yield the tasks that its job can have.

    Args:
        share: What the job gets; each task gets the same.
    """
    ray.init(address="auto", log_to_driver=False, logging_level=logging.WARNING)
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray's own
        width = _places(resources, share)
        yield IN_ORDER if width < 2 else RayFanOut(share, width)
    finally:
        ray.shutdown()


def _places(resources: dict[str, float], share: JobShare) -> int:
    """Return how many tasks a cluster can run at the same time beside the worker, which waits for them.

    Args:
        resources: Resources of the whole cluster, by their names in Ray.
        share: What each task, and the worker, gets.
    """
    places = [resources.get("CPU", 0.0) // share.processors - 1]
    if share.gpus:
        places.append(resources.get("GPU", 0.0) // share.gpus - 1)
    if share.memory_bytes:
        places.append(resources.get("memory", 0.0) // share.memory_bytes - 1)
    return max(0, min(MOST_PARTS, *map(int, places)))


def _compute(
    function: Callable[[Any, Any, Report], Any], shared: Any, given: Any, number: int, board: Any
) -> Any:  # Any: what FanOut.map was given
    """Compute one part in a task, and put its progress on the board, at most every `_POLL_SECONDS`."""
    board.begin.remote()
    last = float("-inf")

    def tell(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _POLL_SECONDS:
            last = time.monotonic()
            board.put.remote(number, progress)

    return function(shared, given, tell)


def _result(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, Exception):
            raise error.cause from None
        raise
