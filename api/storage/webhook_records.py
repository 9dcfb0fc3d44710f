"""Database records of webhooks and of the deliveries to them.

waiting ──► sending ──► delivered
  ▲            ├──────► failed: given up, or the webhook was disabled
  └────────────┘ the attempt failed, or the service that made it is gone
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Webhook:
    """Database record of a webhook.

    Attributes:
        id: Identifier of the webhook.
        project: Name of the project whose events are delivered.
        url: Address to which events are posted.
        events: Kinds of events that are delivered.
        secret: Key of the signatures in its text form; it is stored in clear, because signing needs it.
        created_at: Unix time of the creation, in seconds.
        failing_since: Unix time in seconds of the first failed attempt since the last success; None after a success.
        disabled_at: Unix time in seconds at which the service disabled the webhook; None if it is enabled.
        disabled_reason: Reason for which it is disabled; None if it is enabled.
    """

    id: str
    project: str
    url: str
    events: list[str]
    secret: str
    created_at: float
    failing_since: float | None = None
    disabled_at: float | None = None
    disabled_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Database record of the delivery of one event to one webhook.

    Attributes:
        number: Position of the delivery in the order of creation.
        id: Identifier of the delivery, the same in all of its attempts.
        project: Name of the project of the webhook.
        webhook_id: Identifier of the webhook.
        event: Kind of event.
        payload: Body of the request, byte for byte the same in all attempts, as text.
        created_at: Unix time of the event, in seconds.
        state: State of the delivery: "waiting", "sending", "delivered" or "failed".
        due_at: Unix time in seconds of the next attempt; while the state is "sending", that at which another service
            may believe that the sending one is gone. None for a delivery that has ended.
        attempts: Number of attempts that have begun.
        earlier_attempts: Number of attempts before the delivery was last requested again; pauses count from there.
        attempted_at: Unix time in seconds at which the last attempt began; None before it.
        status: HTTP status of the last answer; None without an answer.
        answer: Beginning of the body of the last answer; None without an answer.
        error: Reason for which the last attempt failed; None if it did not.
    """

    number: int
    id: str
    project: str
    webhook_id: str
    event: str
    payload: str
    created_at: float
    state: str
    due_at: float | None
    attempts: int
    earlier_attempts: int
    attempted_at: float | None
    status: int | None
    answer: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of one attempt to deliver.

    Attributes:
        status: HTTP status of the answer; None without an answer.
        answer: Beginning of the body of the answer; None without an answer.
        error: Reason for which the attempt failed; None if it succeeded.
    """

    status: int | None
    answer: str | None
    error: str | None
