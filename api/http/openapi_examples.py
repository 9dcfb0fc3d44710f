"""Examples of the OpenAPI document, which were recorded from a running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from api.http.openapi_nodes import operations

FILE: Final = Path(__file__).parent / "openapi_examples.json"
"""Name of an operation -> its requests by title, and its answers by status; docs/openapi_examples.py writes it."""


def add_examples(document: dict[str, Any]) -> None:
    """Add examples to the requests and the answers of an OpenAPI document."""
    examples = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    for operation in operations(document):
        found = examples.get(operation["operationId"], {"requests": {}, "answers": {}})
        if found["requests"]:
            operation["requestBody"]["content"]["application/json"]["examples"] = {
                title.replace(" ", "_"): {"summary": title, "value": value}
                for title, value in found["requests"].items()
            }
        for status, value in found["answers"].items():
            for media in operation["responses"].get(status, {}).get("content", {}).values():
                media["example"] = value
