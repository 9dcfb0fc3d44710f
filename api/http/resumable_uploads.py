"""Datasets that arrive in pieces, by the protocol tus 1.0 (https://tus.io/protocols/resumable-upload).

    POST   /v1/uploads          Upload-Length, Upload-Metadata          201, Location
    HEAD   /v1/uploads/{id}                                             Upload-Offset: continue there
    PATCH  /v1/uploads/{id}     Upload-Offset, perhaps Upload-Checksum  204, the new Upload-Offset

The piece that completes the file is answered when the dataset is read and stored, or refused. Bytes of a piece without
a checksum count as they arrive; a piece with one counts as a whole, or not at all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request

from api.errors import CHECKSUM_MISMATCH, UPLOAD_CONFLICT, Busy, NotFound, ReadingLimit, ServiceError, TooLarge
from api.execution.reading import Reads
from api.http.disconnects import while_connected
from api.http.uploads import display_name
from api.schemas.datasets import DatasetAnswer
from api.settings import Settings
from api.storage.partial_uploads import PartialUpload, PartialUploads
from api.storage.uploads import Upload
from network.errors import DatasetError

MAX_OPEN_UPLOADS: Final = 64
"""Largest number of uploads of one project that have begun and not ended."""
CHECKSUMS: Final = ("sha256", "sha1", "md5")
"""Names of the checksums that a piece may have; clients of tus expect sha1."""
_RETRY_SECONDS: Final = 60
_BUFFER_BYTES: Final = 2**20


Appending = dict[str, anyio.CancelScope]


class UploadConflict(ServiceError):
    """Error: the piece does not begin where the upload ends, or another request has continued the upload."""

    kind = UPLOAD_CONFLICT


class ChecksumMismatch(ServiceError):
    """Error: the bytes of a piece have another checksum than its header says."""

    kind = CHECKSUM_MISMATCH


class ResumableUploads:
    """Uploads of the datasets of a project that arrive in pieces, for the event loop of the service.

    Args:
        project: Name of the project.
        settings: Settings of the service, with the limits and directories.
        reads: Reading of datasets.
        kept: Unfinished uploads of all projects.
        appending: Scope of the request that appends to each upload at the moment, by the identifier of the upload; all
            projects share it.
    """

    def __init__(
        self, project: str, settings: Settings, reads: Reads, kept: PartialUploads, appending: Appending
    ) -> None:  # fmt: skip
        self._project = project
        self._settings = settings
        self._reads = reads
        self._kept = kept
        self._appending = appending

    async def create(self, length_bytes: int, name: str) -> PartialUpload:
        """Create an upload of which nothing has arrived; this also deletes uploads that have expired.

        Args:
            length_bytes: Size of the whole file, in bytes; at least 1.
            name: Name that the caller gave; it may be empty.

        Raises:
            TooLarge: If the file is larger than a dataset may be.
            Busy: If the project has too many uploads that have not ended.
            QuotaExceeded: If the quota of the project has no room for the file now.
        """
        limit_bytes = self._settings.max_dataset_bytes
        if length_bytes > limit_bytes:
            raise TooLarge(
                f"the file has {length_bytes} bytes; expected at most {limit_bytes}, the limit of the service"
            )

        def create() -> PartialUpload:
            self._reads.require_room_for_dataset(length_bytes)
            self._kept.delete_expired()
            if self._kept.count(self._project) >= MAX_OPEN_UPLOADS:
                raise Busy(
                    f"{MAX_OPEN_UPLOADS} uploads have begun and not ended; end or delete them, or wait until "
                    "they expire",
                    _RETRY_SECONDS,
                )
            return self._kept.create(self._project, length_bytes, name)

        return await to_thread.run_sync(create)

    async def state(self, upload_id: str) -> PartialUpload:
        """Return the state of an upload.

        Args:
            upload_id: Identifier of the upload.

        Raises:
            NotFound: If the upload does not exist or has expired.
        """
        upload = await to_thread.run_sync(self._kept.find, self._project, upload_id)
        if upload is None:
            raise NotFound(
                f"the upload {upload_id[:64]!r} does not exist or has expired; begin a new one with POST /v1/uploads"
            )
        return upload

    async def delete(self, upload_id: str) -> None:
        """Delete an upload; a request that continues it at the same time ends.

        Args:
            upload_id: Identifier of the upload.

        Raises:
            NotFound: If the upload does not exist or has expired.
        """
        await self.state(upload_id)
        if (earlier := self._appending.pop(upload_id, None)) is not None:
            earlier.cancel()
        await to_thread.run_sync(self._kept.delete, upload_id)

    async def append(
        self, upload_id: str, offset_bytes: int, checksum: tuple[str, bytes] | None, request: Request
    ) -> PartialUpload:
        """Append a piece to an upload, and store the dataset when the file is complete.

        A request that still continues the same upload ends: its client has left, and the connection does not know yet.

        Args:
            upload_id: Identifier of the upload.
            offset_bytes: Number of bytes that have arrived, as the caller knows it.
            checksum: Name and value of the checksum of the piece; None without.
            request: The request, whose body is the piece.

        Raises:
            NotFound: If the upload does not exist or has expired.
            UploadConflict: If the offset is another one, or a later request continues the upload.
            ChecksumMismatch: If the piece has another checksum.
            TooLarge: If the piece is longer than the rest of the file.
            DatasetError: If the complete file is not a dataset; the upload is deleted.
        """
        await self.state(upload_id)
        async with self._alone(upload_id):
            upload = await self.state(upload_id)
            if offset_bytes != upload.received_bytes:
                raise UploadConflict(
                    f"the piece begins at byte {offset_bytes}, and {upload.received_bytes} bytes have arrived; ask for "
                    "the state of the upload with HEAD and continue there"
                )
            if upload.stored_id is None:
                if checksum is None:
                    await self._write(upload, request.stream())
                else:
                    await self._write_checked(upload, request.stream(), *checksum)
                if upload.path.stat().st_size == upload.length_bytes:
                    await self._store(upload, request)
            return await self.state(upload_id)

    @asynccontextmanager
    async def _alone(self, upload_id: str) -> AsyncIterator[None]:
        """End the request that continues the same upload, and be ended by the next one."""
        while (earlier := self._appending.get(upload_id)) is not None:
            earlier.cancel()
            await anyio.sleep(0.01)
        with anyio.CancelScope() as scope:
            self._appending[upload_id] = scope
            try:
                yield
            finally:
                if self._appending.get(upload_id) is scope:
                    del self._appending[upload_id]
        if scope.cancelled_caught:
            raise UploadConflict("a later request continues or deletes this upload; ask for its state with HEAD")

    async def _write(self, upload: PartialUpload, chunks: AsyncIterator[bytes]) -> None:
        """Write a piece at the end of an upload; what has arrived is kept if the client leaves."""
        left_bytes = upload.length_bytes - upload.received_bytes
        async with await anyio.open_file(upload.path, "r+b") as file:
            await file.truncate(upload.received_bytes)
            await file.seek(upload.received_bytes)
            try:
                async for buffer in _buffered(chunks):
                    if len(buffer) > left_bytes:
                        raise TooLarge(
                            f"the piece is longer than the rest of the file, which has {upload.length_bytes} bytes; "
                            "send the size of the whole file in Upload-Length"
                        )
                    left_bytes -= len(buffer)
                    await file.write(buffer)
                    await file.flush()  # the state of the upload counts what the file has
            except ClientDisconnect:
                pass
            finally:
                with anyio.CancelScope(shield=True):
                    await file.flush()
                    await to_thread.run_sync(os.fsync, file.wrapped.fileno())

    async def _write_checked(
        self, upload: PartialUpload, chunks: AsyncIterator[bytes], name: str, expected: bytes
    ) -> None:
        """Write a piece with a checksum at the end of an upload, if it is whole and has this checksum."""
        with TemporaryDirectory(dir=self._settings.incoming_directory) as directory:
            path = Path(directory) / "piece"
            digest = hashlib.new(name, usedforsecurity=False)
            async with await anyio.open_file(path, "xb") as file:
                async for buffer in _buffered(chunks):
                    if await file.tell() + len(buffer) > upload.length_bytes - upload.received_bytes:
                        raise TooLarge(f"the piece is longer than the rest of the file, {upload.length_bytes} bytes")
                    digest.update(buffer)
                    await file.write(buffer)
            if digest.digest() != expected:
                raise ChecksumMismatch(
                    f"the {name} of the piece is not the one of its header Upload-Checksum; send the piece again"
                )
            async with await anyio.open_file(path, "rb") as piece:
                await self._write(upload, _chunks(piece))

    async def _store(self, upload: PartialUpload, request: Request) -> DatasetAnswer:
        """Read and store the dataset of a complete upload, or delete the upload."""
        digest = await to_thread.run_sync(_sha256, upload.path)
        with TemporaryDirectory(dir=self._settings.incoming_directory) as directory:
            path = Path(directory) / "dataset"
            path.hardlink_to(upload.path)  # the bytes stay until the end of the upload is noted
            whole = Upload(path, digest, upload.length_bytes, display_name(upload.name) or digest[:12])
            try:
                dataset, _ = await while_connected(request, self._reads.keep_dataset(whole))
            except (DatasetError, ReadingLimit):
                await to_thread.run_sync(self._kept.delete, upload.id)
                raise
        await to_thread.run_sync(self._kept.finish, upload, dataset.id)
        return dataset


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _buffered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the bytes of a body in larger pieces, because each needs a thread; also those before the client left."""
    buffer = bytearray()
    try:
        async for chunk in chunks:
            buffer += chunk
            if len(buffer) >= _BUFFER_BYTES:
                yield bytes(buffer)
                buffer.clear()
    except ClientDisconnect:
        if buffer:
            yield bytes(buffer)
        raise
    if buffer:
        yield bytes(buffer)


async def _chunks(file: anyio.AsyncFile[bytes]) -> AsyncIterator[bytes]:
    while chunk := await file.read(_BUFFER_BYTES):
        yield chunk
