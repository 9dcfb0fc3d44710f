"""Directory of the files that one attempt to run a job writes: its checkpoint and its artifacts.

A later attempt takes over the directory of an earlier one by renaming it, in one atomic step. From then on, a worker of
the earlier attempt that is still alive, although it was believed to be gone, no longer finds the directory: it cannot
change the files of the later attempt.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.result_folder import REPORT_FILE, STAGING_PREFIX

PREFIX = "attempt-"
_EARLIER_NAMES = ("checkpoint", "artifacts")


class AttemptSuperseded(Exception):
    """Error: a later attempt of the job has started, so that this one must change nothing."""


@dataclass(frozen=True, slots=True)
class AttemptDirectory:
    """Directory of the files of one attempt to run a job.

    Attributes:
        root: Path of the directory.
    """

    root: Path

    @property
    def checkpoint(self) -> Path:
        """Path of the directory of training checkpoints, from which a later attempt continues the job."""
        return self.root / "checkpoint"

    @property
    def artifacts(self) -> Path:
        """Path of the directory of a job's artifacts, which appears only after all artifacts are complete."""
        return self.root / "artifacts"

    @property
    def has_artifacts(self) -> bool:
        """Whether the attempt, or an earlier one whose files it took over, has written all artifacts."""
        return (self.artifacts / REPORT_FILE).is_file()

    def clear_unfinished(self) -> None:
        """Delete files that a worker had not finished when it ended."""
        for path in self.root.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(path, ignore_errors=True)


def claim(job_root: Path, number: int) -> AttemptDirectory:
    """Take over the files of the latest earlier attempt of a job, or make an empty directory if there are none.

    Args:
        job_root: Directory of the job, which exists.
        number: Number of the attempt, whose worker calls this.

    Returns:
        The directory of the attempt.

    Raises:
        AttemptSuperseded: If a later attempt has started.
        OSError: If the directory cannot be made.
    """
    own = AttemptDirectory(job_root / f"{PREFIX}{number}")
    while True:
        numbers = attempt_numbers(job_root)
        if numbers and numbers[-1] > number:
            raise AttemptSuperseded(f"attempt {numbers[-1]} of the job has started; attempt {number} ends")
        if number in numbers:
            break
        if not numbers:
            own.root.mkdir(exist_ok=True)
            break
        try:
            (job_root / f"{PREFIX}{numbers[-1]}").rename(own.root)
        except FileNotFoundError:  # another attempt was faster: look again
            continue
    for name in _EARLIER_NAMES:  # earlier versions had no directories of attempts
        if (job_root / name).is_dir() and not (own.root / name).exists():
            (job_root / name).rename(own.root / name)
    return own


def attempt_numbers(job_root: Path) -> list[int]:
    """Return the numbers of the attempts of a job that have a directory, in ascending order."""
    names = (path.name.removeprefix(PREFIX) for path in job_root.glob(f"{PREFIX}*"))
    return sorted(int(name) for name in names if name.isdecimal())
