"""Signs of life of a worker, which a thread of it writes to the database as long as its work goes on.

    a long epoch         reports after each batch                                  sign of life
    a long proof         computes for hours without a report                       sign of life: it uses the processor
    a compiler           computes in a process that the worker has started         sign of life: as above
    a deadlock, a dead   neither reports nor uses the processor                    silence: the scheduler's watchdog
    disk or a stopped                                                              kills the worker after
    process                                                                        `silence_seconds`

A worker that computes without end and without a result looks like a long proof; the longest duration of a job ends it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from threading import Event, Thread
from typing import Final

from sqlalchemy.exc import DBAPIError

from api.execution.cpu_time import session_cpu_seconds
from api.execution.executor import HEARTBEAT_SECONDS
from api.execution.job_record import JobRecord
from api.storage.attempt_directory import AttemptSuperseded

LOG: Final = logging.getLogger("bitbudget.worker")

LEAST_CPU_SECONDS: Final = 0.05
"""Processor time in seconds since the last sign of life from which a worker counts as computing."""


class Heartbeat:
    """Thread that writes signs of life of this worker, from `start` to `stop`.

    Args:
        record: Record of the job in the database, which also knows when the work has last reported.
        seconds: Time in seconds between two signs of life.
    """

    def __init__(self, record: JobRecord, seconds: float = HEARTBEAT_SECONDS) -> None:
        self._record = record
        self._seconds = seconds
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Write the first sign of life, and start the thread."""
        self._write()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread, so that no sign of life is written from now on."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        reports, used_seconds = self._record.reports, _others_cpu_seconds()
        while not self._stopped.wait(self._seconds):
            now_used_seconds = _others_cpu_seconds()
            used_seconds = min(used_seconds, now_used_seconds)  # it falls when a process of a process has ended
            computes = now_used_seconds - used_seconds >= LEAST_CPU_SECONDS
            if not computes and self._record.reports == reports:
                continue
            reports, used_seconds = self._record.reports, now_used_seconds
            self._write()

    def _write(self) -> None:
        try:
            self._record.write_sign_of_life(time.time())
        except DBAPIError as error:
            LOG.warning("the sign of life of the worker could not be written: %s", error)
        except AttemptSuperseded:
            os.kill(os.getpid(), signal.SIGTERM)  # the main thread may compute for long before it finds out


def _others_cpu_seconds() -> float:
    """Return the processor time in seconds of the worker and its processes, without this thread."""
    return session_cpu_seconds() - time.thread_time()
