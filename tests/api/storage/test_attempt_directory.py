"""Directories of attempts: a later attempt takes over the files, and an earlier one changes nothing any more."""

from __future__ import annotations

import shutil
from pathlib import Path
from threading import Barrier, Thread

import pytest

from api.settings import Settings
from api.storage.attempt_directory import AttemptDirectory, AttemptSuperseded
from api.storage.job_directory import JobDirectory


@pytest.fixture
def job(tmp_path: Path) -> JobDirectory:
    return JobDirectory.of("job", Settings(data_directory=tmp_path))


def save(directory: AttemptDirectory, text: str) -> None:
    directory.checkpoint.mkdir(exist_ok=True)
    (directory.checkpoint / "state").write_text(text)


def test_a_later_attempt_continues_from_the_latest_checkpoint(job: JobDirectory) -> None:
    save(job.claim_attempt(1), "first")
    second = job.claim_attempt(2)
    assert (second.checkpoint / "state").read_text() == "first"
    save(second, "second")
    assert (job.claim_attempt(5).checkpoint / "state").read_text() == "second"
    assert (job.claim_attempt(5).checkpoint / "state").read_text() == "second", "a repeated claim changes nothing"


def test_an_earlier_attempt_cannot_write_into_the_files_of_a_later_one(job: JobDirectory) -> None:
    first = job.claim_attempt(1)
    save(first, "first")
    second = job.claim_attempt(2)
    with pytest.raises(FileNotFoundError):
        (first.checkpoint / "state").write_text("late")
    assert (second.checkpoint / "state").read_text() == "first"
    first.checkpoint.mkdir(parents=True)  # as a training does before each checkpoint
    save(first, "late")
    assert (second.checkpoint / "state").read_text() == "first"
    assert (job.claim_attempt(3).checkpoint / "state").read_text() == "first", "the files of the latest attempt count"
    with pytest.raises(AttemptSuperseded, match="attempt 3 of the job has started"):
        job.claim_attempt(2)


def test_attempts_that_start_at_the_same_time_share_no_files(job: JobDirectory) -> None:
    """Whatever the order, the files are in one directory, and at most one of the attempts has them."""
    for _ in range(50):
        shutil.rmtree(job.root, ignore_errors=True)
        save(job.claim_attempt(1), "saved")
        barrier = Barrier(2)
        claimed: dict[int, AttemptDirectory] = {}

        def claim(number: int, barrier: Barrier = barrier, claimed: dict[int, AttemptDirectory] = claimed) -> None:
            barrier.wait()
            try:
                claimed[number] = job.claim_attempt(number)
            except AttemptSuperseded:
                assert number == 2

        threads = [Thread(target=claim, args=(number,)) for number in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (claimed[3].checkpoint / "state").read_text() == "saved"
        assert 2 not in claimed or not claimed[2].root.exists()


def test_a_deletion_takes_only_the_attempts_that_it_names(job: JobDirectory) -> None:
    save(job.claim_attempt(1), "first")
    job.log.write_text("output")
    save(job.claim_attempt(2), "second")
    job.clear_results(1)
    assert (job.attempt(2).checkpoint / "state").read_text() == "second"
    job.clear_results(2)
    assert [path.name for path in job.root.iterdir()] == ["log.txt"]


def test_files_of_earlier_versions_are_continued_and_served(job: JobDirectory) -> None:
    """They had no directories of attempts."""
    job.root.mkdir(parents=True)
    save(AttemptDirectory(job.root), "old")
    assert (job.claim_attempt(2).checkpoint / "state").read_text() == "old"
    other = JobDirectory(job.root.with_name("other"))
    (other.root / "artifacts").mkdir(parents=True)
    (other.root / "artifacts" / "report.json").write_text("{}")
    assert other.attempt(1).artifacts == other.root / "artifacts"
    assert other.attempt(1).has_artifacts
    other.clear_results(1)
    assert list(other.root.iterdir()) == []
