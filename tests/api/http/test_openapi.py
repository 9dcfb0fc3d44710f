"""The OpenAPI document is one that client generators understand, and says what the service does."""

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
    assert used == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def test_errors_are_problems_everywhere(document: dict[str, Any]) -> None:
    assert not any("ValidationError" in name for name in document["components"]["schemas"])
    for what, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (what, status)
                assert response["description"], (what, status)
            elif status not in {"204", "304"}:
                assert response["content"], (what, status)


def test_uploads_and_artifacts_are_bytes(document: dict[str, Any]) -> None:
    for path in ("/v1/networks", "/v1/datasets"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        file = content["multipart/form-data"]["schema"]["properties"]["file"]
        assert (file["type"], file["format"]) == ("string", "binary")
        assert content["application/octet-stream"]["schema"]["format"] == "binary"
    artifact = document["paths"]["/v1/jobs/{job_id}/artifacts/{name}"]["get"]["responses"]["200"]
    assert artifact["content"] == {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def test_every_field_of_an_answer_says_what_it_is(document: dict[str, Any]) -> None:
    for name in (
        "FitAnswer", "LayerMemory", "StepMemory", "CertificateAnswer", "TrainingOptions", "AccuracyAnswer",
        "RegionAnswer", "LatencyAnswer", "DeviceFit", "DeviceAnswer", "ParetoAnswer", "ParetoPointAnswer",
        "SensitivityReport", "FitRequest", "DevicesRequest", "ParetoRequest", "SensitivityRequest", "LearningRateStep",
        "PostTrainingOptions", "AugmentationOptions", "TensorOverride",
    ):  # fmt: skip
        for field, schema in document["components"]["schemas"][name]["properties"].items():
            assert schema.get("description") or "$ref" in schema, f"{name}.{field}"
            if field.endswith("_bytes"):
                assert "bytes" in schema["description"], f"{name}.{field}"


def test_options_have_their_bounds_and_names(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    epochs = schemas["TrainingOptions"]["properties"]["epochs"]
    assert (epochs["minimum"], epochs["maximum"], epochs["default"]) == (0, 10_000, 3)
    assert schemas["SensitivityRequest"]["properties"]["probes"]["maximum"] == 1000
    assert schemas["OptimizerKind"]["enum"] == ["sgd", "adam", "adamw"]
    steps = schemas["TrainingOptions"]["properties"]["learning_rate_steps"]
    assert steps["items"] == {"$ref": "#/components/schemas/LearningRateStep"}


def test_the_two_kinds_of_jobs_are_told_apart_by_a_field(document: dict[str, Any]) -> None:
    """Without a discriminator a generated client takes the first form that seems to match."""
    schemas = document["components"]["schemas"]
    request = schemas["JobAnswer"]["properties"]["request"]
    assert request["discriminator"]["propertyName"] == "kind"
    assert set(request["discriminator"]["mapping"]) == {"training", "sensitivity"}
    result = next(each for each in schemas["JobAnswer"]["properties"]["result"]["anyOf"] if "oneOf" in each)
    assert set(result["discriminator"]["mapping"]) == {"training", "sensitivity"}


def test_the_service_serves_the_document(service: LiveService, document: dict[str, Any]) -> None:
    served = service.http.get("/openapi.json").json()
    assert served["paths"].keys() == document["paths"].keys()


def test_whatever_goes_wrong_is_a_problem(service: LiveService) -> None:
    assert_problem(service.http.get("/nothing"), 404, "not-found")
    wrong_method = service.http.put("/v1/jobs")
    assert "PUT /v1/jobs" in assert_problem(wrong_method, 405, "method-not-allowed")
    assert set(wrong_method.headers["allow"].split(", ")) >= {"GET", "POST"}
    assert_problem(service.http.get("/v1/jobs?limit=many"), 422, "invalid-request")
    assert_problem(service.http.post("/v1/jobs", content=bytes(2**21)), 413, "too-large")


def test_every_type_of_problem_leads_somewhere(service: LiveService) -> None:
    listed = service.http.get("/problems").json()
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


def test_another_versions_database_is_refused(tmp_path: Path) -> None:
    from api.storage.database import SCHEMA_VERSION, Store, StoreError

    path = tmp_path / "bitbudget.sqlite"
    store = Store(path)
    with store._engine.begin() as connection:
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    store.close()
    with pytest.raises(StoreError, match="later version"):
        Store(path)
