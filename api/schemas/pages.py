"""JSON schemas of the pages of lists."""

from __future__ import annotations

from pydantic import Field

from api.schemas.answer import Answer
from api.schemas.datasets import DatasetAnswer
from api.schemas.devices import DeviceAnswer
from api.schemas.index import ProblemMeaning
from api.schemas.job_answers import JobSummary
from api.schemas.networks import NetworkSummary
from api.schemas.reports import Artifact
from api.schemas.webhooks import DeliveryAnswer, WebhookAnswer


class Page(Answer):
    """Base class of the pages of lists."""

    next_cursor: str | None = Field(
        description="text that requests the next page as the query parameter cursor; null after the last page"
    )


class NetworkPage(Page):
    """Page of the list of networks."""

    items: list[NetworkSummary] = Field(description="networks, newest first")


class DatasetPage(Page):
    """Page of the list of datasets."""

    items: list[DatasetAnswer] = Field(
        description="datasets: the built-in one, those of the operator by name, then the uploaded ones, newest first"
    )


class DevicePage(Page):
    """Page of the list of devices."""

    items: list[DeviceAnswer] = Field(description="devices of the catalogue, sorted by the size of their RAM")


class JobPage(Page):
    """Page of the list of jobs."""

    items: list[JobSummary] = Field(description="jobs, newest first")


class ArtifactPage(Page):
    """Page of the list of files that a job has produced."""

    items: list[Artifact] = Field(description="files, sorted by name")


class WebhookPage(Page):
    """Page of the list of webhooks."""

    items: list[WebhookAnswer] = Field(description="webhooks, oldest first")


class DeliveryPage(Page):
    """Page of the list of deliveries to a webhook."""

    items: list[DeliveryAnswer] = Field(description="deliveries, newest first")


class ProblemPage(Page):
    """Page of the list of problem types."""

    items: list[ProblemMeaning] = Field(description="problem types (RFC 9457)")
