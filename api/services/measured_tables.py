"""Sensitivity tables that earlier jobs have measured, for requests that refer to such a job."""

from __future__ import annotations

from typing import TypeVar

from api.errors import JobNotFinished, NotFound
from api.schemas.job_state import JobState
from api.schemas.sensitivity_fields import JobTable
from api.schemas.solve import SolveRequest
from api.storage.database import Store
from api.storage.records import UNFINISHED
from network.errors import RequestError
from network.sensitivity.table import sensitivity_of

_Request = TypeVar("_Request", bound=SolveRequest)


class MeasuredTables:
    """Sensitivity tables that jobs of the service have measured.

    Args:
        store: Database of the jobs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def resolved(self, request: _Request, network_id: str) -> _Request:
        """Return a request with the sensitivity table that a job has measured in place of a reference to the job.

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
            raise NotFound(f"the job {job_id[:64]!r} does not exist; expected the identifier of a sensitivity job")
        if job.request.get("kind") != "sensitivity":
            raise RequestError(
                f"job {job_id} does not measure sensitivities; create one that does with POST "
                "/v1/networks/ID/sensitivity"
            )
        if job.request["network_id"] != network_id:
            raise RequestError(
                f"job {job_id} measures the sensitivities of another network, {job.request['network_id']}; "
                "create a job for this network with POST /v1/networks/ID/sensitivity"
            )
        self._store.note_job_use(job)
        if job.state in UNFINISHED:
            raise JobNotFinished(
                f"job {job_id} is {job.state} and has no sensitivities yet; wait until it has succeeded"
            )
        if job.state is not JobState.SUCCEEDED or job.result is None:
            raise NotFound(f"job {job_id} has no sensitivities, because its state is {job.state}; create a new job")
        table = sensitivity_of(
            {
                "method": job.result["sensitivity"],
                "weights": job.result["weights"],
                "weights_by_scheme": job.result.get("weights_by_scheme", {}),
                "activations": job.result["activations"],
            }
        )
        return request.model_copy(update={"sensitivity": table})
