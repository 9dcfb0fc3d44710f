"""Base class of all JSON answers of the service and the command line, and the types that their fields share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, PlainSerializer, WithJsonSchema

from api.schemas.received import Received

SHA256_PATTERN: Final = "^[0-9a-f]{64}$"

Sha256 = Annotated[str, WithJsonSchema({"type": "string", "pattern": SHA256_PATTERN})]
"""A SHA-256 in hexadecimal."""


class Answer(Received):
    """Immutable answer of the service, which can be built from any object with attributes of the same names.

    An answer always has all of its fields, so that its JSON schema requires all of them.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True, json_schema_serialization_defaults_required=True)


class NetworkName(Answer):
    """Identifier and name of the network that an answer describes."""

    id: Sha256 = Field(description="SHA-256 of the network file, in hexadecimal")
    name: str = Field(description="name of the network in reports; several networks may have the same name")


Count = Annotated[int, Field(ge=0)]
"""A number of things, or of whole bytes."""

Bytes = Annotated[
    float,
    PlainSerializer(lambda size: int(size) if float(size).is_integer() else size),
    WithJsonSchema({"type": "number", "minimum": 0}),
]
"""A number of bytes. The accounting keeps fractions: 3 elements at 2 bits occupy 0.75 bytes."""

Amount = Annotated[float, WithJsonSchema({"type": "number", "minimum": 0})]
"""A number that is not negative."""

Share = Annotated[float, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1})]
"""A part of a whole, from 0 to 1."""

Percent = Annotated[float, WithJsonSchema({"type": "number", "minimum": 0, "maximum": 100})]
"""A part of a whole in percent, from 0 to 100."""


def format_bytes(size: float) -> str:
    """Format a number of bytes as text: 1234567.0 -> '1,234,567'; 0.75 -> '0.75'."""
    return f"{int(size):,}" if float(size).is_integer() else f"{size:,.2f}"
