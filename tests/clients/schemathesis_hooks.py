"""What Schemathesis does not know: a piece of an upload is sent as it is, and a request may have further headers."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def piece(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def filter_case(_: Any, case: schemathesis.Case[Any]) -> bool:
    """Leave out requests that count as invalid only because of a header that the document does not list."""
    return "x-schemathesis-unknown-property" not in (case.headers or {})
