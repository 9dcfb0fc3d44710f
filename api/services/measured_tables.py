"""Tables that a sensitivity job has measured, for the requests that name the job."""

from __future__ import annotations

from typing import TypeVar

from api.errors import JobNotFinished, NotFound
from api.schemas.solve import JobTable, SolveRequest
from api.storage.database import Store
from api.storage.records import UNFINISHED, JobState
from network.errors import RequestError
from network.sensitivity.table import sensitivity_of

_Request = TypeVar("_Request", bound=SolveRequest)


class MeasuredTables:
    """The results of a data directory's sensitivity jobs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def resolved(self, request: _Request, network_id: str) -> _Request:
        """The request with the table itself in place of the job that measured it.

        Raises:
            NotFound: no such job, or one that left nothing.
            JobNotFinished: it is still measuring.
            RequestError: it measures nothing, or another network.
        """
        named = request.sensitivity
        if not isinstance(named, JobTable):
            return request
        job_id = named.job_id
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id[:64]!r} to take sensitivities from")
        if job.request.get("kind") != "sensitivity":
            raise RequestError(
                f"job {job_id} measures no sensitivities; start one with POST /v1/networks/ID/sensitivity"
            )
        if job.request["network_id"] != network_id:
            raise RequestError(
                f"job {job_id} measures the sensitivities of another network, {job.request['network_id']}"
            )
        if job.state in UNFINISHED:
            raise JobNotFinished(f"job {job_id} is {job.state}; wait for its end")
        if job.state is not JobState.SUCCEEDED or job.result is None:
            raise NotFound(f"job {job_id} has {job.state}: it leaves no sensitivities")
        table = sensitivity_of(
            {
                "method": job.result["sensitivity"],
                "weights": job.result["weights"],
                "activations": job.result["activations"],
            }
        )
        return request.model_copy(update={"sensitivity": table})
