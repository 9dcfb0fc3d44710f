"""Reception of uploaded files over HTTP: each is written to a temporary file and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import anyio
from fastapi import Query
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from api.errors import TooLarge
from api.http.body_limit import too_large_detail
from api.services.upload_parsing import WEIGHTS_FIELD
from api.storage.uploads import Upload, WeightPart
from network.content_identity import content_id
from network.declared_input import MAX_TEXT_LENGTH
from network.errors import RequestError

FILE_FIELD: Final = "file"
MAX_NAME_LENGTH: Final = 80
MAX_WEIGHT_FILES: Final = 256
"""Largest number of files of weights in one upload."""
MAX_FORM_FIELDS: Final = 8
"""Largest number of parts of a form that are not files; the service reads none of them."""
_CHUNK_BYTES: Final = 2**20
_SUFFIXES: Final = (".onnx", ".tflite", ".json", ".npz", ".parquet", ".tar")

UploadName = Annotated[
    str | None,
    Query(max_length=4 * MAX_NAME_LENGTH, description="name for reports; without it, the name of the uploaded file"),
]
"""Query parameter `name` of an upload."""

InputMean = Annotated[
    str | None,
    Query(
        max_length=MAX_TEXT_LENGTH,
        description="number to subtract from each sample, or one for each channel with commas between them, if the "
        "file does not contain the normalisation of the samples: its input is (sample - input_mean) * input_scale",
        examples=["123.675,116.28,103.53"],
    ),
]
"""Query parameter `input_mean` of the upload of a network."""

InputScale = Annotated[
    str | None,
    Query(
        max_length=MAX_TEXT_LENGTH,
        description="number to multiply the difference with, not 0, or one for each channel",
        examples=["0.00784313725490196"],
    ),
]
"""Query parameter `input_scale` of the upload of a network."""

_FILE_SCHEMA: Final = {"type": "string", "format": "binary", "description": "content of the file"}
_WEIGHTS_SCHEMA: Final = {
    "type": "array",
    "maxItems": MAX_WEIGHT_FILES,
    "items": {"type": "string", "format": "binary"},
    "description": "files in which an ONNX file keeps weights; the file name of each part is the name (location) that "
    "the ONNX file gives, without a path",
}


def request_body(*, has_weights: bool = False) -> dict[str, Any]:
    """Return the request body of an upload in the OpenAPI document: a form with files, or the content of one file.

    Args:
        has_weights: Whether the form can have files of weights.
    """
    properties = {FILE_FIELD: _FILE_SCHEMA} | ({WEIGHTS_FIELD: _WEIGHTS_SCHEMA} if has_weights else {})
    return {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": properties,
                    "additionalProperties": False,
                },
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }


@asynccontextmanager
async def receive(
    request: Request, incoming: Path, file_name: str, max_bytes: int, name: str | None, *, has_weights: bool = False
) -> AsyncIterator[Upload]:
    """Write the files of an HTTP upload to temporary files, which are deleted at the end of the context unless moved.

    Args:
        request: The request: a multipart form with the part `file`, or any other body, which is the file itself.
        incoming: Directory for files that are being received.
        file_name: Name of the temporary file, which can appear in error messages.
        max_bytes: Largest size of all files together, in bytes.
        name: Name that the caller gave; None to use the file name in the form.
        has_weights: Whether the form can have files of weights.

    Raises:
        RequestError: If the form has no file, has parts of other names, or has files of weights that have no name or
            the same name.
        TooLarge: If the files are larger than `max_bytes`.
    """
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=1 + has_weights * MAX_WEIGHT_FILES, max_fields=MAX_FORM_FIELDS) as form:
            file, *weights = _files_of(form, has_weights=has_weights)
            async with receive_parts(file, weights, incoming, file_name, max_bytes, name) as upload:
                yield upload
        return
    with TemporaryDirectory(dir=incoming) as directory:
        path = Path(directory) / file_name
        digest, size_bytes = await _write(path, request.stream(), max_bytes)
        yield Upload(path, digest, size_bytes, display_name(name or "") or digest[:12])


@asynccontextmanager
async def receive_parts(
    file: UploadFile, others: Sequence[UploadFile], incoming: Path, file_name: str, max_bytes: int, name: str | None
) -> AsyncIterator[Upload]:
    """Write parts of a form to temporary files, which are deleted at the end of the context unless moved.

    Args:
        file: Part with the file.
        others: Parts with its files of weights.
        incoming: Directory for files that are being received.
        file_name: Name of the temporary file, which can appear in error messages.
        max_bytes: Largest size of all files together, in bytes.
        name: Name that the caller gave; None to use the file name in the form.

    Raises:
        RequestError: If there are files of weights that have no name or the same name.
        TooLarge: If the files are larger than `max_bytes`.
    """
    _check_weights(others)
    weights: tuple[WeightPart, ...] = ()
    with TemporaryDirectory(dir=incoming) as directory:
        path = Path(directory) / file_name
        digest, size_bytes = await _write(path, _chunks(file), max_bytes)
        for number, each in enumerate(others):
            weights_path = path.with_name(f"weights-{number}")
            allowed = max_bytes - size_bytes - sum(file.size_bytes for file in weights)
            written = await _write(weights_path, _chunks(each), allowed, max_bytes)
            weights += (WeightPart(weights_path, *written, each.filename or ""),)
        identity = content_id(digest, ((each.name, each.digest) for each in weights))
        total_bytes = size_bytes + sum(each.size_bytes for each in weights)
        yield Upload(path, identity, total_bytes, display_name(name or file.filename or "") or digest[:12], weights)


def _files_of(form: FormData, *, has_weights: bool) -> list[UploadFile]:
    """Return the part with the file of a form, then the parts with files of weights.

    Raises:
        RequestError: If the parts are not one file and files of weights with different names.
    """
    files = [part for part in form.getlist(FILE_FIELD) if isinstance(part, UploadFile)]
    if len(files) != 1:
        raise RequestError(
            f"the multipart form has {'no file' if not files else f'{len(files)} files'}; expected one part "
            f"'{FILE_FIELD}' with a file name"
        )
    known = {FILE_FIELD, WEIGHTS_FIELD} if has_weights else {FILE_FIELD}
    for field, part in form.multi_items():
        if isinstance(part, UploadFile) and field not in known:
            raise RequestError(
                f"the multipart form has a file in the part '{field[:80]}'; expected files only in the parts "
                f"{' and '.join(map(repr, sorted(known)))}"
            )
    weights = form.getlist(WEIGHTS_FIELD) if has_weights else []
    for part in weights:
        if not isinstance(part, UploadFile):
            raise _nameless()
        files.append(part)
    return files


def _check_weights(parts: Sequence[UploadFile]) -> None:
    """Check that the files of weights of a form have different names.

    Raises:
        RequestError: If one has no name, or two have the same.
    """
    names: set[str] = set()
    for part in parts:
        if not part.filename:
            raise _nameless()
        if part.filename in names:
            raise RequestError(
                f"two parts '{WEIGHTS_FIELD}' of the multipart form are named '{part.filename[:80]}'; expected each "
                "file of weights once"
            )
        names.add(part.filename)


def _nameless() -> RequestError:
    return RequestError(
        f"a part '{WEIGHTS_FIELD}' of the multipart form has no file name; expected the name under which the ONNX file "
        'refers to it, such as filename="model.onnx.data"'
    )


def display_name(file_name: str) -> str:
    """Return a file name without folders and suffix: 'C:\\\\models\\\\spotter 1.2.onnx' -> 'spotter 1.2'."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = base.rsplit(".", 1)[0] if base.lower().endswith(_SUFFIXES) else base
    return "".join(letter for letter in stem if letter.isprintable()).strip()[:MAX_NAME_LENGTH]


async def _write(
    path: Path, chunks: AsyncIterator[bytes], max_bytes: int, limit_bytes: int | None = None
) -> tuple[str, int]:
    """Write a file; return its SHA-256 in hexadecimal and its size in bytes.

    Args:
        path: The new file.
        chunks: Content of the file.
        max_bytes: Largest size of this file, in bytes.
        limit_bytes: Limit of all files, for the error message; None if it is `max_bytes`.

    Raises:
        TooLarge: If the file is larger than `max_bytes`.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    async with await anyio.open_file(path, "xb") as file:
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise TooLarge(too_large_detail(limit_bytes or max_bytes))
            digest.update(chunk)
            await file.write(chunk)
    return digest.hexdigest(), size_bytes


async def _chunks(part: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await part.read(_CHUNK_BYTES):
        yield chunk
