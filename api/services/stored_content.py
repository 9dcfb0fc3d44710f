"""Files of uploads with their records: the record of a stored content, and the check of the files against it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from api.storage.blobs import Blobs
from api.storage.database import Store
from api.storage.database.quotas import Limits, QuotaExceeded
from api.storage.objects.stored_blobs import StoredBlobs
from api.storage.records import KeptFile
from network.content_identity import content_id


def add_record(record: KeptFile, store: Store, blobs: Blobs | StoredBlobs, limits: Limits) -> bool:
    """Add the record of a content whose files are stored and locked; return False if the record exists already.

    Args:
        record: The record.
        store: Database, seen by the project.
        blobs: The stored files.
        limits: Limits of a project that has none of its own.

    Raises:
        QuotaExceeded: If the quota of the project has no room; files that no project has a record of are deleted.
    """
    try:
        return store.add_file(record, limits)
    except QuotaExceeded:
        if not store.has_file_in_any_project(record.kind, record.id):
            blobs.delete(record.id)
        raise


def damage_of(identity: str, path: Path, weights: Mapping[str, Path] | None = None) -> str | None:
    """Return what is wrong with the stored files of a network or dataset.

    Args:
        identity: Identity of the content, in lower-case hexadecimal: see `content_id`.
        path: Path of the stored file.
        weights: Path of each file of weights of a network, by its name.

    Returns:
        A sentence that says what to do; None if the files are as they were uploaded.
    """
    try:
        parts = [(name, _sha256(part)) for name, part in (weights or {}).items()]
        if content_id(_sha256(path), parts) == identity:
            return None
        fault = "is damaged: its content does not have its SHA-256"
    except FileNotFoundError:
        fault = "is missing"
    return f"the stored file of {identity} {fault}; upload the same content again, and retry the job"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
