"""Checkpoints of attempts in a store: a later attempt continues on any machine, and an earlier one is harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.settings import Settings
from api.storage.attempt_directory import AttemptDirectory, AttemptSuperseded
from api.storage.job_directory import JobDirectory
from api.storage.objects.object_store import ObjectStore
from api.storage.objects.stored_attempts import AttemptBundle, StoredAttempts

JOB = "0" * 32


class Machine:
    """A machine with a data directory of its own, and the store that all machines share."""

    def __init__(self, folder: Path, name: str) -> None:
        self.objects = ObjectStore(f"file://{folder / 'store'}")
        self.job = JobDirectory.of(JOB, Settings(data_directory=folder / name))
        self.job.root.mkdir(parents=True)

    def begin(self, number: int) -> tuple[AttemptDirectory, AttemptBundle]:
        StoredAttempts(self.objects, JOB).bring(number, self.job.root)
        directory = self.job.claim_attempt(number)
        return directory, AttemptBundle(self.objects, JOB, number, directory)


def write(directory: AttemptDirectory, **files: str) -> None:
    directory.checkpoint.mkdir(exist_ok=True)
    for name, text in files.items():
        replaced = directory.checkpoint / f".{name}.partial"
        replaced.write_text(text)
        replaced.replace(directory.checkpoint / name)


def read(directory: AttemptDirectory) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.checkpoint.iterdir()}


def test_an_attempt_on_another_machine_continues_from_the_store(tmp_path: Path) -> None:
    first, second = Machine(tmp_path, "first"), Machine(tmp_path, "second")
    own, bundle = first.begin(1)
    write(own, epoch="1", points="a")
    (own.checkpoint / ".hidden").write_text("not finished")
    bundle.save("checkpoint")
    write(own, epoch="2")
    (own.checkpoint / "points").unlink()
    bundle.save("checkpoint")
    assert len(first.objects.names("jobs")) == 2, "what was replaced is deleted"
    elsewhere, _ = second.begin(2)
    assert read(elsewhere) == {"epoch": "2"}
    again, _ = first.begin(3)
    assert read(again)["epoch"] == "2"


def test_the_newest_files_win_wherever_they_are(tmp_path: Path) -> None:
    first, second = Machine(tmp_path, "first"), Machine(tmp_path, "second")
    own, bundle = first.begin(1)
    write(own, epoch="1")
    bundle.save("checkpoint")
    elsewhere, other = second.begin(2)
    write(elsewhere, epoch="5")
    other.save("checkpoint")
    write(own, epoch="2")  # attempt 1 was believed to be gone, and lives on
    bundle.save("checkpoint")
    third, _ = first.begin(3)
    assert read(third) == {"epoch": "5"}, "what a superseded attempt saves does not count"
    write(third, epoch="6")  # not stored: the machine has no connection to the store
    fourth, bundle = first.begin(4)
    assert read(fourth) == {"epoch": "6"}
    bundle.save("checkpoint")
    StoredAttempts(first.objects, JOB).delete_until(3)
    assert StoredAttempts(first.objects, JOB).numbers() == [4]
    with pytest.raises(AttemptSuperseded, match="attempt 4 of the job has started"):
        second.begin(3)


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    first, second = Machine(tmp_path, "first"), Machine(tmp_path, "second")
    own, bundle = first.begin(1)
    write(own, epoch="1")
    bundle.save("checkpoint")
    for path in (tmp_path / "store" / "jobs" / JOB / "attempt-1").iterdir():
        if path.name != "manifest.json":
            path.write_text("2")
    elsewhere, _ = second.begin(2)
    assert list(elsewhere.root.iterdir()) == []
    assert [path.name for path in second.job.root.iterdir()] == ["attempt-2"], "nothing is left of the copy"


def test_an_attempt_whose_files_were_taken_over_stores_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, "first")
    own, bundle = machine.begin(1)
    with pytest.raises(FileNotFoundError):
        bundle.save("checkpoint")
    write(own, epoch="1")
    machine.begin(2)
    with pytest.raises(FileNotFoundError):
        bundle.save("checkpoint")
    assert StoredAttempts(machine.objects, JOB).numbers() == []
