"""JSON schemas of the data of server-sent events about a job."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

from pydantic import AwareDatetime, Field

from api.schemas.answer import Answer, Count
from api.schemas.job_state import JobState
from api.schemas.reports import ProgressAnswer


class StateEvent(Answer):
    """Data of an event `state`: the new state of a job; `error` is added if it failed, or waits for disk or store."""

    kind: Literal["state"] = Field(description="kind of the event")
    created_at: AwareDatetime = Field(description="time of the event")
    state: JobState = Field(description="new state of the job")
    attempt: Count = Field(description="number of the attempt to run the job; 0 before the first one")
    revision: Count = Field(description="revision of the job after the change")


class ProgressEvent(ProgressAnswer):
    """Data of an event `progress`: progress of the job; fields that do not apply to its phase are null."""

    kind: Literal["progress"] = Field(description="kind of the event")
    created_at: AwareDatetime = Field(description="time of the event")


EVENTS: Final[Mapping[str, type[Answer]]] = MappingProxyType({"state": StateEvent, "progress": ProgressEvent})
"""Kind of an event, which its field `event` names -> class of its data."""
