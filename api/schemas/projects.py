"""JSON schema of a project: what it has, and what it may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.answer import Answer, Count


class ProjectAnswer(Answer):
    """Project of the caller: what it has, what it may have, and when what is not used is deleted."""

    name: str = Field(description="name of the project")
    stored_bytes: Count = Field(
        description="bytes that count against the quota: network_bytes, dataset_bytes and artifact_bytes"
    )
    max_bytes: Count | None = Field(description="bytes that the project may store; null: no limit")
    networks: Count = Field(description="number of networks")
    network_bytes: Count = Field(description="size of the files of the networks, in bytes")
    datasets: Count = Field(description="number of uploaded datasets")
    dataset_bytes: Count = Field(description="size of the files of the datasets, in bytes")
    jobs: Count = Field(description="number of jobs in any state")
    artifact_bytes: Count = Field(description="size of the artifacts of all jobs, in bytes")
    queued_jobs: Count = Field(description="number of jobs that wait for their turn")
    max_queued_jobs: Count | None = Field(description="number of jobs that may wait at once; null: no limit")
    retention_days: Annotated[float, Field(ge=1)] | None = Field(
        description="days after which networks, datasets and finished jobs that were not used are deleted; null: they "
        "are kept"
    )
