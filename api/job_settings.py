"""Settings of where jobs run: the executor, the cluster, and what a job gets of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.server_settings import ServerSettings

ExecutorName = Literal["subprocess", "ray"]
"""Name of an executor; `api/execution/executors.py` has the class of each."""


class JobSettings(ServerSettings):
    """Settings of where jobs run; `Settings` has them too."""

    executor: ExecutorName = Field(
        default="subprocess",
        validation_alias="BITBUDGET_EXECUTOR",
        description="Where jobs run. subprocess: each job in its own process on this machine. ray: on a Ray cluster.",
    )
    ray_address: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_RAY_ADDRESS",
        description="URL of the dashboard of a Ray cluster, such as http://HEAD:8265, which runs the jobs with "
        "--executor ray.",
    )
    ray_token: str | None = Field(
        default=None,
        validation_alias="BITBUDGET_RAY_TOKEN",
        repr=False,
        description="Token of a Ray cluster with token authentication. Give it by the environment variable.",
    )
    ray_python: str = Field(
        default="python",
        validation_alias="BITBUDGET_RAY_PYTHON",
        description="Python of the nodes of the Ray cluster, in which bitbudget[ray] is installed.",
    )
    job_processors: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        validation_alias="BITBUDGET_JOB_PROCESSORS",
        description="Number of processors of a job that asks for no number, and of its threads. none: with subprocess, "
        "the cores of the machine, divided by the number of jobs that run at the same time; with ray, 2.",
    )
    job_gpus: int = Field(
        default=0,
        ge=0,
        le=64,
        validation_alias="BITBUDGET_JOB_GPUS",
        description="Number of GPUs of a job that asks for no number, with ray.",
    )
