"""JSON schema of the index of the service."""

from __future__ import annotations

from pydantic import Field

from api.schemas.answer import Answer


class Index(Answer):
    """Index of the HTTP service: its name, its version and the paths of its resources."""

    name: str = Field(description="name of the service")
    version: str = Field(description="version of bitbudget")
    links: dict[str, str] = Field(description="path of each resource, by name")
