"""What generators of clients and linters need of the OpenAPI document, and the copy of it in docs/."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.http.app import openapi_document
from api.http.artifact_types import media_type_of
from api.http.openapi_nodes import nodes, operations
from api.http.security.scopes import REQUIRED_SCOPES
from api.schemas.job_events import EVENTS
from api.services.access import Scope
from api.settings import Settings
from docs.openapi_document import DOCUMENT, document_text

ROOT = Path(__file__).parents[3]
REFERENCE = "#/components/schemas/"
WITHOUT_EXAMPLE = {
    "getLinkedReport",  # it needs a cross compiler
    "runPipeline",  # a form; what its answer contains has examples at fit and createJob
    "uploadDataset",  # the document's examples have the built-in dataset
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi_document(Settings())


def test_the_copy_in_docs_is_the_document_of_the_service() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document_text(), "run: make docs"


def test_the_command_prints_the_document_with_the_limits_of_its_options() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BITBUDGET_")}
    command = [sys.executable, "-m", "api.cli.main", "openapi"]
    printed = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    assert json.loads(printed) == json.loads(DOCUMENT.read_text(encoding="utf-8"))
    other = openapi_document(Settings(queue_length=7))
    assert "requests that wait: 7;" in other["info"]["description"]


def test_a_union_of_types_and_an_enumeration_have_names(document: dict[str, Any]) -> None:
    """A generator would invent a name, and another one at each place."""
    components = document["components"]["schemas"]
    own = {id(schema) for schema in components.values()}
    for node in nodes(document["paths"]), nodes(components):
        for each in node:
            kinds = [kind for key in ("anyOf", "oneOf") for kind in each.get(key, ()) if kind.get("type") != "null"]
            assert len(kinds) < 2 or id(each) in own, each
            if isinstance(each.get("enum"), list) and "type" in each:
                assert id(each) in own or each["enum"] == [each.get("const")], each


def test_numbers_have_a_width(document: dict[str, Any]) -> None:
    wide = 0
    for node in nodes([document["paths"], document["components"]]):
        if node.get("type") == "integer" and "enum" not in node:
            fits = node.get("maximum", 2**63) < 2**31 and node.get("minimum", -(2**63)) > -(2**31)
            assert node.get("format") == (None if fits else "int64"), node
            assert all(isinstance(node.get(bound, 0), int) for bound in ("minimum", "maximum")), node
            wide += not fits
        if node.get("type") == "number":
            assert node["format"] == "double", node
    assert wide > 10


def test_the_default_of_a_property_is_in_its_description(document: dict[str, Any]) -> None:
    """With the keyword, openapi-typescript requires the property, and other generators freeze today's default."""
    components = document["components"]["schemas"]
    for name, schema in components.items():
        assert [key for key, each in schema.get("properties", {}).items() if "default" in each] == [], name
    described = components["TrainingOptions"]["properties"]
    assert described["optimizer"]["description"].endswith("; default: adam")
    assert described["seed"]["description"].endswith("; default: 0")
    assert "default" not in described["epochs"]["description"]


def test_parameters_have_no_null(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert "anyOf" not in parameter["schema"], parameter
            assert parameter["schema"].get("type") or parameter["schema"].get("$ref"), parameter


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yield the place, the schema and the value of each example of a document."""
    for operation in operations(document):
        name = operation["operationId"]
        bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
        for status, body in bodies.items():
            for media in body.get("content", {}).values():
                for each in media.get("examples", {}).values():
                    yield f"{name} {status}", media["schema"], each["value"]
                if "example" in media:
                    yield f"{name} {status}", media["schema"], media["example"]
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                yield f"{name} {parameter['name']}", parameter["schema"], parameter["example"]
    for name, component in document["components"]["schemas"].items():
        for schema in nodes(component):
            if isinstance(schema.get("examples"), list):
                for each in schema["examples"]:
                    yield name, {key: value for key, value in schema.items() if key != "examples"}, each


def test_every_example_is_valid(document: dict[str, Any]) -> None:
    found = 0
    for place, schema, value in examples(document):
        validator = jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]})
        faults = [fault.message for fault in validator.iter_errors(value)]
        assert faults == [], (place, faults)
        found += 1
    assert found > 50


def test_a_wrong_example_would_be_found(document: dict[str, Any]) -> None:
    schema = {"$ref": f"{REFERENCE}FitRequest", "components": document["components"]}
    validator = jsonschema_rs.Draft202012Validator(schema)
    assert validator.is_valid({"flash": 18000, "ram": "2800"})
    for wrong in ({"flash": "18kb"}, {"flash": 0}, {"flash": True}, {"points": 2}, {"method": "best"}):
        assert not validator.is_valid(wrong), wrong


def test_what_has_json_has_an_example(document: dict[str, Any]) -> None:
    for operation in operations(document):
        if operation["operationId"] in WITHOUT_EXAMPLE:
            continue
        request = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert request is None or request["examples"], operation["operationId"]
        for status, response in operation["responses"].items():
            media = response.get("content", {}).get("application/json")
            if status < "300" and media and media["schema"].get("format") != "binary":
                assert "example" in media, (operation["operationId"], status)


def test_the_identifier_among_the_examples_is_that_of_a_file(document: dict[str, Any]) -> None:
    content = (ROOT / "examples/digits/digits.onnx").read_bytes()
    parameters = document["paths"]["/v1/networks/{network_id}"]["get"]["parameters"]
    assert parameters[0]["example"] == hashlib.sha256(content).hexdigest()


def test_the_frame_says_licence_server_and_security(document: dict[str, Any]) -> None:
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    assert [each["url"] for each in document["servers"]] == ["/"]
    scheme = document["components"]["securitySchemes"]["bearer"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert document["security"] == [{}, {"bearer": []}]


def test_each_operation_names_its_scope(document: dict[str, Any]) -> None:
    needed = {each["operationId"]: each.get("x-scope") for each in operations(document)}
    assert needed == {name: scope and str(scope) for name, scope in REQUIRED_SCOPES.items() if name in needed}
    assert set(needed.values()) == {None, *map(str, Scope)}
    for each in operations(document):
        scope = each.get("x-scope")
        assert each.get("security") == ([] if scope is None else None)
        assert scope is None or each["description"].endswith(f"scope `{scope}`.")
    text = document["components"]["securitySchemes"]["bearer"]["description"]
    assert all(f"`{scope}`" in text for scope in Scope)


def test_the_data_of_events_has_types(document: dict[str, Any]) -> None:
    responses = {each["operationId"]: each["responses"] for each in operations(document)}
    stream = responses["watchJob"]["200"]["content"]["text/event-stream"]
    assert stream["schema"]["type"] == "string"
    assert stream["schema"]["contentSchema"] == {"$ref": f"{REFERENCE}JobEventData"}
    schemas = document["components"]["schemas"]
    mapping = schemas["JobEventData"]["discriminator"]["mapping"]
    assert mapping == {kind: f"{REFERENCE}{each.__name__}" for kind, each in EVENTS.items()}
    assert schemas["StateEvent"]["properties"]["state"] == {
        "$ref": f"{REFERENCE}JobState",
        "description": schemas["StateEvent"]["properties"]["state"]["description"],
    }


def test_headers_of_responses_are_described(document: dict[str, Any]) -> None:
    responses = {each["operationId"]: each["responses"] for each in operations(document)}
    for name, status in (("uploadNetwork", "200"), ("uploadDataset", "201"), ("createJob", "202")):
        assert responses[name][status]["headers"]["Location"]["required"]
    for status in ("200", "304"):
        assert responses["getArtifact"][status]["headers"]["ETag"]["schema"]["pattern"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("report.json", "application/json"),
        ("host.py", "text/x-python"),
        ("digits-c.zip", "application/zip"),
        ("curve.svg", "image/svg+xml"),
        ("weights.safetensors", "application/octet-stream"),
        ("network.onnx", "application/octet-stream"),
        ("vectors.npz", "application/octet-stream"),
    ],
)
def test_artifacts_have_their_media_types(name: str, media_type: str) -> None:
    assert media_type_of(name) == media_type
