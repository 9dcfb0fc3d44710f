"""Answer to a question that takes longer than a request may, in a job of the service.

network, request -> the answer that the request itself would have -> file
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

from api.operations.fit import answer_fit
from api.operations.measures import MeasureChoice
from api.operations.pareto import answer_pareto
from api.schemas.answer import NetworkName
from api.schemas.jobs import FitJobRequest, ParetoJobRequest
from api.schemas.reports import FitReport, ParetoReport
from deploy.result_folder import REPORT_FILE, check_writable, publish, staging
from network.network import Network
from qat.progress import Progress, Report

REPORT_SECONDS: Final = 2.0
"""Time in seconds between two reports of the time that is left."""


@dataclass(frozen=True, kw_only=True)
class QuestionJob:
    """Input of a job that answers a question about a network.

    Attributes:
        network: The network; its weights are not needed.
        network_name: Identifier and name of the network in the answer.
        request: The question.
    """

    network: Network
    network_name: NetworkName
    request: FitJobRequest | ParetoJobRequest


def run_question_job(job: QuestionJob, directory: Path, report: Report) -> None:
    """Answer a question, and write the answer to a directory.

    Args:
        job: The network and the question.
        directory: Directory for the file.
        report: Callback that receives the progress.

    Raises:
        RequestError: If parts of the question do not suit each other, or the directory is not writable; if neither bits
            nor a proof that nothing fits were found within the time limit.
        InvalidNetwork: If the network has no layer with weights.
    """
    check_writable(directory)
    answer = _answer(job, report)
    with staging(directory) as staged:
        (staged / REPORT_FILE).write_text(answer.model_dump_json(indent=2) + "\n", encoding="utf-8")
        publish(staged, directory)


def _answer(job: QuestionJob, report: Report) -> FitReport | ParetoReport:
    request, network, name = job.request, job.network, job.network_name
    report(Progress(phase="measuring sensitivity"))
    table = MeasureChoice.of(request).table_without_samples(network)
    limit_seconds = request.time_limit_seconds
    if isinstance(request, FitJobRequest):
        with _time_reported(limit_seconds, report):
            return FitReport(**dict(answer_fit(network, name, request, table)))
    begun_at = time.monotonic()

    def show(solved: int, budgets: int) -> None:
        left_seconds = max(0.0, limit_seconds - (time.monotonic() - begun_at))
        report(Progress(phase="solving", point=solved, points=budgets, seconds_left=left_seconds))

    return ParetoReport(**dict(answer_pareto(network, name, request, table, show)))


@contextmanager
def _time_reported(limit_seconds: float, report: Report) -> Iterator[None]:
    """Report again and again how much of a time limit is left, at most, while the solver computes.

    The solver itself reports nothing before it ends: its parts prove their bounds at their ends.
    """
    ended = Event()
    begun_at = time.monotonic()

    def count_down() -> None:
        while not ended.wait(REPORT_SECONDS):
            report(_solving(limit_seconds - (time.monotonic() - begun_at)))

    thread = Thread(target=count_down, name="time left", daemon=True)
    report(_solving(limit_seconds))
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _solving(seconds_left: float) -> Progress:
    return Progress(phase="solving", seconds_left=max(0.0, seconds_left))
