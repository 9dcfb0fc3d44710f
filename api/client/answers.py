"""Reading of answers: a client accepts fields that it does not know, because a newer service may send them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from api.client.errors import VersionMismatch
from api.version import version

Answered = TypeVar("Answered")

_UNKNOWN_FIELD: Final = "extra_forbidden"
"""Type of pydantic's error for a field that a model does not have."""

_MAX_PASSES: Final = 20
"""Largest number of times that unknown fields are left out; pydantic lists those of one depth at a time."""


def answer_of(kind: type[Answered], content: bytes, service_version: str) -> Answered:
    """Return the answer that a response contains, without the fields that this client does not know.

    Args:
        kind: Class of the answer.
        content: Body of the response, in JSON.
        service_version: Version of the service, for the error.

    Raises:
        VersionMismatch: If the answer lacks a field, or has a value that this client does not understand.
    """
    adapter: TypeAdapter[Answered] = TypeAdapter(kind)
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        fault = error
    document = _document(content, fault, service_version)
    for _ in range(_MAX_PASSES):
        unknown = [each["loc"] for each in fault.errors(include_url=False) if each["type"] == _UNKNOWN_FIELD]
        found = [_leave_out(document, place) for place in unknown]
        if not any(found):
            break
        try:
            return adapter.validate_json(json.dumps(document))
        except ValidationError as error:
            fault = error
    raise _mismatch(fault, service_version)


def _document(content: bytes, fault: ValidationError, service_version: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise _mismatch(fault, service_version) from None


def _leave_out(document: Any, place: Sequence[int | str]) -> bool:
    """Delete the field at a place of a document, and return whether it was found.

    Pydantic's place of a field also has the tags of unions, which are no keys of the document: they are passed over.
    """
    if not place:
        return False
    key, *rest = place
    if isinstance(document, dict) and key in document:
        if not rest:
            del document[key]
            return True
        if _leave_out(document[key], rest):
            return True
    if isinstance(document, list) and isinstance(key, int) and key < len(document):
        return _leave_out(document[key], rest)
    return _leave_out(document, rest)


def _mismatch(fault: ValidationError, service_version: str) -> VersionMismatch:
    first = fault.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"])) or "the whole answer"
    return VersionMismatch(
        f"the answer of the service is not understood at '{where}': {first['msg']}; {versions(service_version)}: "
        "update the older one"
    )


def versions(service_version: str) -> str:
    """Return the versions of the service and of this client as text, for error messages."""
    return f"the service is bitbudget {service_version}, this client {version()}"
