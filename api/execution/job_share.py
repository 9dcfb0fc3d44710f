"""What a job gets of the machine or of the cluster: what its request asks for, else what the operator has set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.execution.machine import THREADS_OF_A_JOB, cores, job_memory_bytes, job_threads
from api.schemas.jobs import JobResources, request_of
from api.settings import Settings
from api.storage.records import Job
from network.errors import RequestError

_NOTHING_ASKED: Final = JobResources()


@dataclass(frozen=True, slots=True)
class JobShare:
    """What one job gets.

    Attributes:
        processors: Number of processors, and of threads.
        gpus: Number of GPUs of a cluster.
        memory_bytes: Memory in bytes that each of its processes may allocate; None for no limit.
        is_chosen: Whether a person has chosen the number of processors.
    """

    processors: int
    gpus: int
    memory_bytes: int | None
    is_chosen: bool


def share_of(settings: Settings, job: Job | None) -> JobShare:
    """Return what a job gets.

    Args:
        settings: Settings of the service.
        job: The job; None for one that asks for nothing.
    """
    asked = (None if job is None else request_of(job.request).resources) or _NOTHING_ASKED
    chosen = asked.processors or settings.job_processors
    if settings.executor == "ray":
        return JobShare(
            processors=chosen or THREADS_OF_A_JOB,
            gpus=settings.job_gpus if asked.gpus is None else asked.gpus,
            memory_bytes=asked.memory or settings.job_memory_bytes,
            is_chosen=chosen is not None,
        )
    return JobShare(
        processors=chosen or job_threads(settings),
        gpus=0,
        memory_bytes=asked.memory or job_memory_bytes(settings),
        is_chosen=chosen is not None,
    )


def check_resources(settings: Settings, asked: JobResources | None) -> None:
    """Reject resources that no job of this service can have.

    A cluster may grow, so that a job may wait on it for more than it has.

    Args:
        settings: Settings of the service.
        asked: What the request of a job asks for; None if it asks for nothing.

    Raises:
        RequestError: If the machine has less, and jobs run on it.
    """
    if asked is None or settings.executor == "ray":
        return
    if asked.gpus:
        raise RequestError(
            f"resources.gpus is {asked.gpus}; jobs run as processes of this machine, which shares its GPUs among them "
            "and reserves none; leave it out, or let the operator run jobs on a cluster with --executor ray"
        )
    if asked.processors is not None and asked.processors > cores():
        raise RequestError(
            f"resources.processors is {asked.processors}; this machine has {cores()}, and jobs run on it; ask for fewer"
        )
    if asked.memory is not None and asked.memory > job_memory_bytes(settings):
        raise RequestError(
            f"resources.memory is {asked.memory} bytes; a job of this service may allocate "
            f"{job_memory_bytes(settings)}; ask for less, or let the operator raise BITBUDGET_JOB_MEMORY"
        )
