"""JSON schema of an upload that arrives in pieces."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from api.schemas.answer import Answer, Count


class PartialUploadAnswer(Answer):
    """State of the upload of a dataset that arrives in pieces."""

    id: str = Field(description="identifier of the upload")
    name: str = Field(description="name of the dataset in reports, from the metadata of the upload; it may be empty")
    length_bytes: Count = Field(description="size of the whole file, in bytes")
    received_bytes: Count = Field(
        description="number of bytes that count as arrived; the last byte counts when the dataset is stored"
    )
    expires_at: AwareDatetime = Field(description="time at which the upload is deleted, if nothing more arrives")
    dataset_id: str | None = Field(description="identifier of the dataset; null before it is stored")
