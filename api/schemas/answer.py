"""The base of everything that the service and the command answer, and the types that answers share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema


class Answer(BaseModel):
    """An answer: frozen, and made from the attributes of the data that it describes."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class NetworkName(Answer):
    """Identifies the network that an answer is about."""

    id: str = Field(description="SHA-256 of the network file, in hexadecimal")
    name: str = Field(description="name of the network in reports; not a key")


Bytes = Annotated[
    float,
    PlainSerializer(lambda size: int(size) if float(size).is_integer() else size),
    WithJsonSchema({"type": "number"}),
]
"""A number of bytes. The accounting keeps fractions: 3 elements at 2 bits take 0.75 bytes."""


def format_bytes(size: float) -> str:
    """Format a number of bytes: 1234567.0 -> '1,234,567'; 0.75 -> '0.75'."""
    return f"{int(size):,}" if float(size).is_integer() else f"{size:,.2f}"
