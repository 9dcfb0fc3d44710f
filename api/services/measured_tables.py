"""Sensitivity tables that jobs have measured, for requests that name such a job."""

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
    """Results of the sensitivity jobs of the service.

    Args:
        store: Database of the jobs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def resolved(self, request: _Request, network_id: str) -> _Request:
        """Return the request with the sensitivity table in place of the job that has measured the table.

        Args:
            request: The request; a request that names no job is returned unchanged.
            network_id: SHA-256 of the network file that the request is about.

        Raises:
            NotFound: If the job does not exist, has failed or was cancelled.
            JobNotFinished: If the job has not finished.
            RequestError: If the job is not a sensitivity job, or has measured another network.
        """
        named = request.sensitivity
        if not isinstance(named, JobTable):
            return request
        job_id = named.job_id
        job = self._store.job(job_id)
        if job is None:
            raise NotFound(f"there is no job {job_id[:64]!r}; expected the identifier of a sensitivity job")
        if job.request.get("kind") != "sensitivity":
            raise RequestError(
                f"job {job_id} is not a sensitivity job; create one with POST /v1/networks/ID/sensitivity"
            )
        if job.request["network_id"] != network_id:
            raise RequestError(
                f"job {job_id} measures the sensitivities of another network, {job.request['network_id']}"
            )
        if job.state in UNFINISHED:
            raise JobNotFinished(f"job {job_id} is {job.state}; wait until it has succeeded")
        if job.state is not JobState.SUCCEEDED or job.result is None:
            raise NotFound(f"the state of job {job_id} is {job.state}: it has no sensitivities")
        table = sensitivity_of(
            {
                "method": job.result["sensitivity"],
                "weights": job.result["weights"],
                "activations": job.result["activations"],
            }
        )
        return request.model_copy(update={"sensitivity": table})
