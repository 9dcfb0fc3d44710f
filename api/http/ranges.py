"""Parts of a file (RFC 9110, section 14): the header Range, checked before Starlette's file response reads it.

    bytes=0-99, bytes=500-, bytes=-100     one part
    bytes=0-0,-1                           several parts, in one multipart answer
    bytes=9000- of 100 bytes               416, with the size
    anything else                          ignored: the answer is the whole file

Starlette answers in plain text if the header has another unit or an error, and refuses all parts because of one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from api.errors import RANGE_NOT_SATISFIABLE, ServiceError

_RANGES: Final = re.compile(r"\s*bytes\s*=((?:\s*(?:[0-9]+-[0-9]*|-[0-9]+)?\s*(?:,|$))+)\s*", re.IGNORECASE)
_MAX_DIGITS: Final = 18
"""Largest number of digits of a position that is understood."""


class RangeNotSatisfiable(ServiceError):
    """Error: no part that the request asks for exists in the file.

    Args:
        size_bytes: Size of the file in bytes.
    """

    kind = RANGE_NOT_SATISFIABLE

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            f"the header Range asks for no byte of the file, which has {size_bytes} bytes; ask for bytes between 0 and "
            f"{size_bytes - 1}, or for the whole file without the header"
        )
        self.headers = {"Content-Range": f"bytes */{size_bytes}"}


def satisfiable(header: str, size_bytes: int) -> str | None:
    """Return a Range header with the parts that exist in a file; None if the header must be ignored.

    Args:
        header: Value of the header.
        size_bytes: Size of the file in bytes.

    Raises:
        RangeNotSatisfiable: If none of the parts exists.
    """
    match = _RANGES.fullmatch(header)
    if match is None:
        return None
    parts = [part.strip() for part in match[1].split(",") if part.strip()]
    existing = []
    for part in parts:
        first, _, last = part.partition("-")
        if max(len(first), len(last)) > _MAX_DIGITS or (first and last and int(first) > int(last)):
            return None
        if int(first) < size_bytes if first else int(last) > 0 and size_bytes > 0:
            existing.append(part)
    if not parts:
        return None
    if not existing:
        raise RangeNotSatisfiable(size_bytes)
    return "bytes=" + ",".join(existing)


def part_of(content: bytes, range_header: str | None) -> tuple[bytes, dict[str, str]]:
    """Return the part of a small content that a Range header asks for, and the headers of the answer.

    Several parts are answered with the whole content, as RFC 9110 allows; so is a header that must be ignored.

    Args:
        content: The whole content.
        range_header: Value of the Range header; None if the request has none.

    Raises:
        RangeNotSatisfiable: If the part does not exist.
    """
    size_bytes = len(content)
    checked = None if range_header is None else satisfiable(range_header, size_bytes)
    if checked is None or "," in checked:
        return content, {}
    first_text, _, last_text = checked.removeprefix("bytes=").partition("-")
    first = int(first_text) if first_text else max(size_bytes - int(last_text), 0)
    end = min(int(last_text) + 1, size_bytes) if first_text and last_text else size_bytes
    return content[first:end], {"Content-Range": f"bytes {first}-{end - 1}/{size_bytes}"}


class PartialFileResponse(FileResponse):
    """Response with a file or parts of it, which reads a Range header as RFC 9110 demands.

    Args:
        size_bytes: Size of the file in bytes.
        range_header: Value of the Range header; None if the request has none.
        arguments: Arguments of Starlette's file response.

    Raises:
        RangeNotSatisfiable: If none of the parts exists.
    """

    def __init__(self, *, size_bytes: int, range_header: str | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._range = None if range_header is None else satisfiable(range_header, size_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, or the parts of it that the request asks for (the ASGI protocol)."""
        others = [(name, value) for name, value in scope["headers"] if name != b"range"]
        checked = [] if self._range is None else [(b"range", self._range.encode())]
        await super().__call__({**scope, "headers": others + checked}, receive, send)
