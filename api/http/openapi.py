"""Completion of FastAPI's OpenAPI document, with separate schemas for requests and for responses.

    component as FastAPI names it                          component here
    X-Input, X-Output    (defaults are optional, or not)   X, XEcho
    X                    (an object that both use)         X, XEcho
    X                    (names of an enum; all others)    X

An echo is what an answer repeats of a request: every property is required, and none has a default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, Final

from api.errors import Problem

_REFERENCE: Final = "#/components/schemas/"
_OF_REQUESTS: Final = ("requestBody", "parameters")


def complete(document: dict[str, Any]) -> None:
    """Complete FastAPI's OpenAPI document in place, so that client generators understand it.

    Adds the schema `Problem`, because FastAPI cannot describe application/problem+json, separates the schemas of
    requests from those of answers, and turns a union inside a union into one union.
    """
    problem = Problem.model_json_schema(ref_template=f"{_REFERENCE}{{model}}", mode="serialization")
    schemas = document["components"]["schemas"]
    schemas |= problem.pop("$defs", {})
    schemas["Problem"] = problem
    _rename(document, lambda name: re.sub(r"-Output$", "Echo", name.removesuffix("-Input")))
    _separate(document)
    for node in _nodes(document):
        if "anyOf" in node:
            node["anyOf"] = list(_alternatives(node))


def _separate(document: dict[str, Any]) -> None:
    """Split each OpenAPI schema that requests and responses share into two; the response's has no default values."""
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    schemas = document["components"]["schemas"]
    asked = _reachable(schemas, [operation.get(part) for operation in operations for part in _OF_REQUESTS])
    answered = _reachable(schemas, [operation["responses"] for operation in operations])
    shared = {name for name in asked & answered if "properties" in schemas[name]}
    schemas |= {f"{name}Echo": deepcopy(schemas[name]) | {"title": f"{name}Echo"} for name in shared}
    answers: list[Any] = [operation["responses"] for operation in operations]
    answers += [schemas[f"{name}Echo" if name in shared else name] for name in answered]
    for answer in answers:
        for node in _nodes(answer):
            name = str(node.get("$ref", "")).removeprefix(_REFERENCE)
            if name in shared:
                node["$ref"] = f"{_REFERENCE}{name}Echo"
            for schema in node.get("properties", {}).values():
                schema.pop("default", None)
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _rename(document: dict[str, Any], new_name: Callable[[str], str]) -> None:
    """Rename the schemas of an OpenAPI document and all references to them, in place."""
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {new_name(name): schema for name, schema in schemas.items()}
    for name, schema in schemas.items():
        if name != new_name(name):
            schema["title"] = new_name(name)
    for node in _nodes(document):
        if "$ref" in node:
            node["$ref"] = new_name(node["$ref"])
        if "mapping" in node:
            node["mapping"] = {value: new_name(reference) for value, reference in node["mapping"].items()}


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives of a JSON schema's union (anyOf), with nested unions replaced by their alternatives."""
    for each in schema["anyOf"]:
        yield from _alternatives(each) if "anyOf" in each else (each,)


def _reachable(schemas: dict[str, Any], roots: list[Any]) -> set[str]:
    """Return the names of the OpenAPI schemas that the given parts refer to, directly or through other schemas."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        for node in _nodes(waiting.pop()):
            name = str(node.get("$ref", "")).removeprefix(_REFERENCE)
            if name in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found


def _nodes(part: Any) -> Iterator[dict[str, Any]]:
    """Yield all JSON objects within a part of an OpenAPI document, including the part itself."""
    if isinstance(part, dict):
        yield part
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for value in list(values):
        yield from _nodes(value)
