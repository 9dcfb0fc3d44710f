"""Executor for tests: each worker is a thread of a cluster that outlives the executor, as a real cluster does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

from api.execution.executor import Attempt, ExecutorUnavailable, Handle

PATIENCE_SECONDS = 10.0


@dataclass
class Worker:
    """Thread that runs one attempt, with the events that control it."""

    attempt: Attempt
    task: Callable[[Worker], str]
    asked: Event = field(default_factory=Event)
    killed: Event = field(default_factory=Event)
    ending: str | None = None

    def __post_init__(self) -> None:
        self.thread = Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.ending = self.task(self)
        except Exception as error:
            self.ending = f"exception {error}"


class Cluster:
    """All workers by handle, with those that have ended. The cluster has a limited capacity, and can be unreachable."""

    def __init__(self, task: Callable[[Worker], str], room: int = 1000) -> None:
        self.task = task
        self.room = room
        self.is_reachable = True
        self.loses_next_answer = False
        self.workers: dict[Handle, Worker] = {}
        self.forgotten: set[Handle] = set()

    @property
    def living(self) -> list[Attempt]:
        return [worker.attempt for worker in self.workers.values() if worker.thread.is_alive()]


class ThreadExecutor:
    """Executor over a cluster of threads."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._started: set[Handle] = set()

    def start(self, attempt: Attempt) -> Handle | None:
        cluster = self._reached()
        handle = Handle(f"{attempt.job_id}#{attempt.number}")
        if handle not in cluster.workers:
            if len(cluster.living) >= cluster.room:
                return None
            cluster.workers[handle] = Worker(attempt, cluster.task)
            self._started.add(handle)
        if cluster.loses_next_answer:
            cluster.loses_next_answer = False
            raise ExecutorUnavailable("the connection broke before the answer came")
        return handle

    def find(self, attempt: Attempt) -> Handle | None:
        handle = Handle(f"{attempt.job_id}#{attempt.number}")
        return handle if handle in self._reached().workers else None

    def is_alive(self, handle: Handle) -> bool:
        return self._reached().workers[handle].thread.is_alive()

    def ending(self, handle: Handle) -> str | None:
        return self._reached().workers[handle].ending

    def output_of(self, attempt: Attempt) -> str:
        return f"the memory of the worker of {attempt.job_id}"

    def last_output(self, attempt: Attempt) -> str:
        return f"the last words of {attempt.job_id}"

    def ask_to_end(self, handle: Handle) -> None:
        self._reached().workers[handle].asked.set()

    def kill(self, handle: Handle) -> None:
        self._reached().workers[handle].killed.set()

    def forget(self, handle: Handle) -> None:
        self._cluster.forgotten.add(handle)

    def close(self) -> None:
        if not self._cluster.is_reachable:
            return
        for handle in self._started:
            self._cluster.workers[handle].killed.set()
            self._cluster.workers[handle].thread.join(PATIENCE_SECONDS)

    def _reached(self) -> Cluster:
        if not self._cluster.is_reachable:
            raise ExecutorUnavailable("the cluster cannot be reached")
        return self._cluster
