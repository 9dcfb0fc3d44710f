"""How often a job solves: once if bits are known to fit or no samples are needed, else once more before it measures."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

import api.operations.train
from api.cli.files import read_dataset, read_network_file
from api.errors import DoesNotFit
from api.operations.train import MainJob, run_main_job
from api.schemas.fit import FitRequest
from network.memory.books import BookName
from qat.options.training import TrainingOptions
from qat.progress import silent
from solver.fit import fit
from solver.question import Question
from solver.solution import Solution
from tests.api.small_files import tiny_dataset, tiny_json


def job_of(folder: Path, flash_bytes: int, measure: str | None, *, is_known_to_fit: bool) -> MainJob:
    (folder / "tiny.json").write_bytes(tiny_json())
    (folder / "data.npz").write_bytes(tiny_dataset())
    network, name = read_network_file(str(folder / "tiny.json"))
    return MainJob(
        network=network,
        network_name=name,
        request=FitRequest(flash=flash_bytes, ram=1000, accounting=BookName.PAPER, sensitivity=measure),
        dataset=read_dataset(str(folder / "data.npz")),
        options=TrainingOptions(epochs=0, threads=1),
        is_known_to_fit=is_known_to_fit,
    )


@pytest.mark.parametrize(
    ("measure", "is_known_to_fit", "solves"),
    [(None, True, 1), (None, False, 2), ("weights", True, 1), ("weights", False, 1)],
)
def test_a_job_solves_as_seldom_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measure: str | None, is_known_to_fit: bool, solves: int
) -> None:
    questions: list[Question] = []

    def counted(question: Question) -> Solution:
        questions.append(question)
        return fit(question)

    monkeypatch.setattr(api.operations.train, "fit", counted)
    job = job_of(tmp_path, 300, measure, is_known_to_fit=is_known_to_fit)
    run_main_job(job, tmp_path / "out", report=silent)
    assert len(questions) == solves


def test_that_nothing_fits_survives_a_process_boundary(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit) as caught:
        run_main_job(job_of(tmp_path, 10, None, is_known_to_fit=False), tmp_path / "out", report=silent)
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # our own bytes
    assert again.answer == caught.value.answer
    assert str(again) == str(caught.value) != ""
