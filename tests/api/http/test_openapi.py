"""The OpenAPI document: rules that client generators need, and the errors that the service answers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.errors import KINDS
from api.http.app import create_app
from api.http.service import Service
from api.settings import Settings
from network import errors
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    service = Service.open(Settings(data_directory=tmp_path_factory.mktemp("openapi")))
    try:
        first: dict[str, Any] = create_app(service).openapi()
    finally:
        service.store.close()
    return first


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS & item.keys():
            yield f"{method.upper()} {path}", item[method]


def references(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_operations_have_short_unique_names_tags_and_summaries(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert {"uploadNetwork", "fit", "createJob", "getJob", "cancelJob", "getArtifact", "health"} <= set(names)
    known = {tag["name"] for tag in document["tags"]}
    for what, operation in operations(document):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), what
        assert set(operation["tags"]) <= known, what
        assert operation["description"], what


def test_every_reference_resolves_and_every_schema_is_used(document: dict[str, Any]) -> None:
    used = set(references(document))
    for reference in used:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node
    parts = ("schemas", "headers")
    assert used == {f"#/components/{part}/{name}" for part in parts for name in document["components"][part]}


def test_errors_are_problems_everywhere(document: dict[str, Any]) -> None:
    assert not any("ValidationError" in name for name in document["components"]["schemas"])
    for what, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (what, status)
                assert response["description"], (what, status)
            elif status not in {"204", "304"}:
                assert response["content"], (what, status)


COMPUTING = {
    "uploadNetwork", "uploadDataset", "listDatasets", "getDataset", "createJob", "measureSensitivity", "fit",
    "fitDevices", "pareto", "createUpload", "appendUpload", "runPipeline", "retryJob",
}  # fmt: skip
"""Operations that wait for a process, for the place of an unfinished upload, or for that of a job in the queue."""


def test_what_computes_can_be_refused_for_a_time(document: dict[str, Any]) -> None:
    refusing = set()
    for _, operation in operations(document):
        if "429" in operation["responses"]:
            if "/problems/busy" in operation["responses"]["429"]["description"]:
                refusing.add(operation["operationId"])
            header = operation["responses"]["429"]["headers"]["Retry-After"]
            assert header["required"]
            assert header["schema"] == {"type": "integer", "minimum": 1, "maximum": 60}
    assert refusing == COMPUTING


@pytest.mark.parametrize(
    "limit", ["layers", "elements of a tensor", "pixels", "points of a Pareto front", "devices", "wait", "time to read"]
)
def test_the_document_says_the_limits(document: dict[str, Any], limit: str) -> None:
    lines = [line for line in document["info"]["description"].splitlines() if line.startswith("- ")]
    assert [line for line in lines if limit in line and any(letter.isdecimal() for letter in line)], limit


def test_the_limits_are_those_of_the_settings(tmp_path: Path) -> None:
    from api.http.limits import limits_text

    text = limits_text(Settings(data_directory=tmp_path, request_seconds=40, queue_length=7, max_network_bytes=12_345))
    assert "- size of a network: 12,345 bytes" in text
    assert "40 s with the time in the queue" in text
    assert "`time_limit_seconds` may be 30" in text
    assert "- requests that wait: 7;" in text


def test_uploads_and_artifacts_are_bytes(document: dict[str, Any]) -> None:
    for path in ("/v1/networks", "/v1/datasets"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        file = content["multipart/form-data"]["schema"]["properties"]["file"]
        assert (file["type"], file["format"]) == ("string", "binary")
        assert content["application/octet-stream"]["schema"]["format"] == "binary"
    artifact = document["paths"]["/v1/jobs/{job_id}/artifacts/{name}"]["get"]["responses"]["200"]
    types = ["application/octet-stream", "application/json", "text/x-python", "image/svg+xml", "application/zip"]
    assert list(artifact["content"]) == types  # the first one is what a generator takes that knows one type only
    assert all(each == {"schema": {"type": "string", "format": "binary"}} for each in artifact["content"].values())


def test_a_network_can_have_files_of_weights_and_a_dataset_cannot(document: dict[str, Any]) -> None:
    forms = [
        document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        for path in ("/v1/networks", "/v1/datasets")
    ]
    weights = forms[0]["properties"]["weights"]
    assert (weights["type"], weights["items"]) == ("array", {"type": "string", "format": "binary"})
    assert forms[0]["required"] == ["file"]
    assert "weights" not in forms[1]["properties"]


REFERENCE = "#/components/schemas/"


def schemas_of(document: dict[str, Any], *parts: str) -> dict[str, dict[str, Any]]:
    """Return the schemas in some parts of all operations, and in the components that these use, by their place."""
    components = document["components"]["schemas"]
    found: dict[str, dict[str, Any]] = {}

    def visit(node: object, place: str) -> None:
        if isinstance(node, list):
            for index, value in enumerate(node):
                visit(value, f"{place}.{index}")
        elif isinstance(node, dict):
            found[place] = node
            name = str(node.get("$ref", "")).removeprefix(REFERENCE)
            if name in components and name not in found:
                visit(components[name], name)
            for key, value in node.items():
                if key not in {"example", "examples", "default", "mapping"}:
                    visit(value, f"{place}.{key}")

    for what, operation in operations(document):
        for part in parts:
            visit(operation.get(part), f"{what} {part}")
    return found


@pytest.fixture(scope="module")
def of_requests(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return schemas_of(document, "requestBody", "parameters")


@pytest.fixture(scope="module")
def of_answers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return schemas_of(document, "responses")


@pytest.fixture(scope="module")
def all_schemas(of_requests: dict[str, Any], of_answers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return of_requests | of_answers


def is_schema(schema: dict[str, Any], kind: str) -> bool:
    """Return whether a node is a schema of a type; in a map of properties, 'type' may be the name of a property."""
    return bool(schema.get("type") == kind)


def test_requests_and_answers_share_only_enums(
    document: dict[str, Any], of_requests: dict[str, Any], of_answers: dict[str, Any]
) -> None:
    components = document["components"]["schemas"]
    shared = of_requests.keys() & of_answers.keys() & components.keys()
    assert {"Method", "WeightScheme"} <= shared
    assert [name for name in shared if "enum" not in components[name]] == []
    assert {"JobRequest", "TrainingOptions"} <= of_requests.keys()
    assert {"JobRequestEcho", "TrainingOptionsEcho", "SensitivityJobRequestEcho"} <= of_answers.keys()
    assert [name for name in components if "-" in name] == []
    assert [name for name, schema in components.items() if schema["title"] != name] == []


def test_every_object_has_typed_properties(all_schemas: dict[str, dict[str, Any]]) -> None:
    for place, schema in all_schemas.items():
        if is_schema(schema, "object"):
            values = schema.get("additionalProperties", False)
            assert values is not True, place
            assert schema.get("properties") or (isinstance(values, dict) and values), place


def test_every_array_has_one_type_of_items(all_schemas: dict[str, dict[str, Any]]) -> None:
    for place, schema in all_schemas.items():
        assert "prefixItems" not in schema, place
        if is_schema(schema, "array"):
            assert schema.get("items"), place


def test_every_schema_has_one_type_and_no_union_is_nested(all_schemas: dict[str, dict[str, Any]]) -> None:
    for place, schema in all_schemas.items():
        assert not isinstance(schema.get("type"), list), place
        assert not any("anyOf" in each for each in schema.get("anyOf", ())), place


def test_every_union_of_objects_can_be_told_apart(
    document: dict[str, Any], all_schemas: dict[str, dict[str, Any]]
) -> None:
    """A union has a required discriminator, or each of its objects rejects the required properties of the others."""
    components = document["components"]["schemas"]
    discriminated = 0
    for place, schema in all_schemas.items():
        names = [each.get("$ref", "").removeprefix(REFERENCE) for each in schema.get("oneOf", schema.get("anyOf", ()))]
        objects = [components[name] for name in names if name and "properties" in components[name]]
        if "discriminator" in schema:
            discriminated += 1
            key = schema["discriminator"]["propertyName"]
            assert {f"{REFERENCE}{name}" for name in names} == set(schema["discriminator"]["mapping"].values()), place
            assert all(key in each["required"] and "const" in each["properties"][key] for each in objects), place
        elif len(objects) > 1:
            for each in objects:
                others = {name for other in objects if other is not each for name in other["required"]}
                assert each["additionalProperties"] is False, place
                assert not others & each["properties"].keys(), place
    assert discriminated >= 2


def test_a_size_is_text_or_bytes_in_a_request_and_bytes_in_an_answer(document: dict[str, Any]) -> None:
    components = document["components"]["schemas"]
    sizes = {
        "FitRequest": ("flash", "ram", "reserved_flash", "reserved_ram"),
        "JobRequest": ("flash", "ram", "reserved_flash", "reserved_ram"),
        "DeviceDescription": ("flash", "ram", "chip_flash", "chip_ram"),
    }
    for model, names in sizes.items():
        for name in names:
            size = f"{REFERENCE}{'ReservedSize' if name.startswith('reserved') else 'Size'}"
            schema = components[model]["properties"][name]
            assert size in {each.get("$ref") for each in schema.get("anyOf", [schema])}, (model, name)
            if f"{model}Echo" in components:
                schema = components[f"{model}Echo"]["properties"][name]
                kinds = {each["type"] for each in schema.get("anyOf", [schema])} - {"null"}
                assert kinds == {"integer"}, (model, name)
    for name in ("Size", "ReservedSize"):
        assert [each["type"] for each in components[name]["anyOf"]] == ["string", "integer"]
        assert [each.get("format") for each in components[name]["anyOf"]] == [None, "int64"]


def test_every_property_and_parameter_has_a_description(all_schemas: dict[str, dict[str, Any]]) -> None:
    for place, schema in all_schemas.items():
        for name, each in schema.get("properties", {}).items() if is_schema(schema, "object") else ():
            assert each.get("description"), f"{place}.{name}"
            if name.endswith("_bytes"):
                assert "bytes" in each["description"], f"{place}.{name}"
        if "in" in schema and "schema" in schema:
            assert schema.get("description"), place


def test_descriptions_of_properties_are_phrases(all_schemas: dict[str, dict[str, Any]]) -> None:
    """All descriptions have one form, because the help of the command and the tables in the documents show them."""
    for place, schema in all_schemas.items():
        for name, each in schema.get("properties", {}).items() if is_schema(schema, "object") else ():
            first, *_ = each["description"].split()
            assert not each["description"].endswith("."), f"{place}.{name}"
            assert first[0].islower() or first.isupper(), f"{place}.{name}"  # RAM, SHA-256, ...


def test_every_property_of_an_answer_is_required(of_answers: dict[str, dict[str, Any]]) -> None:
    for place, schema in of_answers.items():
        if is_schema(schema, "object") and "properties" in schema:
            # RFC 9457 lets a problem leave out the members that do not apply to its type.
            optional = (
                {"instance", "errors", "certificate", "used_bytes", "allowed_bytes"} if place == "Problem" else set()
            )
            assert set(schema.get("required", ())) == schema["properties"].keys() - optional, place
            assert [name for name, each in schema["properties"].items() if "default" in each] == [], place


def test_every_number_has_bounds(of_requests: dict[str, Any], of_answers: dict[str, Any]) -> None:
    """A number in a request has a lower and an upper bound; a whole number in an answer has a lower bound."""
    for place, schema in of_requests.items():
        if (is_schema(schema, "integer") or is_schema(schema, "number")) and "enum" not in schema:
            assert "minimum" in schema or "exclusiveMinimum" in schema, place
            assert "maximum" in schema or "exclusiveMaximum" in schema or place in UNBOUNDED, place
    for place, schema in of_answers.items():
        if is_schema(schema, "integer") and "enum" not in schema:
            assert "minimum" in schema, place


UNBOUNDED = {
    *(f"BitsRow.properties.{bits}" for bits in "842"),  # a sensitivity has no unit: only ratios count
}


def test_every_name_of_an_enum_is_listed(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def names(component: str, field: str) -> set[str]:
        schema = schemas[component]["properties"][field]
        schema = schema.get("additionalProperties", schema)
        schema = next((each for each in schema.get("anyOf", ()) if "$ref" in each), schema)  # or null
        reference = schema.get("$ref", "").removeprefix(REFERENCE)
        return set(schemas[reference]["enum"] if reference else schema["enum"])

    for component in ("FitRequest", "JobRequest", "JobRequestEcho", "FitAnswer", "TrainingReport", "DevicesAnswer"):
        assert names(component, "method") == {"exact", "mixpl", "mixpc"}
        assert names(component, "accounting") == {"deployed", "paper"}
    for component in ("FitRequest", "JobRequestEcho", "SensitivityRequest", "SensitivityReport"):
        assert len(names(component, "scheme")) == 4
    assert len(schemas["FitRequest"]["properties"]["allowed_schemes"]["anyOf"]) == 2
    assert names("FitAnswer", "schemes") == names("FitRequest", "scheme")
    assert names("FitAnswer", "foldings") == {"folding_weights", "ICN"}
    assert names("ParetoRequest", "axis") == names("ParetoAnswer", "axis") == {"flash", "ram", "both"}
    assert "running" in names("JobAnswer", "state")


def test_a_job_request_without_a_kind_is_a_training(document: dict[str, Any]) -> None:
    """The schema requires the discriminator; older pipelines, which do not send it, still work."""
    from api.schemas.jobs import JobRequest

    schema = document["components"]["schemas"]["JobRequest"]
    assert set(schema["required"]) == {"kind", "network_id", "dataset"}
    assert schema["properties"]["kind"]["const"] == "training"
    assert JobRequest.model_validate({"network_id": "n", "dataset": "digits"}).kind == "training"


def test_options_have_their_bounds_and_names(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    epochs = schemas["TrainingOptions"]["properties"]["epochs"]
    number, nothing = epochs["anyOf"]
    assert (number["minimum"], number["maximum"], nothing["type"], epochs.get("default")) == (0, 10_000, "null", None)
    assert schemas["SensitivityRequest"]["properties"]["probes"]["maximum"] == 1000
    assert schemas["OptimizerKind"]["enum"] == ["sgd", "adam", "adamw"]
    steps = schemas["TrainingOptions"]["properties"]["learning_rate_steps"]
    assert steps["items"] == {"$ref": "#/components/schemas/LearningRateStep"}


def test_the_kinds_of_jobs_are_told_apart_by_a_field(document: dict[str, Any]) -> None:
    """Without a discriminator, a generated client chooses the first schema that seems to match."""
    schemas = document["components"]["schemas"]
    properties = schemas["JobAnswer"]["properties"]
    assert properties["request"]["$ref"] == f"{REFERENCE}RequestOfJob"
    assert properties["result"]["anyOf"] == [{"$ref": f"{REFERENCE}JobResult"}, {"type": "null"}]
    for name in ("RequestOfJob", "JobResult"):
        assert schemas[name]["discriminator"]["propertyName"] == "kind"
        assert schemas[name].get("x-nullable", False) is (name == "JobResult")
        assert set(schemas[name]["discriminator"]["mapping"]) == {"training", "sensitivity", "shrink", "fit", "pareto"}
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    mapping = {
        "training": f"{REFERENCE}JobRequest",
        "shrink": f"{REFERENCE}ShrinkJobRequest",
        "fit": f"{REFERENCE}FitJobRequest",
        "pareto": f"{REFERENCE}ParetoJobRequest",
    }
    assert body == {"$ref": f"{REFERENCE}NewJob"}
    assert schemas["NewJob"]["discriminator"] == {"propertyName": "kind", "mapping": mapping}
    assert {each["$ref"] for each in schemas["NewJob"]["oneOf"]} == set(mapping.values())


def test_the_service_serves_the_document(service: LiveService, document: dict[str, Any]) -> None:
    served = service.http.get("/openapi.json").json()
    assert served["paths"].keys() == document["paths"].keys()


def test_whatever_goes_wrong_is_a_problem(service: LiveService) -> None:
    assert_problem(service.http.get("/nothing"), 404, "not-found")
    wrong_method = service.http.put("/v1/jobs")
    assert "/v1/jobs does not support PUT; expected one of" in assert_problem(wrong_method, 405, "method-not-allowed")
    assert set(wrong_method.headers["allow"].split(", ")) >= {"GET", "POST"}
    assert_problem(service.http.get("/v1/jobs?limit=many"), 422, "invalid-request")
    assert_problem(service.http.post("/v1/jobs", content=bytes(2**21)), 413, "too-large")


def test_a_head_that_is_too_long_is_a_problem(service: LiveService) -> None:
    answer = service.http.get("/healthz", headers={"X-Long": "x" * 1_000_000})
    assert "Expected HTTP/1.1 with a head of at most 64 KiB" in assert_problem(answer, 400, "malformed-request")
    assert answer.headers["X-Request-ID"]


def test_every_type_of_problem_leads_somewhere(service: LiveService) -> None:
    listed = service.listed("/problems")
    assert [each["type"] for each in listed] == [kind.type for kind in KINDS]
    for each in listed:
        assert service.http.get(each["type"]).json() == each
    assert_problem(service.http.get("/problems/unknown"), 404, "not-found")


def test_every_error_of_the_caller_has_its_own_type() -> None:
    from api.errors import INVALID_REQUEST, problem_of

    def descendants(kind: type[Exception]) -> Iterator[type[Exception]]:
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                yield child
                yield from descendants(child)

    for error in descendants(errors.BitbudgetError):
        problem = problem_of(error("why"))  # type: ignore[arg-type]  # descendants of BitbudgetError all
        assert problem.detail == "why"
        assert (problem.type == INVALID_REQUEST.type) is (error is errors.RequestError), error


def test_the_index_and_the_health_answer(service: LiveService) -> None:
    index = service.http.get("/").json()
    assert index == service.http.get("/v1").json()
    for path in index["links"].values():
        assert service.http.get(path).is_success, path
    health = service.http.get("/healthz").json()
    assert health["status"] == "ok"
    assert set(health["jobs"]) == {"queued", "running", "cancelling", "succeeded", "failed", "cancelled"}
