"""Sizes in requests: a client sends text with a unit or a whole number, and a request has bytes.

A field is parsed once, when the request is validated; the OpenAPI document shows what a client sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from pydantic import BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from network.budget import parse_size_bytes
from network.errors import RequestError
from network.option_fields import SIZE_FORMAT
from network.options import NAMED_FAULT

_Parsed = TypeVar("_Parsed")


def collected(parse: Callable[[], _Parsed]) -> _Parsed:
    """Call a parser of a request's field; convert its `RequestError` to the type of error that pydantic collects."""
    try:
        return parse()
    except RequestError as error:
        raise PydanticCustomError(NAMED_FAULT, "{text}", {"text": str(error)}) from None


def _size_bytes(given: object, info: ValidationInfo) -> int:
    return collected(lambda: parse_size_bytes(given, info.field_name or "the size"))  # type: ignore[arg-type]  # it rejects other types


def _reserve_bytes(given: object, info: ValidationInfo) -> int:
    return 0 if not isinstance(given, bool) and given in (0, "0") else _size_bytes(given, info)


_SIZE_TEXT: Final = {
    "pattern": r"^ *[0-9]{1,20}(\.[0-9]{1,20})? *(B|[kKMG]i?B)? *$",
    "examples": ["60000", "60kB", "512 KiB"],
}

MAY_BE_ZERO: Final = "x-may-be-zero"
"""Keyword of the schema of a size that may be 0. The OpenAPI document has components instead (`Size`, `ReservedSize`),
by which a client may also send a size as a whole number.
"""

_SizeText = Annotated[str, Field(**_SIZE_TEXT, json_schema_extra={"format": SIZE_FORMAT})]
_ReservedSizeText = Annotated[str, Field(**_SIZE_TEXT, json_schema_extra={"format": SIZE_FORMAT, MAY_BE_ZERO: True})]

Size = Annotated[int, Field(ge=1), BeforeValidator(_size_bytes, json_schema_input_type=_SizeText)]
"""Number of bytes, which a client sends as text: bytes, or a number with kB (1000), KiB (1024), MB, MiB, GB or GiB."""

ReservedSize = Annotated[int, Field(ge=0), BeforeValidator(_reserve_bytes, json_schema_input_type=_ReservedSizeText)]
"""Size that may be 0."""
