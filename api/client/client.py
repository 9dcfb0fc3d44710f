"""The client of the service: networks and datasets are uploaded, questions answered, and jobs started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, Literal, Self, TypeVar, Unpack

from api.client.address import Address
from api.client.connection import Call, Connection, path_of
from api.client.errors import ClientError, ServiceProblem
from api.client.job_starts import JobStarts, document_of
from api.client.jobs import Job
from api.client.project import OwnProject
from api.client.retries import Timeouts
from api.client.stored_files import NetworkLike, StoredFiles, id_of
from api.schemas.devices import DevicesAnswer, DevicesRequest
from api.schemas.fit import FitAnswer, FitRequest
from api.schemas.index import Index
from api.schemas.jobs import FitJobRequest, ParetoJobRequest
from api.schemas.keywords import BudgetOptions, DeviceLike, Size, SolveOptionFields, request_of
from api.schemas.pareto import ParetoAnswer, ParetoRequest
from api.schemas.solve import SolveRequest

RETRY_SECONDS: Final = 60.0

Answered = TypeVar("Answered", FitAnswer, DevicesAnswer, ParetoAnswer)

_QUESTIONS: Final[Mapping[type, str]] = MappingProxyType(
    {FitAnswer: "fit", DevicesAnswer: "devices", ParetoAnswer: "pareto"}
)
"""Class of an answer -> last part of the path of its question."""

_TOO_LONG: Final = "/problems/solving-limit"
"""Type of the problem of a question that cannot be answered at once."""

_JOBS: Final[Mapping[type, type[FitJobRequest] | type[ParetoJobRequest]]] = MappingProxyType(
    {FitAnswer: FitJobRequest, ParetoAnswer: ParetoJobRequest}
)
"""Class of an answer -> request for the job that gives it, if the question takes longer than a request may."""


class Client(StoredFiles, JobStarts, OwnProject):
    """A bitbudget service, as a Python program uses it; several threads can use one client.

    Args:
        url: URL of the service, such as "http://127.0.0.1:8000". None uses the environment variable BITBUDGET_SERVER.
        key: Key of the caller, "bb_...". None uses the environment variable BITBUDGET_API_KEY, if it is set.
        timeouts: Longest times of the phases of a request; None for the default times.
        retry_seconds: Time for which a request is sent again while the service does not answer, or is busy.

    Raises:
        RequestError: If there is no URL, or it cannot be one.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        key: str | None = None,
        timeouts: Timeouts | None = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        super().__init__(Connection(Address.of(url, key), timeouts or Timeouts(), retry_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client of {self.url}>"

    def close(self) -> None:
        """Close the connections to the service; its jobs continue."""
        self._connection.close()

    @property
    def url(self) -> str:
        """URL of the service."""
        return self._connection.address.url

    def service(self) -> Index:
        """Return the name and the version of the service.

        Raises:
            NoConnection: If the service cannot be reached.
            NotBitbudget: If something else answers at the URL.
            ServiceProblem: If the service refuses the key, or cannot answer.
        """
        return self._connection.index()

    def fit(
        self,
        network: NetworkLike,
        *,
        flash: Size | None = None,
        ram: Size | None = None,
        device: DeviceLike | None = None,
        **options: Unpack[BudgetOptions],
    ) -> FitAnswer:
        """Choose the bits of every tensor of a network so that it fits a memory budget, as `bitbudget.fit` does.

        Args:
            network: The network, as `upload_network` has answered it, or its identifier.
            flash: Flash that the network may take, in bytes or as a text such as "60kB". None uses that of the device.
            ram: RAM that the network may take, in the same form. None uses that of the device.
            device: The device: its name in the catalogue of the service, a `Device`, or the description of one.
            options: Further options: those of `BudgetOptions`. `sensitivity={"job_id": job.id}` uses the table of a
                finished sensitivity job.

        Raises:
            RequestError: If an option is invalid.
            ServiceProblem: If the service refuses the request.
            ClientError: If there is no answer.
        """
        return self.ask(
            FitAnswer, network, request_of(FitRequest, {"flash": flash, "ram": ram, "device": device, **options})
        )

    def devices(
        self,
        network: NetworkLike,
        *,
        among: Sequence[DeviceLike] | None = None,
        **options: Unpack[SolveOptionFields],
    ) -> DevicesAnswer:
        """Fit a network into several microcontrollers, as `bitbudget.devices` does; raises what `fit` raises.

        Args:
            network: The network, as `upload_network` has answered it, or its identifier.
            among: The devices to try; None tries the whole catalogue of the service.
            options: Further options: those of `SolveOptionFields`.
        """
        devices = None if among is None else [*among]
        return self.ask(DevicesAnswer, network, request_of(DevicesRequest, {"devices": devices, **options}))

    def pareto(
        self,
        network: NetworkLike,
        *,
        axis: Literal["flash", "ram", "both"] = "flash",
        points: int = 20,
        flash: Size | None = None,
        ram: Size | None = None,
        device: DeviceLike | None = None,
        **options: Unpack[BudgetOptions],
    ) -> ParetoAnswer:
        """Compute the smallest summed sensitivity for a range of budgets, as `bitbudget.pareto` does; raises what `fit`
        raises.

        Args:
            network: The network, as `upload_network` has answered it, or its identifier.
            axis: The budget that is varied.
            points: Number of budgets along the axis.
            flash: Flash that the network may take, if it is not varied.
            ram: RAM that the network may take, if it is not varied.
            device: The device, which gives the budget that is not varied.
            options: Further options, as for `fit`.
        """
        budget = {"flash": flash, "ram": ram, "device": device}
        return self.ask(
            ParetoAnswer, network, request_of(ParetoRequest, {"axis": axis, "points": points, **budget, **options})
        )

    def ask(
        self,
        kind: type[Answered],
        network: NetworkLike,
        request: SolveRequest,
        wait: Callable[[Job[Any]], object] | None = None,
    ) -> Answered:
        """Return the answer of a question by its whole request; `fit`, `devices` and `pareto` make one of arguments.

        If the request gives a time limit that is too long for an answer at once, a job answers it. The job is deleted
        after it has answered.

        Args:
            kind: Class of the answer, which names the question: `FitAnswer`, `DevicesAnswer` or `ParetoAnswer`.
            network: The network, as `upload_network` has answered it, or its identifier.
            request: The request: a `FitRequest`, a `DevicesRequest` or a `ParetoRequest`.
            wait: Function that waits until a job has succeeded, and raises an error if it has not; None waits
                silently, and cancels the job if Ctrl-C is pressed.

        Raises:
            ServiceProblem: If the service refuses the request.
            JobFailed, JobCancelled: If a job was needed and has no answer.
            ClientError: If there is no answer.
        """
        try:
            return self._ask_at_once(kind, network, request)
        except ServiceProblem as problem:
            is_long = problem.type == _TOO_LONG and "time_limit_seconds" in request.model_fields_set
            if not is_long or kind not in _JOBS:
                raise
        given = {each: getattr(request, each) for each in request.model_fields_set}
        of_job: dict[str, Any] = {"kind": _QUESTIONS[kind], "network_id": id_of(network)}
        job: Job[Any] = self.start(_JOBS[kind](**given, **of_job))
        (wait or _wait)(job)
        answer = kind.model_validate(job.report.model_dump(exclude={"kind"}))
        job.delete()
        return answer

    def _ask_at_once(self, kind: type[Answered], network: NetworkLike, request: SolveRequest) -> Answered:
        path = path_of("networks", id_of(network), _QUESTIONS[kind])
        return self._connection.ask(kind, Call(method="POST", path=path, document=document_of(request), computes=True))


def _wait(job: Job[Any]) -> None:
    try:
        job.wait()
    except KeyboardInterrupt:
        with suppress(ClientError):
            job.cancel()
        raise
