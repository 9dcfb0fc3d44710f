"""Types of an OpenAPI document in the form that client generators turn into exact types.

    as pydantic writes it                      here                 because
    integer without bounds of 32 bits          format: int64        generators for Java, C# and Go take 32 bits
    number                                     format: double       they take a class for decimal numbers
    bounds of integers as 1.0                  1
    union in a union                           one union            the inner one becomes a class without a name
    union of types within a property           a component          the same
    enumeration within a property or a union   a component          there would be one class for each place
    const                                      also an enumeration  some generators do not know const
    null among the types of a parameter        left out             a URL and a header have no null
    default of a property of a request         in the description   generators require the property, or send the default
                                                                    of the version that they saw
    title of a property                        left out             generators name classes by it

A size is text or a whole number, a component of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from api.http.openapi_nodes import REFERENCE, component_of, nodes, operations
from api.schemas.sizes import MAY_BE_ZERO
from network.budget import MAX_BUDGET_BYTES
from network.option_fields import SIZE_FORMAT

_INT32_MAX: Final = 2**31 - 1
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_ECHO: Final = "Echo"
"""End of the name of the schema of an answer that repeats a request."""
_ABOUT: Final = frozenset({"title", "description", "examples", "default"})
"""Keywords that say something about a property, and not what its value may be."""

NAMED_UNIONS: Final[dict[frozenset[str], tuple[str, str]]] = {
    frozenset({"JobRequest", "ShrinkJobRequest", "FitJobRequest", "ParetoJobRequest"}): (
        "NewJob",
        "Request for a job; `kind` says which",
    ),
    frozenset(
        {
            "JobRequestEcho",
            "SensitivityJobRequestEcho",
            "ShrinkJobRequestEcho",
            "FitJobRequestEcho",
            "ParetoJobRequestEcho",
        }
    ): ("RequestOfJob", "Request that created a job, with all defaults; `kind` says which"),
    frozenset({"PipelineFit", "PipelineTraining", "PipelineShrink"}): (
        "PipelineRequest",
        "Request of a pipeline; `kind` says which",
    ),
    frozenset({"TrainingReport", "SensitivityReport", "ShrinkReport", "FitReport", "ParetoReport"}): (
        "JobResult",
        "Result of a job; `kind` says which",
    ),
    frozenset({"StateEvent", "ProgressEvent"}): (
        "JobEventData",
        "Data of an event of a job; `kind` says which",
    ),
    frozenset({"string", "DeviceDescription"}): (
        "DeviceChoice",
        "Device: a name in the catalogue, or the description of a custom device",
    ),
    frozenset({"SensitivityMeasure", "TableDescription", "JobTable"}): (
        "SensitivityChoice",
        "Sensitivities: the name of a measure, a table, or the job that has measured one",
    ),
    frozenset({"AugmentationPreset", "AugmentationOptions"}): (
        "AugmentationChoice",
        "Augmentation: the name of a preset, or its options",
    ),
}
"""Alternatives of a union -> name and description of its component.

A union of a request is also one of answers: both its alternatives and its name then end with `Echo`.
"""

SIZES: Final[dict[str, dict[str, Any]]] = {
    "ReservedSize": {
        "title": "ReservedSize",
        "description": "Size that may be 0: whole bytes, or text with a unit such as 60kB or 512 KiB",
        "examples": [0, 1024, "60kB", "512 KiB"],
    },
    "Size": {
        "title": "Size",
        "description": "Size: whole bytes, or text with a unit, such as 60kB (1000 bytes) or 512 KiB (1024 bytes)",
        "examples": [256000, "256kB", "512 KiB"],
    },
}
"""Components of sizes, without their types."""

NAMED_ENUMS: Final[dict[tuple[str | int, ...], tuple[str, str]]] = {
    (8, 4, 2): ("Bits", "Number of bits of a weight, or of an element of an activation tensor"),
    ("flash", "ram"): ("MemoryKind", "Kind of memory"),
    ("flash", "ram", "latency"): ("LimitKind", "Kind of limit: of a memory, or of the time of one inference"),
    ("percent", "dB", "1", "target"): ("MetricUnit", "Unit of a metric; 1: a ratio; target: the unit of the targets"),
    ("training", "sensitivity", "shrink", "fit", "pareto"): ("JobKind", "Purpose of a job"),
    ("fit", "training", "shrink"): ("PipelineKind", "Purpose of a call by a pipeline"),
    ("weights", "fisher", "hessian", "measured"): ("SensitivityMeasure", "Name of a measure of sensitivity"),
}
"""Values of an enumeration -> name and description of its component."""


def complete_types(document: dict[str, Any]) -> None:
    """Bring the types of an OpenAPI document, whose requests and answers have separate schemas, into their form."""
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        for node in nodes(schema):
            for each in node.get("properties", {}).values() if name != "Problem" else ():
                _describe_default(each)
    for node in nodes(document):
        for each in (node.get("properties") or {}).values():
            if isinstance(each, dict) and isinstance(each.get("title"), str):
                del each["title"]
        if "anyOf" in node:
            node["anyOf"] = list(_alternatives(node))
        _complete_number(node)
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            _complete_parameter(parameter)
    _name_sizes(document)
    _name_enums(document)
    _name_unions(document)


def _describe_default(schema: dict[str, Any]) -> None:
    """Move the default value of a property into its description; null says that the property may be left out."""
    default = schema.pop("default", None)
    if default is not None:
        text = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
        schema["description"] = f"{schema['description']}; default: {text or 'empty'}"


def _complete_number(node: dict[str, Any]) -> None:
    if node.get("type") == "integer" and "enum" not in node:
        node |= {bound: int(node[bound]) for bound in _BOUNDS if bound in node}
        if not (node.get("maximum", 2**63) <= _INT32_MAX and node.get("minimum", -(2**63)) >= -_INT32_MAX):
            node["format"] = "int64"
    elif node.get("type") == "number":
        node["format"] = "double"


def _complete_parameter(parameter: dict[str, Any]) -> None:
    """Leave out the null of a parameter, and what its schema repeats; an example is the parameter's."""
    schema = parameter["schema"]
    for about in ("title", "description"):
        schema.pop(about, None)
    kinds = [each for each in schema.pop("anyOf", ()) if each.get("type") != "null"]
    if len(kinds) == 1:
        schema |= kinds[0]


def _alternatives(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the alternatives of a JSON schema's union (anyOf), with nested unions replaced by their alternatives."""
    for each in schema["anyOf"]:
        nested = "anyOf" in each
        yield from _alternatives(each) if nested else (each,)


def _name_sizes(document: dict[str, Any]) -> None:
    """Replace the schema of each size by a component, of which a client may choose text or a whole number."""
    schemas = document["components"]["schemas"]
    for node in list(nodes(document)):
        if node.get("format") == SIZE_FORMAT:
            least = 0 if node.pop(MAY_BE_ZERO, False) else 1
            name = "Size" if least else "ReservedSize"
            kinds: list[Any] = [{"type": "string", "pattern": node["pattern"]}]
            kinds += [{"type": "integer", "format": "int64", "minimum": least, "maximum": MAX_BUDGET_BYTES}]
            schemas[name] = {**SIZES[name], "anyOf": kinds}
            for each in ("type", "format", "pattern", "examples"):
                node.pop(each, None)
            node["$ref"] = REFERENCE + name


def _name_enums(document: dict[str, Any]) -> None:
    """Move each enumeration of several values into a component of its own, and refer to it."""
    schemas = document["components"]["schemas"]
    own = {id(schema) for schema in schemas.values()}
    for node in list(nodes(document)):
        if isinstance(node.get("const"), str):
            node["enum"] = [node["const"]]
        elif isinstance(node.get("enum"), list) and "type" in node and id(node) not in own:
            if tuple(node["enum"]) not in NAMED_ENUMS:
                continue  # a test demands a name; the service answers all the same
            values = node.pop("enum")
            name, description = NAMED_ENUMS[tuple(values)]
            schemas[name] = {"title": name, "description": description, "type": node.pop("type"), "enum": values}
            if isinstance(values[0], int):
                schemas[name]["x-enum-varnames"] = [f"{name.upper()}_{value}" for value in values]
            node["$ref"] = REFERENCE + name


def _name_unions(document: dict[str, Any]) -> None:
    """Move each union of several types into a component of its own, and refer to it.

    A union whose value may be null is marked by x-nullable: the class that openapi-generator makes of it for Java
    refuses null otherwise, although the property allows it.
    """
    schemas = document["components"]["schemas"]
    uses: dict[str, list[dict[str, Any]]] = {}
    descriptions: dict[str, str] = {}
    for node in list(nodes(document)):
        kinds = [each for each in _kinds(node) if each.get("type") != "null"]
        named = _named_union(frozenset(component_of(each) or str(each.get("type")) for each in kinds))
        if named is not None:
            name, descriptions[name] = named
            uses.setdefault(name, []).append(node)
    for name, places in uses.items():
        union = {each: value for each, value in places[0].items() if each not in _ABOUT}
        key = "oneOf" if "oneOf" in union else "anyOf"
        union[key] = [each for each in _kinds(union) if each.get("type") != "null"]
        schemas[name] = {"title": name, "description": descriptions[name], **union}
        reference = {"$ref": REFERENCE + name}
        for node in places:
            may_be_null = any(each.get("type") == "null" for each in _kinds(node))
            for each in [*union, "title"]:
                node.pop(each, None)
            node.update({"anyOf": [reference, {"type": "null"}]} if may_be_null else reference)
    for node in nodes(document):
        kinds = _kinds(node)
        if {"type": "null"} in kinds and component_of(kinds[0]) in uses:
            schemas[component_of(kinds[0])]["x-nullable"] = True
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _named_union(alternatives: frozenset[str]) -> tuple[str, str] | None:
    """Return the name and the description of the component of a union; None if it has none."""
    if alternatives in NAMED_UNIONS:
        return NAMED_UNIONS[alternatives]
    requested = NAMED_UNIONS.get(frozenset(each.removesuffix(_ECHO) for each in alternatives))
    return requested and (requested[0] + _ECHO, f"{requested[1]}; as an answer repeats it")


def _kinds(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alternatives of a union; none for another schema."""
    kinds: list[dict[str, Any]] = node.get("anyOf", node.get("oneOf", []))
    return kinds
