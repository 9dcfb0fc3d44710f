"""Handlers of the HTTP resources under /v1/uploads: datasets that arrive in pieces, by the protocol tus 1.0."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from api.errors import UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_VERSION, ServiceError
from api.http.handlers.dependencies import ServiceOf, problems
from api.http.resumable_uploads import CHECKSUMS
from api.schemas.uploads import PartialUploadAnswer
from api.storage.partial_uploads import PartialUpload
from network.errors import RequestError

VERSION: Final = "1.0.0"
"""Version of the protocol tus."""
PIECE: Final = "application/offset+octet-stream"
"""Media type of a piece."""

_OF_VERSION: Final = {"Tus-Resumable": VERSION, "Tus-Version": VERSION}


class UnsupportedVersion(ServiceError):
    """Error: the request names another version of tus, or none."""

    kind = UNSUPPORTED_VERSION
    headers = _OF_VERSION


class UnsupportedMediaType(ServiceError):
    """Error: the body of the request has another media type."""

    kind = UNSUPPORTED_MEDIA_TYPE


async def _check_version(
    response: Response, tus_resumable: Annotated[str, Header(description="version of the protocol tus: 1.0.0")] = ""
) -> None:
    if tus_resumable != VERSION:
        raise UnsupportedVersion(
            f"the header Tus-Resumable is {tus_resumable[:20]!r}; expected {VERSION}, the version of the protocol "
            "tus that the service speaks"
        )
    response.headers["Tus-Resumable"] = VERSION


router = APIRouter(prefix="/v1/uploads", tags=["datasets"])

UploadId = Annotated[str, Path(description="identifier of an upload, as the Location of createUpload ends")]
_SPEAKS: Final = [Depends(_check_version)]


@router.options("", operation_id="describeUploads", status_code=204, responses=problems())
async def describe_uploads(response: Response, service: ServiceOf) -> None:
    """Say in headers what the service can do with the protocol tus: version, extensions, largest file, checksums."""
    response.headers.update(
        _OF_VERSION
        | {
            "Tus-Extension": "creation,expiration,checksum,termination",
            "Tus-Max-Size": str(service.settings.max_dataset_bytes),
            "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
        }
    )


@router.post(
    "",
    operation_id="createUpload",
    status_code=201,
    dependencies=_SPEAKS,
    responses=problems(412, 413, 422, 429, 507),
)
async def create_upload(
    response: Response,
    service: ServiceOf,
    upload_length: Annotated[int, Header(ge=1, le=2**53, description="size of the whole file, in bytes")],
    upload_metadata: Annotated[
        str,
        Header(
            max_length=4096,
            description="filename or name, then a space and the name of the dataset in base64",
            examples=["filename ZGF0YS5ucHo="],
        ),
    ] = "",
) -> PartialUploadAnswer:
    """Begin the upload of a dataset that arrives in pieces; the clients of tus do this and what follows."""
    metadata = _metadata(upload_metadata)
    name = metadata.get("name") or metadata.get("filename", "")
    upload = await service.uploads.create(upload_length, name)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return _described(upload, response)


@router.get("/{upload_id}", operation_id="getUpload", responses=problems(404))
async def get_upload(upload_id: UploadId, response: Response, service: ServiceOf) -> PartialUploadAnswer:
    """Return how much of an upload has arrived, and the dataset after its end; HEAD has it in Upload-Offset."""
    response.headers["Tus-Resumable"] = VERSION
    return _described(await service.uploads.state(upload_id), response)


@router.patch(
    "/{upload_id}",
    operation_id="appendUpload",
    status_code=204,
    dependencies=_SPEAKS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {PIECE: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    responses=problems(404, 409, 412, 413, 415, 422, 429, 460, 503, 507),
)
async def append_upload(
    upload_id: UploadId,
    request: Request,
    response: Response,
    service: ServiceOf,
    upload_offset: Annotated[int, Header(ge=0, le=2**53, description="number of bytes that have arrived before")],
    upload_checksum: Annotated[
        str | None,
        Header(description=f"checksum of the piece: {', '.join(CHECKSUMS)}, then a space and its value in base64"),
    ] = None,
) -> None:
    """Append a piece to an upload; the one that completes the file is answered when the dataset is stored."""
    if request.headers.get("content-type", "") != PIECE:
        raise UnsupportedMediaType(
            f"the piece has the media type {request.headers.get('content-type', '')[:80]!r}; expected {PIECE}"
        )
    upload = await service.uploads.append(upload_id, upload_offset, _checksum(upload_checksum), request)
    _described(upload, response)


@router.delete(
    "/{upload_id}", operation_id="deleteUpload", status_code=204, dependencies=_SPEAKS, responses=problems(404, 412)
)
async def delete_upload(upload_id: UploadId, service: ServiceOf) -> None:
    """Delete an upload that has not ended; a dataset that was stored stays."""
    await service.uploads.delete(upload_id)


def _described(upload: PartialUpload, response: Response) -> PartialUploadAnswer:
    """Return the state of an upload, after it was written into the headers of a response."""
    expires_at = datetime.fromtimestamp(upload.expires_at, UTC)
    response.headers.update(
        {
            "Cache-Control": "no-store",
            "Upload-Offset": str(upload.received_bytes),
            "Upload-Length": str(upload.length_bytes),
            "Upload-Expires": format_datetime(expires_at, usegmt=True),
        }
    )
    if upload.stored_id is not None:
        response.headers["Content-Location"] = f"/v1/datasets/{upload.stored_id}"
    return PartialUploadAnswer(
        id=upload.id,
        name=upload.name,
        length_bytes=upload.length_bytes,
        received_bytes=upload.received_bytes,
        expires_at=expires_at,
        dataset_id=upload.stored_id,
    )


def _metadata(header: str) -> dict[str, str]:
    """Return the values of the header Upload-Metadata: pairs of a name and a text in base64, with commas between them.

    Raises:
        RequestError: If a value is not base64.
    """
    values = {}
    for pair in filter(None, map(str.strip, header.split(","))):
        name, _, encoded = pair.partition(" ")
        values[name] = _decoded(encoded, "Upload-Metadata").decode(errors="replace")
    return values


def _checksum(header: str | None) -> tuple[str, bytes] | None:
    if header is None:
        return None
    name, _, encoded = header.partition(" ")
    if name not in CHECKSUMS:
        raise RequestError(
            f"the header Upload-Checksum names {name[:20]!r}; expected one of {', '.join(CHECKSUMS)}, a space and the "
            "value in base64"
        )
    return name, _decoded(encoded, "Upload-Checksum")


def _decoded(encoded: str, header: str) -> bytes:
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise RequestError(f"the header {header} has {encoded[:40]!r}; expected base64") from None
