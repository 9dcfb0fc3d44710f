"""JSON schemas of the answers about jobs of the service."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Discriminator, Field

from api.schemas.answer import Answer, Count
from api.schemas.job_state import JobState
from api.schemas.jobs import AnyJobRequestEcho
from api.schemas.problems import Problem
from api.schemas.reports import (
    Artifact,
    FitReport,
    ParetoReport,
    ProgressAnswer,
    SensitivityReport,
    TrainingReport,
)
from api.schemas.shrink import ShrinkReport

JobKind = Literal["training", "sensitivity", "shrink", "fit", "pareto"]
JobReport = TrainingReport | SensitivityReport | ShrinkReport | FitReport | ParetoReport
"""Report of a job that has succeeded, of any kind."""


class JobWait(Answer):
    """Reason for which a queued job waits, and the time of its next try."""

    reason: str = Field(description="explanation for people")
    until: AwareDatetime = Field(description="time at which the job is tried again")


class JobSummary(Answer):
    """Summary of a job: its state, its times, its request and its progress."""

    id: str = Field(description="identifier of the job")
    state: JobState = Field(description="queued, running or cancelling; after the end: succeeded, failed or cancelled")
    revision: Count = Field(
        description="number that grows with every change of the job; ?after= waits for the next change"
    )
    created_at: AwareDatetime = Field(description="time of the request")
    started_at: AwareDatetime | None = Field(description="time of the first start; null before it")
    finished_at: AwareDatetime | None = Field(description="time of the end; null before it")
    kind: JobKind = Field(description="purpose of the job")
    request: AnyJobRequestEcho = Field(description="request that created the job, with all default values")
    progress: ProgressAnswer | None = Field(description="latest progress; null before there is any")
    waiting: JobWait | None = Field(
        description="reason for which a queued job waits although there may be room for it; null if it waits for its "
        "turn alone"
    )


class JobAnswer(JobSummary):
    """Description of a job, with its result or its error."""

    error: Problem | None = Field(description="problem because of which the job failed; null unless the job has failed")
    result: Annotated[JobReport, Discriminator("kind")] | None = Field(
        description="bits, memory report and accuracy; or the measured sensitivities; or the least bytes with all "
        "judged points; or the answer to the question; null unless the job has succeeded"
    )
    artifacts: list[Artifact] = Field(
        description="files that the job produced, at /v1/jobs/{id}/artifacts/{name}; empty unless the job has succeeded"
    )
