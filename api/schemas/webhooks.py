"""JSON schemas of webhooks and of the deliveries to them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from api.schemas.answer import Answer, Count
from api.schemas.job_state import JobState
from api.schemas.problems import HttpStatus
from network.options import Options

MAX_URL_LENGTH: Final = 2048
PING: Final = "webhook.ping"
"""Kind of event of a test delivery."""


class WebhookEvent(StrEnum):
    """Kind of event that is delivered to a webhook: the new state of a job."""

    JOB_QUEUED = "job.queued"
    JOB_STARTED = "job.started"
    JOB_SUCCEEDED = "job.succeeded"
    JOB_FAILED = "job.failed"
    JOB_CANCELLED = "job.cancelled"


EVENT_OF_STATE: Final = {
    JobState.QUEUED: WebhookEvent.JOB_QUEUED,
    JobState.RUNNING: WebhookEvent.JOB_STARTED,
    JobState.SUCCEEDED: WebhookEvent.JOB_SUCCEEDED,
    JobState.FAILED: WebhookEvent.JOB_FAILED,
    JobState.CANCELLED: WebhookEvent.JOB_CANCELLED,
}
"""Event of each state that a job can enter; a job that is being cancelled has none."""

ENDINGS: Final = (WebhookEvent.JOB_SUCCEEDED, WebhookEvent.JOB_FAILED, WebhookEvent.JOB_CANCELLED)


class DeliveryState(StrEnum):
    """State of a delivery."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookRequest(Options):
    """Request for a webhook."""

    url: str = Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="address to which events are posted: https://, or http:// for an address that the operator allows",
        examples=["https://ci.example.com/hooks/bitbudget"],
    )
    events: Annotated[list[WebhookEvent], Field(min_length=1, max_length=len(WebhookEvent))] = Field(
        default=[*ENDINGS], description="kinds of events that are delivered"
    )


class WebhookAnswer(Answer):
    """Webhook of a project, without its secret."""

    id: str = Field(description="identifier of the webhook")
    url: str = Field(description="address to which events are posted")
    events: list[WebhookEvent] = Field(description="kinds of events that are delivered")
    created_at: AwareDatetime = Field(description="time of the creation")
    failing_since: AwareDatetime | None = Field(
        description="time of the first failed attempt since the last success; null if the last attempt succeeded"
    )
    disabled_at: AwareDatetime | None = Field(
        description="time at which the service has disabled the webhook; null if it is enabled"
    )
    disabled_reason: str | None = Field(description="reason for which it is disabled; null if it is enabled")


class NewWebhook(WebhookAnswer):
    """Webhook that was just created, with its secret, which is shown this once."""

    secret: str = Field(
        description="key of the signatures (Standard Webhooks): whsec_, then 32 bytes in base64; it is not shown again"
    )


class DeliveryAnswer(Answer):
    """Delivery of one event to a webhook."""

    id: str = Field(description="identifier of the delivery, the header webhook-id of each of its attempts")
    event: str = Field(description="kind of event, or webhook.ping", examples=["job.succeeded"])
    job_id: str | None = Field(description="identifier of the job; null for a ping")
    created_at: AwareDatetime = Field(description="time of the event")
    state: DeliveryState = Field(
        description="waiting: for its turn or the next attempt; sending; delivered: answered with 2xx; failed: given up"
    )
    attempts: Count = Field(description="number of attempts so far")
    last_attempt_at: AwareDatetime | None = Field(description="time of the last attempt; null before it")
    next_attempt_at: AwareDatetime | None = Field(description="earliest time of the next attempt; null without one")
    status: HttpStatus | None = Field(description="HTTP status of the last answer; null without an answer")
    answer: str | None = Field(description="beginning of the body of the last answer; null without an answer")
    error: str | None = Field(description="reason for which the last attempt failed; null if it did not")
