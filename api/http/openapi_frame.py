"""What an OpenAPI document says about the service as a whole: licence, servers, security, and headers of responses."""

from __future__ import annotations

from typing import Any, Final

from api.errors import TOO_LARGE
from api.http.handlers.dependencies import problems
from api.http.openapi_nodes import operations
from api.schemas.answer import SHA256_PATTERN
from api.services.jobs import MAX_KEY_LENGTH

_SHA256_TAG: Final = '^"[0-9a-f]{64}"$'

_LOCATION: Final = {
    "Location": {
        "description": "path of the network, dataset or job",
        "required": True,
        "schema": {
            "type": "string",
            "format": "uri-reference",
            "examples": ["/v1/jobs/5f0c6a1d0b7e4f3f9d0f4f7f3c1b2a3d"],
        },
    }
}
_ETAG: Final = {
    "ETag": {
        "description": "SHA-256 of the content, in hexadecimal between double quotes",
        "required": True,
        "schema": {"type": "string", "pattern": _SHA256_TAG},
    }
}
_HEADERS: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("uploadNetwork", "200"): _LOCATION,
    ("uploadNetwork", "201"): _LOCATION,
    ("uploadDataset", "200"): _LOCATION,
    ("uploadDataset", "201"): _LOCATION,
    ("createJob", "202"): _LOCATION,
    ("measureSensitivity", "202"): _LOCATION,
    ("getArtifact", "200"): _ETAG,
    ("getArtifact", "304"): _ETAG,
}
"""Name of an operation and status -> headers of the response."""

_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "network_id": {"pattern": SHA256_PATTERN},
    "job_id": {"pattern": "^[0-9a-f]{32}$"},
    "idempotency-key": {"minLength": 1, "maxLength": MAX_KEY_LENGTH},
}
"""Name of a parameter -> what its schema says beside its type. The service answers another identifier with 404."""

_PARAMETER_EXAMPLES: Final = {
    "network_id": "f719d86eaf3c0f1812ae862ec2f05d94612f68961cdd98a5a643ea0710174b55",  # examples/digits/digits.onnx
    "job_id": "64c30fc6784c4ee7b09e25090bba1b9c",
    "dataset_id": "digits",
    "idempotency-key": "build-42",
    "slug": "not-found",
}
"""Name of a parameter -> example of its value."""

_SUCCESSES: Final = {
    "200": "The answer",
    "201": "The content is new, and was stored",
    "202": "The request was accepted",
    "204": "It is deleted",
}
"""Status -> description of a response for which its handler has none."""


def complete_frame(document: dict[str, Any]) -> None:
    """Complete what an OpenAPI document says about the service as a whole."""
    document["info"]["license"] = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
    document["servers"] = [{"url": "/", "description": "The service that has sent this document"}]
    document["components"]["securitySchemes"] = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "Key of a caller, in the header `Authorization: Bearer KEY`",
        }
    }
    document["security"] = [{}, {"bearer": []}]
    document["tags"].sort(key=lambda tag: tag["name"])
    for operation in operations(document):
        name, responses = operation["operationId"], operation["responses"]
        # The limit on bodies is checked before anything else, whatever the operation.
        responses |= {
            f"{status}": each for status, each in problems(TOO_LARGE.status).items() if f"{status}" not in responses
        }
        operation["responses"] = responses = dict(sorted(responses.items()))
        for parameter in operation.get("parameters", ()):
            key = parameter["name"].lower()
            parameter["schema"] |= _PARAMETERS.get(key, {})
            if key in _PARAMETER_EXAMPLES:
                parameter["example"] = _PARAMETER_EXAMPLES[key]
        for status, response in responses.items():
            if status in _SUCCESSES and response["description"] == "Successful Response":
                response["description"] = _SUCCESSES[status]
            if added := _HEADERS.get((name, status)):
                response["headers"] = response.get("headers", {}) | added
