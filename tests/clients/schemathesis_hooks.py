"""What Schemathesis does not know: the media type of a piece of an upload, which is sent as it is."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/offset+octet-stream")
def piece(_: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
