"""A worker process that leads its session and does what the tests of signs of life need: one phase after another.

It prints how many signs of life were written to the database in each phase.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from api.execution.heartbeat import Heartbeat
from api.execution.job_record import JobRecord
from api.schemas.job_state import JobState
from api.storage.database import Store
from api.storage.saved_work import SavedWork
from qat.progress import Progress

BEAT_SECONDS = 0.1
PHASE_SECONDS = 1.5
BUSY = f"import time; end = time.monotonic() + {PHASE_SECONDS}\nwhile time.monotonic() < end: pass"


class CountedRecord(JobRecord):
    """Record of a job that counts the signs of life that were written."""

    count = 0

    def write_sign_of_life(self, now: float) -> None:
        super().write_sign_of_life(now)
        self.count += 1


def _compute() -> None:
    ends_at = time.monotonic() + PHASE_SECONDS
    while time.monotonic() < ends_at:
        pass


def _report(record: JobRecord) -> None:
    ends_at = time.monotonic() + PHASE_SECONDS
    while time.monotonic() < ends_at:
        record.write_progress(Progress("training"))
        time.sleep(0.3)


def main() -> None:
    folder = Path(sys.argv[1])
    store = Store(folder / "db.sqlite")
    store.add_job("job", {}, None)
    store.change_job("job", [JobState.QUEUED], state=JobState.RUNNING, attempt=1)
    job = store.job("job")
    assert job is not None
    written = CountedRecord(store, job, SavedWork(folder / "checkpoint"))
    record: JobRecord = written
    heartbeat = Heartbeat(record, BEAT_SECONDS)
    heartbeat.start()
    phases: dict[str, Callable[[], object]] = {
        "hangs": lambda: time.sleep(PHASE_SECONDS),
        "computes": _compute,
        "reports": lambda: _report(record),
        "waits for a process that computes": lambda: subprocess.run([sys.executable, "-c", BUSY], check=True),
        "waits for a process that hangs": lambda: subprocess.run(["/bin/sleep", str(PHASE_SECONDS)], check=True),
    }
    for name, phase in phases.items():
        time.sleep(3 * BEAT_SECONDS)  # until the end of the previous phase has been noticed
        before = written.count
        phase()
        print(f"{name}: {written.count - before}", flush=True)
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "state").write_text("saved")
    record.write_sign_of_life(time.time())
    saved = store.job("job")
    assert saved is not None
    print(f"saved: {saved.progress_at is not None}", flush=True)
    store.change_job("job", [JobState.RUNNING], attempt=2)
    _compute()  # ended by the heartbeat, because a later attempt runs the job
    print("not ended", flush=True)


if __name__ == "__main__":
    main()
