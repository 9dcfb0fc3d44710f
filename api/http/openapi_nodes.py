"""Ways through an OpenAPI document: its objects, its operations and the schemas to which they refer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

REFERENCE: Final = "#/components/schemas/"
"""Beginning of a reference to a schema of the document."""

OF_REQUESTS: Final = ("requestBody", "parameters")
"""Parts of an operation that describe a request."""


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations of an OpenAPI document."""
    return [operation for path in document["paths"].values() for operation in path.values()]


def component_of(node: dict[str, Any]) -> str:
    """Return the name of the schema to which an object refers; empty if it does not refer to one."""
    return str(node.get("$ref", "")).removeprefix(REFERENCE)


def reachable(schemas: dict[str, Any], roots: Iterable[Any]) -> set[str]:
    """Return the names of the schemas that the given parts refer to, directly or through other schemas."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        for node in nodes(waiting.pop()):
            name = component_of(node)
            if name in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found


def nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Yield all JSON objects within a part of an OpenAPI document, including the part itself."""
    if isinstance(part, dict):
        yield part
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for value in list(values):
        yield from nodes(value)
