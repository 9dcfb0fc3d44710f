"""Reading of answers: a client accepts fields that it does not know, because a newer service may send them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from api.client.errors import VersionMismatch
from api.version import version

Answered = TypeVar("Answered")

_UNKNOWN_FIELD: Final = "extra_forbidden"
"""Type of pydantic's error for a field that a model does not have."""

_MISSING_FIELD: Final = "missing"
"""Type of pydantic's error for a field that a model requires."""

_MAX_PASSES: Final = 20
"""Largest number of times that a document is adapted; what pydantic finds may become visible step by step."""


def answer_of(kind: type[Answered], content: bytes, service_version: str) -> Answered:
    """Return the answer that a response contains, without the fields that this client does not know.

    A field that an older service does not send is null, if it can be null.

    Args:
        kind: Class of the answer.
        content: Body of the response, in JSON.
        service_version: Version of the service, for the error.

    Raises:
        VersionMismatch: If the answer lacks a field that cannot be null, or has a value that this client does not know.
    """
    adapter: TypeAdapter[Answered] = TypeAdapter(kind)
    try:
        return adapter.validate_json(content)
    except ValidationError as error:
        first = fault = error
    document = _document(content, fault, service_version)
    for _ in range(_MAX_PASSES):
        changed = [_adapted(document, each["type"], each["loc"]) for each in fault.errors(include_url=False)]
        if not any(changed):
            break
        try:
            return adapter.validate_json(json.dumps(document))
        except ValidationError as error:
            fault = error
    raise _mismatch(first, service_version)


def _adapted(document: Any, fault: str, place: Sequence[int | str]) -> bool:
    """Adapt a document to a field that one version has and the other does not, and return whether it was changed."""
    if fault == _UNKNOWN_FIELD:
        return _leave_out(document, place)
    return fault == _MISSING_FIELD and _set_to_null(document, place)


def _document(content: bytes, fault: ValidationError, service_version: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise _mismatch(fault, service_version) from None


def _leave_out(document: Any, place: Sequence[int | str]) -> bool:
    """Delete the field at a place of a document, and return whether it was found."""
    for parent in _parents(document, place):
        if isinstance(parent, dict) and place[-1] in parent:
            del parent[place[-1]]
            return True
    return False


def _set_to_null(document: Any, place: Sequence[int | str]) -> bool:
    """Set the missing field at a place of a document to null, and return whether its object was found."""
    for parent in _parents(document, place):
        if isinstance(parent, dict) and place[-1] not in parent:
            parent[place[-1]] = None
            return True
    return False


def _parents(document: Any, place: Sequence[int | str]) -> Iterator[Any]:
    """Yield what the field at a place can be a field of, the most likely first.

    Pydantic's place of a field also has the tags of unions, which are no keys of the document: they are passed over.
    """
    if len(place) < 2:
        yield document
        return
    key, *rest = place
    if isinstance(document, dict) and key in document:
        yield from _parents(document[key], rest)
    elif isinstance(document, list) and isinstance(key, int) and key < len(document):
        yield from _parents(document[key], rest)
        return
    yield from _parents(document, rest)


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
