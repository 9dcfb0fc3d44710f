"""Settings of the service: defined once here, set by environment variables or by options of `bitbudget serve`.

A value comes from the first of these that has one: a keyword argument (the command passes its options so), the
environment variable of the field (its `validation_alias`), the default of the field.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from api.job_settings import JobSettings
from api.logs import LogFormat
from api.project_settings import ProjectSettings
from api.setting_types import SIZE, AbsolutePath
from api.storage_settings import StorageSettings

MIB: Final = 2**20

DEFAULT_PROJECT: Final = "default"
"""Name of the project of everything that was stored without a named project."""

MAX_DATASET_EXPANSION: Final = 4
"""Largest ratio of the memory that the arrays of one dataset may occupy to the limit on its uploaded file."""
MAX_JSON_BODY_BYTES: Final = MIB
"""Largest JSON body of a request, in bytes."""
MULTIPART_OVERHEAD_BYTES: Final = 64 * 1024
"""Number of bytes that boundaries and headers may add to the file in a multipart upload."""


class Settings(StorageSettings, JobSettings, ProjectSettings):
    """Settings of the HTTP service: its connections, what it stores, where jobs run, its projects, and all others."""

    operator_datasets: AbsolutePath | None = Field(
        default=None,
        validation_alias="BITBUDGET_DATASETS",
        description="Directory whose entries (image folders, shards, ...) are datasets that jobs can use by name; "
        "the service only reads it.",
    )
    max_network_bytes: Annotated[int, SIZE] = Field(
        default=64 * MIB,
        validation_alias="BITBUDGET_MAX_NETWORK_SIZE",
        description="Largest network that can be uploaded, with its files of weights.",
    )
    parse_seconds: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        validation_alias="BITBUDGET_PARSE_SECONDS",
        description="Longest time in seconds to read an uploaded network or a dataset; reading runs in its own "
        "process, which is killed after this time.",
    )
    parse_memory_bytes: Annotated[int, SIZE] = Field(
        default=1536 * MIB,
        validation_alias="BITBUDGET_PARSE_MEMORY",
        description="Memory that the process which reads an uploaded network may allocate. A network file needs up to "
        "14 times its size.",
    )
    max_dataset_bytes: Annotated[int, SIZE] = Field(
        default=512 * MIB,
        validation_alias="BITBUDGET_MAX_DATASET_SIZE",
        description="Largest dataset file that can be uploaded. "
        f"In memory, the arrays of a dataset may occupy {MAX_DATASET_EXPANSION} times this size.",
    )
    upload_hours: float = Field(
        default=24.0,
        gt=0,
        le=8760,
        validation_alias="BITBUDGET_UPLOAD_HOURS",
        description="Time in hours after which a dataset that arrives in pieces is deleted, if nothing more arrives.",
    )
    request_seconds: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        validation_alias="BITBUDGET_REQUEST_SECONDS",
        description="Longest time in seconds to answer a question (fit, devices, Pareto front), including the time in "
        "the queue. The time limit of a question may have three quarters of it.",
    )
    max_solves: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        validation_alias="BITBUDGET_MAX_SOLVES",
        description="Number of questions that are answered at the same time, each in its own process; none: one for "
        "each processor core.",
    )
    solve_memory_bytes: Annotated[int, SIZE] = Field(
        default=1024 * MIB,
        validation_alias="BITBUDGET_SOLVE_MEMORY",
        description="Memory that the process which answers a question may allocate.",
    )
    queue_length: int = Field(
        default=128,
        ge=0,
        le=100_000,
        validation_alias="BITBUDGET_QUEUE_LENGTH",
        description="Number of questions that wait for a process, and number of networks and of datasets that wait to "
        "be read; a further request is refused with 429.",
    )
    max_answers_bytes: Annotated[int, SIZE] = Field(
        default=256 * MIB,
        validation_alias="BITBUDGET_MAX_ANSWERS_SIZE",
        description="Size of all kept answers, of which there are 10,000 at most; the one that was used least recently "
        "is deleted first.",
    )
    max_concurrent_jobs: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        validation_alias="BITBUDGET_MAX_JOBS",
        description="Number of jobs that run at the same time; other jobs wait in the queue. none: one for every two "
        "processor cores, and 64 with ray. The cores are shared evenly: they are divided by this number for the "
        "threads of a job.",
    )
    job_memory_bytes: Annotated[int | None, SIZE] = Field(
        default=None,
        validation_alias="BITBUDGET_JOB_MEMORY",
        description="Memory that the worker of one job may allocate; none: three quarters of the memory of the machine "
        "or container, divided by the number of jobs that run at the same time. With ray, none: no limit.",
    )
    job_seconds: float = Field(
        default=604_800.0,
        gt=0,
        le=31_622_400,
        validation_alias="BITBUDGET_JOB_SECONDS",
        description="Longest duration of a job in seconds, from its first start; after it, the job has failed.",
    )
    silence_seconds: float = Field(
        default=300.0,
        gt=0,
        le=86_400,
        validation_alias="BITBUDGET_SILENCE_SECONDS",
        description="Time in seconds without a sign of life after which a worker is killed. A worker that computes or "
        "reports gives signs of life; one that hangs gives none.",
    )
    lease_seconds: float = Field(
        default=30.0,
        ge=1,
        le=3600,
        validation_alias="BITBUDGET_LEASE_SECONDS",
        description="Time in seconds after which another service on the same database takes over the jobs of a service "
        "that has died. The clocks of the machines must agree within a fraction of it.",
    )
    job_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        validation_alias="BITBUDGET_JOB_NICE",
        description="Number by which the priority of workers is lowered (nice), so that the service answers while jobs "
        "compute.",
    )
    max_log_bytes: Annotated[int, SIZE] = Field(
        default=4 * MIB,
        ge=MIB // 4,
        validation_alias="BITBUDGET_MAX_LOG_SIZE",
        description="Size of the log of one job; the newest part is kept.",
    )
    max_crashes: int = Field(
        default=1,
        ge=0,
        le=1000,
        validation_alias="BITBUDGET_MAX_CRASHES",
        description="Number of times in a row that a job is started again after its worker crashed and had saved no "
        "work since its start; after one more such crash the job has failed.",
    )
    grace_seconds: float = Field(
        default=5.0,
        ge=0,
        le=3600,
        validation_alias="BITBUDGET_GRACE_SECONDS",
        description="Time in seconds between asking a worker to end and killing it.",
    )
    turn_seconds: float = Field(
        default=0.2,
        gt=0,
        le=60,
        validation_alias="BITBUDGET_TURN_SECONDS",
        description="Time in seconds between two checks of all unfinished jobs.",
    )
    log_format: LogFormat = Field(
        default="text",
        validation_alias="BITBUDGET_LOG_FORMAT",
        description="Form of the log on standard error. text: lines for people. json: one JSON object on each line.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_OTLP_ENDPOINT",
        description="URL of an OpenTelemetry collector that receives traces by OTLP over HTTP, such as "
        "http://127.0.0.1:4318; needs the extra tracing.",
    )

    def derived_directory_of(self, project: str) -> Path:
        """Return the path of the directory of files that are computed for one project.

        They have the names that the project gave, and the time of a first computation must not tell a project what
        another one has uploaded.
        """
        return self.derived_directory if project == DEFAULT_PROJECT else self.derived_directory / "projects" / project
