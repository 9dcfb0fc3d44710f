"""Reception of uploaded files over HTTP: each is written to a temporary file and hashed while it arrives."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import anyio
from fastapi import Query
from starlette.datastructures import UploadFile
from starlette.requests import Request

from api.errors import TooLarge
from api.http.body_limit import too_large_detail
from api.storage.uploads import Upload
from network.declared_input import MAX_TEXT_LENGTH
from network.errors import RequestError

FILE_FIELD: Final = "file"
MAX_NAME_LENGTH: Final = 80
_CHUNK_BYTES: Final = 2**20

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

REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": [FILE_FIELD],
                "properties": {
                    FILE_FIELD: {"type": "string", "format": "binary", "description": "content of the file"}
                },
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
"""Request body of uploads in the OpenAPI document: a form with a file, or the content of the file itself."""


@asynccontextmanager
async def receive(
    request: Request, incoming: Path, file_name: str, max_bytes: int, name: str | None
) -> AsyncIterator[Upload]:
    """Write the file of an HTTP upload to a temporary file, which is deleted at the end of the context unless moved.

    Args:
        request: The request: a multipart form with the part `file`, or any other body, which is the file itself.
        incoming: Directory for files that are being received.
        file_name: Name of the temporary file, which can appear in error messages.
        max_bytes: Largest size of the file, in bytes.
        name: Name that the caller gave; None to use the file name in the form.

    Raises:
        RequestError: If the form has no file.
        TooLarge: If the file is larger than `max_bytes`.
    """
    with TemporaryDirectory(dir=incoming) as directory:
        path = Path(directory) / file_name
        if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=8) as form:
                part = form.get(FILE_FIELD)
                if not isinstance(part, UploadFile):
                    raise RequestError(
                        f"the multipart form has no file; expected a part '{FILE_FIELD}' with a file name"
                    )
                digest, size_bytes = await _write(path, _chunks(part), max_bytes)
                own_name = part.filename or ""
        else:
            digest, size_bytes = await _write(path, request.stream(), max_bytes)
            own_name = ""
        yield Upload(path, digest, size_bytes, display_name(name or own_name) or digest[:12])


def display_name(file_name: str) -> str:
    """Return a file name without folders and suffix: 'C:\\\\models\\\\keyword spotter.onnx' -> 'keyword spotter'."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    stem = base.rsplit(".", 1)[0] if "." in base.strip(".") else base
    return "".join(letter for letter in stem if letter.isprintable()).strip()[:MAX_NAME_LENGTH]


async def _write(path: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> tuple[str, int]:
    digest = hashlib.sha256()
    size_bytes = 0
    async with await anyio.open_file(path, "xb") as file:
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > max_bytes:
                raise TooLarge(too_large_detail(max_bytes))
            digest.update(chunk)
            await file.write(chunk)
    return digest.hexdigest(), size_bytes


async def _chunks(part: UploadFile) -> AsyncIterator[bytes]:
    while chunk := await part.read(_CHUNK_BYTES):
        yield chunk
