"""Media types of the files that jobs produce: the service sends them, and the OpenAPI document lists them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any, Final

BINARY: Final = "application/octet-stream"

_TYPES: Final = {
    ".json": "application/json",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".zip": "application/zip",
}
"""Suffix of a file -> its media type; other files (.safetensors, .onnx, .npz) are `application/octet-stream`."""

PARTS: Final = {"multipart/byteranges": {"schema": {"type": "string", "format": "binary"}}}
"""Content of an answer with several parts of a file, as the OpenAPI document describes it."""


def media_type_of(name: str) -> str:
    """Return the media type of a file that a job has produced, by the suffix of its name."""
    return _TYPES.get(PurePath(name).suffix, BINARY)


def artifact_content() -> dict[str, Any]:
    """Return the content of a response with an artifact as the OpenAPI document describes it: bytes of several types.

    Generators that know only one type of a response take the first one.
    """
    return {each: {"schema": {"type": "string", "format": "binary"}} for each in (BINARY, *_TYPES.values())}
