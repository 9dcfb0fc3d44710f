"""The service as one project sees it: its files, jobs and kept answers, and none of any other project."""

from __future__ import annotations

from dataclasses import dataclass

from api.execution.job_creation import JobCreation
from api.execution.reading import Reads
from api.execution.solving import Solves
from api.http.event_feed import EventFeed
from api.http.resumable_uploads import ResumableUploads
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.networks import Networks
from api.services.webhooks import Webhooks
from api.settings import Settings
from api.storage.answer_cache import ProjectAnswers
from api.storage.database import Store


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the handlers of HTTP requests use: the service, as the project of the caller sees it.

    Attributes:
        settings: Settings of the service.
        store: The database, seen by the project.
        events: Events of jobs for open streams.
        networks: Uploaded networks.
        datasets: Datasets: uploaded, built-in, and of the operator.
        answers: Kept answers.
        jobs: Jobs as callers see them.
        reads: Reading of uploads and datasets, in processes with limits.
        uploads: Uploads of datasets that arrive in pieces.
        solves: Questions about networks, which processes with limits answer.
        job_creation: Creation of jobs, after checks in these processes.
        webhooks: Addresses to which events of jobs are posted.
    """

    settings: Settings
    store: Store
    events: EventFeed
    networks: Networks
    datasets: Datasets
    answers: ProjectAnswers
    jobs: Jobs
    reads: Reads
    uploads: ResumableUploads
    solves: Solves
    job_creation: JobCreation
    webhooks: Webhooks

    def delete_network(self, network_id: str) -> None:
        """Delete an uploaded network and all kept answers about it.

        Raises:
            NotFound: If the network does not exist.
            InUse: If an unfinished job uses the network.
        """
        self.networks.delete(network_id)
        self.answers.forget(network_id)
