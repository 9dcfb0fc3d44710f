"""Forms with files in an OpenAPI document, as generators of clients understand them.

FastAPI describes a form whose files are declared beside other parts as urlencoded, and a file by its media type alone.
"""

from __future__ import annotations

from typing import Any, Final

from api.http.openapi_nodes import component_of, operations

_URLENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"


def complete_forms(document: dict[str, Any]) -> None:
    """Describe each form as multipart, its files as binary, and its parts with JSON by their schema."""
    schemas = document["components"]["schemas"]
    for operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for media_type in (_URLENCODED, _MULTIPART):
            name = component_of(content.get(media_type, {}).get("schema", {}))
            if name in schemas:
                form = schemas.pop(name)
                del form["title"]
                del content[media_type]
                content[_MULTIPART] = {"schema": form, "encoding": _complete_parts(form)}


def _complete_parts(form: dict[str, Any]) -> dict[str, Any]:
    """Describe the parts of a form in place, and return the media type of each part that is not a file."""
    encoding = {}
    for name, part in form["properties"].items():
        kinds = [each for each in part.pop("anyOf", ()) if each.get("type") != "null"]
        if len(kinds) == 1:  # a part that may be left out is not null
            part.update(kinds[0])
        part.pop("default", None)
        for each in (part, part.get("items", {})):
            if each.pop("contentMediaType", None) == "application/octet-stream":
                each["format"] = "binary"
        if (schema := part.pop("contentSchema", None)) is not None:
            del part["type"]
            part.update(schema)
            encoding[name] = {"contentType": "application/json"}
    return encoding
