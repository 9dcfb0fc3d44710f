"""Conditional requests (RFC 9110, section 13): an answer that the caller has already is not sent again.

An entity tag names one content. The service's tags are strong: equal tags mean equal bytes.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from fastapi import Request, Response

from api.version import version

_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def has_tag(header: str, tag: str) -> bool:
    """Return whether an If-None-Match header lists an entity tag, or is `*`.

    Args:
        header: Value of the header, which is empty if the request has none.
        tag: Entity tag with its quotation marks. As RFC 9110 demands, W/ in the header does not matter.
    """
    return header.strip() == "*" or tag in _TAG.findall(header)


def not_modified(request: Request, response: Response, tag: str) -> Response | None:
    """Give a response its entity tag; return the answer 304 instead if the caller has this content already.

    Args:
        request: The request.
        response: The response with the other headers, which receives the headers of the entity tag.
        tag: Entity tag with its quotation marks.
    """
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    response.headers.update(headers)
    if has_tag(", ".join(request.headers.getlist("if-none-match")), tag):
        return Response(status_code=304, headers=headers)
    return None


def tag_of(*parts: object) -> str:
    """Return an entity tag for the content that some values determine, together with the version of bitbudget."""
    text = "\n".join(map(str, (version(), *parts)))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
