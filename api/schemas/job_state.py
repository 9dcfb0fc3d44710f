"""States of a job of the service."""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """State of a job of the service, such as queued or running."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether a job in this state has finished, so that its state does not change again."""
        return self in {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
