"""The service as one project sees it: its files, jobs and kept answers, and none of any other project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from api.execution.job_creation import JobCreation
from api.execution.reading import Reads
from api.execution.solving import Solves
from api.execution.tracing import Tracing
from api.execution.workers import Workers
from api.http.event_feed import EventFeed
from api.http.resumable_uploads import ResumableUploads
from api.services.datasets import Datasets
from api.services.jobs import Jobs
from api.services.measured_tables import MeasuredTables
from api.services.networks import Networks
from api.settings import Settings
from api.storage.answer_cache import AnswerCache, ProjectAnswers
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

    @classmethod
    def of(
        cls,
        store: Store,
        *,
        settings: Settings,
        workers: Workers,
        wake_scheduler: Callable[[], None],
        events: EventFeed,
        answers: AnswerCache,
        answered: Counter[bool],
        tracing: Tracing,
    ) -> Project:
        """Return the view of one project.

        Args:
            store: The database, seen by the project.
            settings: Settings of the service.
            workers: Processes in which the service parses and computes.
            wake_scheduler: Function that lets the scheduler look at the jobs at once.
            events: Events of jobs for open streams.
            answers: Kept answers of all projects.
            answered: Number of answered questions of all projects, by whether the answer was kept.
            tracing: Source of spans.
        """
        networks, datasets = Networks(store, settings), Datasets(store, settings)
        own_answers = ProjectAnswers(answers, store.project)
        jobs = Jobs(store, settings, wake_scheduler)
        reads = Reads(networks, datasets, workers)
        solves = Solves(settings, networks, MeasuredTables(store), own_answers, workers, answered)
        return cls(
            settings=settings,
            store=store,
            events=events,
            networks=networks,
            datasets=datasets,
            answers=own_answers,
            jobs=jobs,
            reads=reads,
            uploads=ResumableUploads(settings, reads),
            solves=solves,
            job_creation=JobCreation(jobs, networks, reads, solves, tracing),
        )

    def delete_network(self, network_id: str) -> None:
        """Delete an uploaded network and all kept answers about it.

        Raises:
            NotFound: If the network does not exist.
            InUse: If an unfinished job uses the network.
        """
        self.networks.delete(network_id)
        self.answers.forget(network_id)
