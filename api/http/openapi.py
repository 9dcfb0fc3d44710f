"""Completion of FastAPI's OpenAPI document, with separate schemas for requests and for responses.

    component as FastAPI names it                          component here
    X-Input, X-Output    (defaults are optional, or not)   X, XEcho
    X                    (an object that both use)         X, XEcho
    X                    (names of an enum; all others)    X

An echo is what an answer repeats of a request: every property is required, and none has a default.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from api.http.openapi_examples import add_examples
from api.http.openapi_forms import complete_forms
from api.http.openapi_frame import complete_frame
from api.http.openapi_nodes import OF_REQUESTS, REFERENCE, component_of, nodes, operations, reachable
from api.http.openapi_types import complete_types
from api.schemas.job_events import EVENTS
from api.schemas.problems import Problem


def complete(document: dict[str, Any]) -> None:
    """Complete FastAPI's OpenAPI document in place, so that client generators understand it.

    Adds the schema `Problem`, because FastAPI cannot describe application/problem+json, and those of the data of
    events, which it knows only for handlers that are generators; then separates the schemas of
    requests from those of answers; then types, headers and the description of the service itself are completed.
    """
    schemas = document["components"]["schemas"]
    models: tuple[type[BaseModel], ...] = (Problem, *EVENTS.values())
    for each in models:
        schema = each.model_json_schema(ref_template=f"{REFERENCE}{{model}}", mode="serialization")
        schemas |= schema.pop("$defs", {})
        schemas[each.__name__] = schema
    _rename(document, lambda name: re.sub(r"-Output$", "Echo", name.removesuffix("-Input")))
    complete_forms(document)
    complete_frame(document)
    _separate(document)
    complete_types(document)
    add_examples(document)


def _separate(document: dict[str, Any]) -> None:
    """Split each OpenAPI schema that requests and responses share into two.

    That of the responses has no default values, and no examples: an example of a request lacks what has a default.
    """
    schemas = document["components"]["schemas"]
    described = operations(document)
    asked = reachable(schemas, [operation.get(part) for operation in described for part in OF_REQUESTS])
    answered = reachable(schemas, [operation["responses"] for operation in described])
    shared = {name for name in asked & answered if "properties" in schemas[name]}
    schemas |= {f"{name}Echo": deepcopy(schemas[name]) | {"title": f"{name}Echo"} for name in shared}
    answers: list[Any] = [operation["responses"] for operation in described]
    answers += [schemas[f"{name}Echo" if name in shared else name] for name in answered]
    for answer in answers:
        for node in nodes(answer):
            if component_of(node) in shared:
                node["$ref"] += "Echo"
            for schema in node.get("properties", {}).values():
                schema.pop("default", None)
    for name in answered:
        echo = schemas[f"{name}Echo" if name in shared else name]
        if echo["title"].endswith("Echo"):
            for schema in echo.get("properties", {}).values():
                schema.pop("examples", None)


def _rename(document: dict[str, Any], new_name: Callable[[str], str]) -> None:
    """Rename the schemas of an OpenAPI document and all references to them, in place."""
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {new_name(name): schema for name, schema in schemas.items()}
    for name, schema in schemas.items():
        if name != new_name(name):
            schema["title"] = new_name(name)
    for node in nodes(document):
        if "$ref" in node:
            node["$ref"] = new_name(node["$ref"])
        if "mapping" in node:
            node["mapping"] = {value: new_name(reference) for value, reference in node["mapping"].items()}
