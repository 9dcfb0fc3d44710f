"""Types of settings: sizes and paths, as they are given by options and environment variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator

from network.budget import parse_size_bytes
from network.errors import RequestError


def _size_bytes(value: Any) -> int | None:
    if value is None:  # only a setting that may have no value accepts it
        return None
    try:
        return parse_size_bytes(value, "the size")
    except RequestError as error:
        raise ValueError(str(error)) from None


SIZE: Final = BeforeValidator(_size_bytes)
"""Validator that reads a size: a number of bytes, or text with a unit, such as '64MiB'."""

AbsolutePath = Annotated[Path, AfterValidator(Path.absolute)]
