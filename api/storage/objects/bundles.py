"""Bundles of files in a store: content under its SHA-256, and a manifest with the names, which is written last.

    PLACE/SHA-256            content of a file
    PLACE/manifest.json      name, size and SHA-256 of each file of the bundle

A bundle exists when its manifest does. Whoever reads it checks every content against the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.schemas.received import Received
from api.storage.objects.errors import DamagedObject
from api.storage.objects.object_store import ObjectStore

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
_PART: Final = r"[^./\\\x00-\x1f][^/\\\x00-\x1f]*"
"""Pattern of a part of a name: a file is not hidden, and does not leave its folder."""


class Entry(BaseModel):
    """One file of a bundle.

    Attributes:
        name: Name of the file in the bundle, which may have folders.
        size_bytes: Size of its content in bytes.
        sha256: SHA-256 of its content, in lower-case hexadecimal.
    """

    model_config = ConfigDict(frozen=True)

    name: str = Field(max_length=1000, pattern=rf"^{_PART}(/{_PART})*$")
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Received):
    """List of the files of a bundle.

    Attributes:
        format: Number of the form of this list.
        entries: The files.
    """

    model_config = ConfigDict(frozen=True)

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    entries: tuple[Entry, ...]

    def entry(self, name: str) -> Entry:
        """Return the file of a name.

        Raises:
            DamagedObject: If the bundle has no such file.
        """
        for each in self.entries:
            if each.name == name:
                return each
        raise DamagedObject(f"the bundle in the store lacks the file '{name}'")


class Bundles:
    """Bundles of files in a store.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def write(self, place: str, files: Mapping[str, Path], unchanged: Mapping[str, Entry] | None = None) -> Manifest:
        """Write a bundle; one that is at the same place is replaced when all files of the new one are stored.

        Args:
            place: Name of the bundle in the store.
            files: Path of each file by its name in the bundle. They do not change meanwhile.
            unchanged: Further files, whose contents an earlier bundle at this place has.

        Raises:
            StoreUnavailable: If the store does not answer; the earlier bundle is as it was.
            OSError: If a file cannot be read.
        """
        entries = dict(unchanged or {})
        for name, path in files.items():
            entries[name] = entry = entry_of(name, path)
            self._objects.upload(f"{place}/{entry.sha256}", path)
        manifest = Manifest(entries=tuple(entries.values()))
        self._objects.write(f"{place}/{MANIFEST}", manifest.model_dump_json().encode())
        return manifest

    def delete_others(self, place: str, manifest: Manifest) -> None:
        """Delete what a bundle that was replaced has left at its place.

        Raises:
            StoreUnavailable: If the store does not answer.
        """
        named = {f"{place}/{entry.sha256}" for entry in manifest.entries} | {f"{place}/{MANIFEST}"}
        self._objects.delete_objects([name for name in self._objects.names(place) if name not in named])

    def manifest(self, place: str) -> Manifest:
        """Return the manifest of a bundle.

        Raises:
            ObjectMissing: If there is no bundle at this place.
            DamagedObject: If the manifest cannot be read.
            StoreUnavailable: If the store does not answer.
        """
        try:
            return Manifest.model_validate_json(self._objects.read(f"{place}/{MANIFEST}"))
        except ValidationError as error:
            raise DamagedObject(f"the manifest of '{place}' in the store is damaged") from error

    def fetch(self, place: str, entry: Entry, target: Path) -> None:
        """Copy a file of a bundle to the disk, and check it.

        Raises:
            ObjectMissing: If the content is missing.
            DamagedObject: If the content is not that of the manifest.
            StoreUnavailable: If the store does not answer.
            OSError: If the file cannot be written.
        """
        self._objects.download(f"{place}/{entry.sha256}", target)
        if entry_of(entry.name, target) != entry:
            raise DamagedObject(f"the object '{place}/{entry.sha256}' in the store does not have its SHA-256")


def entry_of(name: str, path: Path) -> Entry:
    """Return the description of a file.

    Args:
        name: Name of the file in its bundle.
        path: Path of the file.

    Raises:
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(name=name, size_bytes=path.stat().st_size, sha256=digest)
