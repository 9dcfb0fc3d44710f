"""Uploads that arrive in pieces, on disk: a restart of the service loses nothing of them.

    partial/ID.bin     the bytes that have arrived
    partial/ID.json    length, name and project; after the end, the identifier of what was stored

The size of the file is the only record of how much has arrived. Until the content is stored, its last byte does not
count: a client that sends what is missing, as all clients do after an interruption, then learns how the upload ended.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from api.schemas.received import Received
from deploy.atomic_write import write_atomically

_ID: Final = re.compile(r"[0-9a-f]{32}")


class _Note(Received):
    """Content of the file beside the bytes of an upload.

    Attributes:
        project: Project of the caller.
        length_bytes: Size of the whole content, in bytes.
        name: Name that the caller gave; it may be empty.
        stored_id: Identifier of what was stored; None before it.
    """

    project: str
    length_bytes: int
    name: str
    stored_id: str | None = None


@dataclass(frozen=True, slots=True)
class PartialUpload:
    """Upload of which some bytes have arrived.

    Attributes:
        id: Identifier of the upload.
        length_bytes: Size of the whole content, in bytes; at least 1.
        received_bytes: Number of bytes that count as arrived.
        name: Name that the caller gave; it may be empty.
        expires_at: Unix time in seconds at which the upload is deleted, if nothing more arrives.
        stored_id: Identifier of what was stored; None before it.
        path: File with the bytes that have arrived.
    """

    id: str
    length_bytes: int
    received_bytes: int
    name: str
    expires_at: float
    stored_id: str | None
    path: Path


class PartialUploads:
    """Directory of the uploads that arrive in pieces.

    Args:
        directory: The directory; it is created with the first upload.
        lifetime_seconds: Time in seconds after the last piece for which an upload is kept.
    """

    def __init__(self, directory: Path, lifetime_seconds: float) -> None:
        self._directory = directory
        self._lifetime_seconds = lifetime_seconds

    def create(self, project: str, length_bytes: int, name: str) -> PartialUpload:
        """Create an upload of which nothing has arrived.

        Args:
            project: Project of the caller.
            length_bytes: Size of the whole content, in bytes.
            name: Name that the caller gave; it may be empty.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        upload_id = uuid.uuid4().hex
        self._path(upload_id).touch(exist_ok=False)
        self._write(upload_id, _Note(project=project, length_bytes=length_bytes, name=name))
        created = self.find(project, upload_id)
        assert created is not None  # noqa: S101  # it was written a moment ago and lives for a while
        return created

    def find(self, project: str, upload_id: str) -> PartialUpload | None:
        """Return an upload of a project; None if there is none, or if it has expired.

        Args:
            project: Project of the caller.
            upload_id: Identifier of the upload.
        """
        note = self._note(upload_id)
        if note is None or note.project != project:
            return None
        path = self._path(upload_id)
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        expires_at = status.st_mtime + self._lifetime_seconds
        if expires_at < time.time():
            return None
        received_bytes = min(status.st_size, note.length_bytes - 1)
        return PartialUpload(
            id=upload_id,
            length_bytes=note.length_bytes,
            received_bytes=received_bytes if note.stored_id is None else note.length_bytes,
            name=note.name,
            expires_at=expires_at,
            stored_id=note.stored_id,
            path=path,
        )

    def count(self, project: str) -> int:
        """Return the number of uploads of a project that have not ended."""
        notes = (self._note(path.stem) for path in self._directory.glob("*.json"))
        return sum(note is not None and note.project == project and note.stored_id is None for note in notes)

    def finish(self, upload: PartialUpload, stored_id: str) -> None:
        """Note what was stored, and free the space; the upload itself is known until it expires.

        Args:
            upload: The upload.
            stored_id: Identifier of what was stored.
        """
        note = self._note(upload.id)
        if note is not None:
            self._write(upload.id, note.model_copy(update={"stored_id": stored_id}))
            os.truncate(upload.path, 0)

    def delete(self, upload_id: str) -> None:
        """Delete an upload, if it exists."""
        self._path(upload_id).unlink(missing_ok=True)
        self._note_path(upload_id).unlink(missing_ok=True)

    def delete_expired(self) -> None:
        """Delete all uploads that have expired, of all projects."""
        oldest = time.time() - self._lifetime_seconds
        for path in self._directory.glob("*.bin"):
            try:
                is_expired = path.stat().st_mtime < oldest
            except FileNotFoundError:
                continue
            if is_expired:
                self.delete(path.stem)

    def _note(self, upload_id: str) -> _Note | None:
        if not _ID.fullmatch(upload_id):
            return None
        try:
            return _Note.model_validate_json(self._note_path(upload_id).read_bytes())
        except FileNotFoundError:
            return None

    def _write(self, upload_id: str, note: _Note) -> None:
        write_atomically(self._note_path(upload_id), note.model_dump_json())

    def _path(self, upload_id: str) -> Path:
        return self._directory / f"{upload_id}.bin"

    def _note_path(self, upload_id: str) -> Path:
        return self._directory / f"{upload_id}.json"
