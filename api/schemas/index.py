"""JSON schemas of the index of the service, and of the meaning of its problem types."""

from __future__ import annotations

from pydantic import Field

from api.schemas.answer import Answer
from api.schemas.problems import HttpStatus


class Index(Answer):
    """Index of the HTTP service: its name, its version and the paths of its resources."""

    name: str = Field(description="name of the service")
    version: str = Field(description="version of bitbudget")
    links: dict[str, str] = Field(description="path of each resource, by name")


class ProblemMeaning(Answer):
    """Description of one HTTP problem type (RFC 9457) that the service can answer."""

    type: str = Field(description="problem type (RFC 9457), as a URI reference")
    status: HttpStatus = Field(description="HTTP status of a response with such a problem")
    title: str = Field(description="short name of the problem type")
