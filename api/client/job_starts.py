"""The jobs of a service, as the client starts and finds them."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, Unpack, overload

from pydantic import BaseModel

from api.client.connection import Call, Connection, path_of
from api.client.jobs import Job
from api.client.pages import items_of
from api.client.stored_files import NetworkLike, StoredDataset, id_of
from api.schemas.job_answers import JobAnswer, JobReport, JobSummary
from api.schemas.job_state import JobState
from api.schemas.jobs import (
    AnyJobRequest,
    FitJobRequest,
    JobRequest,
    JobResources,
    ParetoJobRequest,
    SensitivityJobRequest,
    ShrinkJobRequest,
)
from api.schemas.keywords import BudgetOptions, DeviceLike, SensitivityFields, Size, request_of
from api.schemas.reports import FitReport, ParetoReport, SensitivityReport, TrainingReport
from api.schemas.shrink import ShrinkReport
from qat.options.training import TrainingOptions

Training = TrainingOptions | Mapping[str, Any]
"""How a network is trained: the options, or a mapping with their fields (docs/training.md)."""

Resources = JobResources | Mapping[str, Any]
"""What a job gets: `JobResources`, or a mapping with some of its fields, such as processors, gpus and memory."""

StateName = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
"""Name of a state of a job."""


class JobStarts:
    """The jobs of a service.

    Args:
        connection: Connections to the service.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def sensitivity(
        self,
        network: NetworkLike,
        dataset: StoredDataset,
        *,
        label_offset: int = 0,
        resources: Resources | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[SensitivityFields],
    ) -> Job[SensitivityReport]:
        """Start a job that measures the sensitivities of a network on samples; raises what `fit` raises.

        Args:
            network: The network, as `upload_network` has answered it, or its identifier.
            dataset: The samples, as `upload_dataset` has answered them, or their identifier or name.
            label_offset: Number that is added to each label.
            resources: Processors, GPUs and memory of the job; None for those that the operator has set.
            idempotency_key: Text that names this job: a second call with it returns the same job. None makes one.
            options: How sensitivities are measured: the fields of `SensitivityOptions`.
        """
        of_job = fields_of_job("sensitivity", network, dataset, label_offset, resources)
        return self.start(SensitivityJobRequest(**of_job, **options), idempotency_key)  # type: ignore[arg-type]  # pydantic accepts the names of measure and scheme

    def train(
        self,
        network: NetworkLike,
        dataset: StoredDataset,
        *,
        flash: Size | None = None,
        ram: Size | None = None,
        device: DeviceLike | None = None,
        training: Training | None = None,
        label_offset: int = 0,
        resources: Resources | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[BudgetOptions],
    ) -> Job[TrainingReport]:
        """Start a job that does what `bitbudget.train` does: choose bits, retrain, and convert to integers.

        Args:
            network: The network, as `upload_network` has answered it, or its identifier.
            dataset: The samples, as `upload_dataset` has answered them, or their identifier or name.
            flash: Flash that the network may take, as for `fit`.
            ram: RAM that the network may take, as for `fit`.
            device: The device, as for `fit`.
            training: How the network is trained; None for the default options.
            label_offset: Number that is added to each label.
            resources: Processors, GPUs and memory of the job; None for those that the operator has set.
            idempotency_key: Text that names this job: a second call with it returns the same job. None makes one.
            options: Further options, as for `fit`.

        Raises:
            RequestError: If an option is invalid.
            ServiceProblem: If the service refuses the request, also because nothing fits ("/problems/does-not-fit").
            ClientError: If there is no answer.
        """
        fields = {"flash": flash, "ram": ram, "device": device, **_trained(training), **options}
        of_job = fields_of_job("training", network, dataset, label_offset, resources)
        return self.start(request_of(JobRequest, of_job | fields), idempotency_key)

    def shrink(
        self,
        network: NetworkLike,
        dataset: StoredDataset,
        *,
        max_loss: float | None = None,
        min_quality: float | None = None,
        minimize: Literal["flash", "ram"] = "flash",
        points: int = 64,
        flash: Size | None = None,
        ram: Size | None = None,
        device: DeviceLike | None = None,
        training: Training | None = None,
        label_offset: int = 0,
        resources: Resources | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[BudgetOptions],
    ) -> Job[ShrinkReport]:
        """Start a job that does what `bitbudget.shrink` does: find the least bytes that keep a limit of quality.

        It raises what `train` raises.

        Args:
            network: The network, as `upload_network` has answered it, or its identifier.
            dataset: The samples, as `upload_dataset` has answered them, or their identifier or name.
            max_loss: Largest allowed loss of quality, as for `bitbudget.shrink`.
            min_quality: Smallest allowed quality, as for `bitbudget.shrink`.
            minimize: The memory of which the least bytes are searched; the other one is a ceiling.
            points: Number of budgets of the Pareto front.
            flash: Flash that the network may take, as for `fit`; None without a device does not limit it.
            ram: RAM that the network may take, in the same form.
            device: The device, as for `fit`.
            training: How each point is quantized or trained; None quantizes without training.
            label_offset: Number that is added to each label.
            resources: Processors, GPUs and memory of the job; None for those that the operator has set.
            idempotency_key: Text that names this job: a second call with it returns the same job. None makes one.
            options: Further options, as for `fit`.
        """
        limit = {"max_loss": max_loss, "min_quality": min_quality, "minimize": minimize, "points": points}
        fields = {"flash": flash, "ram": ram, "device": device, **_trained(training), **options}
        of_job = fields_of_job("shrink", network, dataset, label_offset, resources)
        return self.start(request_of(ShrinkJobRequest, of_job | limit | fields), idempotency_key)

    @overload
    def start(self, request: JobRequest, idempotency_key: str | None = None) -> Job[TrainingReport]: ...
    @overload
    def start(self, request: ShrinkJobRequest, idempotency_key: str | None = None) -> Job[ShrinkReport]: ...
    @overload
    def start(self, request: SensitivityJobRequest, idempotency_key: str | None = None) -> Job[SensitivityReport]: ...
    @overload
    def start(self, request: FitJobRequest, idempotency_key: str | None = None) -> Job[FitReport]: ...
    @overload
    def start(self, request: ParetoJobRequest, idempotency_key: str | None = None) -> Job[ParetoReport]: ...
    def start(self, request: AnyJobRequest, idempotency_key: str | None = None) -> Job[Any]:
        """Start a job by its whole request; `train`, `shrink` and `sensitivity` make one of their arguments.

        Args:
            request: The request.
            idempotency_key: Text that names this job: a second call with it returns the same job. None makes one, so
                that a request that is sent again because its answer was lost starts no second job.

        Raises:
            ServiceProblem: If the service refuses the request.
            ClientError: If there is no answer.
        """
        path, left_out = path_of("jobs"), set[str]()
        if isinstance(request, SensitivityJobRequest):
            path, left_out = path_of("networks", request.network_id, "sensitivity"), {"network_id", "kind"}
        call = Call(
            method="POST",
            path=path,
            document=document_of(request, left_out),
            headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
            computes=True,
        )
        return Job(self._connection, self._connection.ask(JobAnswer, call))

    def jobs(self, state: JobState | StateName | None = None) -> Iterator[JobSummary]:
        """Yield the jobs of the service, newest first.

        Args:
            state: State of the jobs; None for all states.
        """
        query = {} if state is None else {"state": str(state)}
        return items_of(self._connection, JobSummary, path_of("jobs"), query)

    def job(self, job_id: str) -> Job[JobReport]:
        """Return a job of the service by its identifier, also one that another program has started.

        Raises:
            ServiceProblem: If there is no such job ("/problems/not-found").
            ClientError: If there is no answer.
        """
        call = Call(method="GET", path=path_of("jobs", job_id))
        return Job(self._connection, self._connection.ask(JobAnswer, call))


def document_of(request: BaseModel, left_out: Collection[str] = ()) -> str:
    """Return the JSON text of a request, with the given fields alone: a service of an earlier version knows those.

    Args:
        request: The request.
        left_out: Names of fields that are left out.
    """
    return request.model_dump_json(exclude_unset=True, exclude=set(left_out))


def fields_of_job(
    kind: str, network: NetworkLike, dataset: StoredDataset, label_offset: int, resources: Resources | None = None
) -> dict[str, Any]:
    """Return the fields of a request that each kind of job has.

    Args:
        kind: Kind of the job.
        network: The network.
        dataset: The samples.
        label_offset: Number that is added to each label; a service of an earlier version does not know it, so that 0
            is left out.
        resources: Processors, GPUs and memory of the job; None leaves them out.
    """
    offset = {"label_offset": label_offset} if label_offset else {}
    asked = {} if resources is None else {"resources": resources}
    return {"kind": kind, "network_id": id_of(network), "dataset": id_of(dataset), **offset, **asked}


def _trained(training: Training | None) -> dict[str, Any]:
    return {} if training is None else {"training": training}
