"""What an OpenAPI document says about the service as a whole: licence, servers, security, and headers of responses."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from api.errors import (
    CROSS_ORIGIN,
    FORBIDDEN,
    RATE_LIMITED,
    TOO_LARGE,
    UNAUTHORIZED,
    WRONG_HOST,
    ProblemKind,
)
from api.http.handlers.dependencies import problems
from api.http.security.scopes import OPEN_PATHS, REQUIRED_SCOPES
from api.logs import REQUEST_ID_HEADER
from api.schemas.answer import SHA256_PATTERN
from api.services.access import SCOPE_MEANINGS, Scope
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
    ("createUpload", "201"): _LOCATION,
    ("getArtifact", "200"): _ETAG,
    ("getArtifact", "206"): _ETAG,
    ("getArtifact", "304"): _ETAG,
}
"""Name of an operation and status -> headers of the response."""

_PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "network_id": {"pattern": SHA256_PATTERN},
    "job_id": {"pattern": "^[0-9a-f]{32}$"},
    "tus-resumable": {"const": "1.0.0"},
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

_CHALLENGE: Final = {
    "WWW-Authenticate": {
        "description": "how a caller shows who it is (RFC 6750)",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="bitbudget"']},
    }
}
_REQUEST_ID: Final = {
    "description": "identifier of the request, which the caller has sent or the service has made; the log has it, too",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 128, "examples": ["build-42"]},
}


def _common(*kinds: ProblemKind) -> dict[str, Any]:
    """Return the response with some kinds of problems, which have one status."""
    [response, _] = problems(kinds[0].status).values()
    return response | {"description": "; ".join(f"`{kind.type}` {kind.title}" for kind in kinds)}


_COMMON_OF_OPEN: Final = {
    CROSS_ORIGIN.status: _common(CROSS_ORIGIN),
    TOO_LARGE.status: _common(TOO_LARGE),
    WRONG_HOST.status: _common(WRONG_HOST),
}
"""Status -> response of the middleware to a request for any operation."""
_COMMON_OF_KEYS: Final = {
    UNAUTHORIZED.status: _common(UNAUTHORIZED) | {"headers": _CHALLENGE},
    FORBIDDEN.status: _common(FORBIDDEN, CROSS_ORIGIN),
    RATE_LIMITED.status: _common(RATE_LIMITED),
}
"""The same for an operation that needs a key, as soon as the service has one."""

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
            "description": "Key that `bitbudget keys create` has made (bb_ID_SECRET), or token of the identity "
            "provider. A service without keys and without a provider needs none. Each operation names the scope that "
            "the key or the token must have: "
            + "; ".join(f"`{scope}` ({meaning})" for scope, meaning in SCOPE_MEANINGS.items()),
        }
    }
    document["security"] = [{}, {"bearer": []}]
    document["tags"].sort(key=lambda tag: tag["name"])
    document["components"]["headers"] = {REQUEST_ID_HEADER: _REQUEST_ID}
    for path, item in document["paths"].items():
        for operation in item.values():
            _complete_operation(operation, is_open=path in OPEN_PATHS)


def _complete_operation(operation: dict[str, Any], *, is_open: bool) -> None:
    """Add to an operation the problems that middleware answers, the headers of its responses, and its examples.

    Args:
        operation: The operation.
        is_open: Whether it needs no key.
    """
    common = _COMMON_OF_OPEN if is_open else _COMMON_OF_OPEN | _COMMON_OF_KEYS
    responses = {f"{status}": deepcopy(each) for status, each in common.items()} | operation["responses"]
    operation["responses"] = dict(sorted(responses.items()))
    scope = REQUIRED_SCOPES.get(operation["operationId"], Scope.ADMIN)
    if scope is None:
        operation["security"] = []
    else:  # in `security`, linters and generators know scopes of OAuth alone
        operation["x-scope"] = str(scope)
        operation["description"] = f"{operation['description']}\n\nThe key needs the scope `{scope}`."
    for parameter in operation.get("parameters", ()):
        key = parameter["name"].lower()
        parameter["schema"] |= _PARAMETERS.get(key, {})
        if "const" in parameter["schema"]:  # the handler has a default, so that it can answer in its own words
            parameter["required"] = True
            parameter["schema"].pop("default", None)
        if key in _PARAMETER_EXAMPLES:
            parameter["example"] = _PARAMETER_EXAMPLES[key]
    for status, response in operation["responses"].items():
        if status in _SUCCESSES and response["description"] == "Successful Response":
            response["description"] = _SUCCESSES[status]
        added = _HEADERS.get((operation["operationId"], status), {})
        if status != "default":  # an answer to a fault of the service may lack it
            added = added | {REQUEST_ID_HEADER: {"$ref": f"#/components/headers/{REQUEST_ID_HEADER}"}}
        response["headers"] = response.get("headers", {}) | added
        if not response["headers"]:
            del response["headers"]
