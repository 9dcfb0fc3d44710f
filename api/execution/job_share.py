"""What a job gets of the machine or of the cluster: what its request asks for, else what the operator has set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from api.execution.machine import THREADS_OF_A_JOB, cores, job_memory_bytes, job_threads
from api.schemas.jobs import AnyJobRequest, JobRequest, JobResources, request_of
from api.settings import Settings
from api.storage.records import Job
from network.errors import RequestError
from qat.data.unseen import NO_DATA, UnseenSamples

_NOTHING_ASKED: Final = JobResources()


@dataclass(frozen=True, slots=True)
class JobShare:
    """What one job gets. If several processes train, each of them gets it.

    Attributes:
        processors: Number of processors, and of threads.
        gpus: Number of GPUs of a cluster.
        memory_bytes: Memory in bytes that each of its processes may allocate; None for no limit.
        is_chosen: Whether a person has chosen the number of processors.
        training_processes: Number of processes of a cluster that train together; 1 if the worker trains by itself.
    """

    processors: int
    gpus: int
    memory_bytes: int | None
    is_chosen: bool
    training_processes: int = 1


def share_of(settings: Settings, job: Job | None) -> JobShare:
    """Return what a job gets.

    Args:
        settings: Settings of the service.
        job: The job; None for one that asks for nothing.
    """
    asked = (None if job is None else request_of(job.request).resources) or _NOTHING_ASKED
    chosen = asked.processors or settings.job_processors
    if settings.executor == "ray":
        gpus = settings.job_gpus if asked.gpus is None else asked.gpus
        return JobShare(
            processors=chosen or THREADS_OF_A_JOB,
            gpus=gpus if asked.training_processes == 1 else min(gpus, 1),
            memory_bytes=asked.memory or settings.job_memory_bytes,
            is_chosen=chosen is not None,
            training_processes=asked.training_processes,
        )
    return JobShare(
        processors=chosen or job_threads(settings),
        gpus=0,
        memory_bytes=asked.memory or job_memory_bytes(settings),
        is_chosen=chosen is not None,
    )


def check_resources(settings: Settings, request: AnyJobRequest) -> None:
    """Reject resources that no job of this service, or not this one, can have.

    A cluster may grow, so that a job may wait on it for more than it has.

    Args:
        settings: Settings of the service.
        request: The request of a job.

    Raises:
        RequestError: If the machine has less, and jobs run on it; or if the job cannot be divided as it asks for.
    """
    asked = request.resources
    if asked is None:
        return
    if asked.training_processes > 1:
        _check_training_processes(settings, request, asked)
    if settings.executor == "ray":
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


def _check_training_processes(settings: Settings, request: AnyJobRequest, asked: JobResources) -> None:
    given = f"resources.training_processes is {asked.training_processes}"
    if settings.executor != "ray":
        raise RequestError(
            f"{given}; jobs of this service run on its machine, where one process trains; leave it out, or let the "
            "operator run jobs on a cluster with --executor ray"
        )
    if not isinstance(request, JobRequest):
        raise RequestError(
            f"{given}, and the kind of the job is {request.kind}; expected a job of kind training; leave it out"
        )
    if request.training.epochs == 0:
        raise RequestError(f"{given}, and training.epochs is 0, so that nothing is trained; leave one of them out")
    if UnseenSamples.of(request.dataset) is not None:
        raise RequestError(f"{given}, and the dataset is '{NO_DATA}', so that nothing is trained; leave it out")
    if asked.gpus is not None and asked.gpus > 1:
        raise RequestError(
            f"{given} and resources.gpus is {asked.gpus}, which is the number of each process; a process trains on one "
            "GPU: expected 0 or 1"
        )
