"""Creation of jobs: a request is checked in processes with limits before a job is queued, and reads no dataset."""

from __future__ import annotations

import json

from anyio import to_thread

from api.errors import DoesNotFit
from api.execution.job_share import check_resources
from api.execution.reading import Reads
from api.execution.solving import Solves
from api.execution.tracing import NO_TRACING, Tracing
from api.operations.train import require_weights
from api.schemas.job_answers import JobAnswer
from api.schemas.jobs import AnyJobRequest, QuestionJobRequest, SensitivityJobRequest
from api.services.jobs import Jobs
from api.services.networks import Networks
from api.settings import Settings


class JobCreation:
    """Creation of jobs after all checks that need no samples, for the event loop of the service.

    Args:
        jobs: Jobs of the service.
        networks: Networks that a job can use.
        reads: Reading of datasets.
        solves: Questions about networks.
        settings: Settings of the service; they limit the resources of jobs.
        tracing: Source of spans.
    """

    def __init__(
        self,
        jobs: Jobs,
        networks: Networks,
        reads: Reads,
        solves: Solves,
        settings: Settings,
        tracing: Tracing = NO_TRACING,
    ) -> None:
        self._settings = settings
        self._tracing = tracing
        self._jobs = jobs
        self._networks = networks
        self._reads = reads
        self._solves = solves

    async def create(self, request: AnyJobRequest, idempotency_key: str | None) -> JobAnswer:
        """Add a job to the queue, or return the job that an earlier request with the same idempotency key created.

        Args:
            request: The request.
            idempotency_key: The idempotency key of the caller; None if the caller gave none.

        Raises:
            KeyReused: If an earlier request with the same key was different.
            NotFound: If the network or the dataset does not exist.
            DoesNotFit: If the network does not fit the budget.
            Busy: If too many requests wait.
            BitbudgetError: If the job would fail for another reason that can be found out before it starts.
        """
        resolved, known = await to_thread.run_sync(self._jobs.prepared, request, idempotency_key)
        if known is not None:
            return known
        await self._check(resolved)
        return await to_thread.run_sync(self._jobs.add, resolved, idempotency_key, self._tracing.traceparent())

    async def _check(self, request: AnyJobRequest) -> None:
        check_resources(self._settings, request)
        network_id = request.network_id
        if isinstance(request, QuestionJobRequest):
            await self._solves.answer("check", network_id, request)
            return
        network = await to_thread.run_sync(self._networks.describe, network_id)
        require_weights(network.name, has_weights=network.has_weights)
        if not isinstance(request, SensitivityJobRequest):
            answer = await self._solves.fit("job", network_id, request)
            if not answer.fits:
                raise DoesNotFit(answer)
        structure = await self._solves.structure(network_id)
        document = json.dumps(request.model_dump(mode="json"))
        await self._reads.check_dataset(request, document, structure)
