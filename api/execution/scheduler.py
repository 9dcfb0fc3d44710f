"""The runner: starts a process for each job, and looks after jobs whether it started them or not.

    each turn, for every unfinished job
        its worker lives         cancelling: ask it to end, then end it
        its worker is gone       running: put it back into the queue, once; then it has failed
                                 cancelling: it is cancelled
        queued                   start its worker, if there is room

All that it knows is in the database and in the jobs' locks, so a new service goes on where a killed one was. Workers
that outlive the service are looked after like any other.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Final

from api.errors import WORKER_LOST
from api.settings import Settings
from api.storage.database import Store
from api.storage.job_directory import JobDirectory
from api.storage.process_lock import ProcessLock
from api.storage.records import Job, JobState

LOG: Final = logging.getLogger("bitbudget.runner")

PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]


class Runner:
    """Runs the jobs of a data directory, in a thread of its own."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._thread = Thread(target=self._run, name="runner", daemon=True)
        self._wake = Event()
        self._is_stopping = False
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._asked_to_end: dict[str, float] = {}

    def start(self) -> None:
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def wake(self) -> None:
        """Take the next turn at once."""
        self._wake.set()

    def stop(self) -> None:
        """End all workers, and put their jobs back into the queue: the next service goes on from the checkpoints."""
        self._is_stopping = True
        self.wake()
        self._thread.join()
        for job in self._store.jobs([JobState.RUNNING, JobState.CANCELLING]):
            self._end_worker(job)
            self._settle(job, requeue=True)
        # A worker whose job is done may still be on its way out: nothing that was started here outlives the service.
        for child in self._children.values():
            try:
                child.wait(self._settings.grace_seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()

    def _run(self) -> None:
        while not self._is_stopping:
            try:
                self._turn()
            except Exception:
                # e.g. a full disk: the jobs wait, the service goes on answering
                LOG.exception("the runner failed; it tries again")
                time.sleep(self._settings.turn_seconds)
            self._wake.wait(self._settings.turn_seconds)
            self._wake.clear()

    def _turn(self) -> None:
        self._reap()
        ended = [job_id for job_id, child in self._children.items() if child.returncode is not None]
        working = 0
        for job in self._store.jobs([JobState.RUNNING, JobState.CANCELLING]):
            if not JobDirectory.of(job.id, self._settings).lock.is_held:
                self._settle(job, requeue=job.crashes < self._settings.max_crashes)
                continue
            working += 1
            if job.state is JobState.CANCELLING:
                self._ask_to_end(job)
        for job_id in ended:
            self._children.pop(job_id, None)  # it has told the database itself, or its job was settled just now
        for job in reversed(self._store.jobs([JobState.QUEUED])):
            if working >= self._settings.max_concurrent_jobs:
                break
            working += self._start(job)

    def _start(self, job: Job) -> bool:
        directory = JobDirectory.of(job.id, self._settings)
        directory.root.mkdir(parents=True, exist_ok=True)
        lock = directory.lock.take()
        if lock is None:
            return False  # the worker that it had is still ending
        try:
            started_at = job.started_at or time.time()
            if not self._store.change_job(job.id, [JobState.QUEUED], state=JobState.RUNNING, started_at=started_at):
                return False  # cancelled meanwhile
            with directory.log.open("ab") as log:
                child = subprocess.Popen(  # noqa: S603  # our own interpreter and module
                    [
                        sys.executable,
                        "-m",
                        "api.execution.worker",
                        job.id,
                        f"--data-directory={self._settings.data_directory}",
                        f"--max-dataset-bytes={self._settings.max_dataset_bytes}",
                        *self._operator_datasets(),
                        f"--lock={lock}",
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[lock],
                    start_new_session=True,
                    env=os.environ | {"PYTHONPATH": os.pathsep.join(_import_path())},
                )
            ProcessLock.sign(lock, child.pid)
        finally:
            os.close(lock)
        self._children[job.id] = child
        LOG.info("job %s started", job.id)
        return True

    def _operator_datasets(self) -> list[str]:
        directory = self._settings.operator_datasets
        return [] if directory is None else [f"--operator-datasets={directory}"]

    def _settle(self, job: Job, *, requeue: bool) -> None:
        """Decide what becomes of a job whose worker is gone."""
        exit_status = self._children.pop(job.id).wait() if job.id in self._children else None
        self._asked_to_end.pop(job.id, None)
        directory = JobDirectory.of(job.id, self._settings)
        if job.state is JobState.CANCELLING:
            directory.clear_results()
            self._store.change_job(job.id, [JobState.CANCELLING], state=JobState.CANCELLED)
            return
        crashes = job.crashes if self._is_stopping else job.crashes + 1
        if requeue:
            if self._store.change_job(job.id, [JobState.RUNNING], state=JobState.QUEUED, crashes=crashes):
                directory.clear_unfinished()
                LOG.warning("job %s lost its worker (%s) and is queued again", job.id, _end_of(exit_status))
            return
        problem = WORKER_LOST.problem(
            f"the worker ended unexpectedly ({_end_of(exit_status)}), {crashes} times; "
            f"the job can be retried. What it said is in the service's data directory, in "
            f"{directory.log.relative_to(self._settings.data_directory)}"
        )
        if self._store.change_job(
            job.id, [JobState.RUNNING], state=JobState.FAILED, crashes=crashes, error=problem.document()
        ):
            directory.clear_unfinished()
            LOG.error("job %s lost its worker (%s); see %s", job.id, _end_of(exit_status), directory.log)

    def _ask_to_end(self, job: Job) -> None:
        """SIGTERM, and SIGKILL when the grace is over."""
        holder = JobDirectory.of(job.id, self._settings).lock.holder
        if holder is None:
            return  # it has not signed yet: the next turn
        now = time.monotonic()
        asked_at = self._asked_to_end.setdefault(job.id, now)
        if asked_at == now:
            _signal_group(holder, signal.SIGTERM)
        elif now - asked_at > self._settings.grace_seconds:
            _signal_group(holder, signal.SIGKILL)

    def _end_worker(self, job: Job) -> None:
        lock = JobDirectory.of(job.id, self._settings).lock
        give_up_at = time.monotonic() + 2 * self._settings.grace_seconds
        while lock.is_held and time.monotonic() < give_up_at:
            self._ask_to_end(job)
            self._reap()
            time.sleep(0.02)

    def _reap(self) -> None:
        for child in self._children.values():
            child.poll()


def _signal_group(process_id: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended by itself
        os.killpg(process_id, number)


def _end_of(exit_status: int | None) -> str:
    if exit_status is None:
        return "how is not known: another service started it"
    if exit_status < 0:
        return f"signal {-exit_status}, {signal.Signals(-exit_status).name}"
    return f"exit code {exit_status}"


def _import_path() -> list[str]:
    """Where the worker finds our packages: here, even if they were never installed."""
    return [str(PACKAGE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
