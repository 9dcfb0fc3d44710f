"""Uploaded files in a store of objects, each a bundle named by the identity of its content."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path

from api.settings import Settings
from api.storage.blobs import Blobs, file_names, is_digest
from api.storage.content_lock import content_lock
from api.storage.database import Store
from api.storage.objects.bundles import Bundles
from api.storage.objects.cache import ObjectCache
from api.storage.objects.deletions import Deletions
from api.storage.objects.errors import DamagedObject, ObjectMissing
from api.storage.objects.object_store import ObjectStore


class StoredBlobs:
    """Uploaded files of one kind in a store, with copies on the local disk; it has the methods of `Blobs`.

    Args:
        store: Database of the service.
        settings: Settings of the service.
        objects: The store.
        folder: Name of the kind: "networks" or "datasets".
        suffix: Suffix of every file name, such as ".npz".
    """

    def __init__(self, store: Store, settings: Settings, objects: ObjectStore, folder: str, suffix: str) -> None:
        self._store = store
        self._settings = settings
        self._folder = folder
        self._suffix = suffix
        self._bundles = Bundles(objects)
        self._deletions = Deletions(settings, objects)
        self._cache = ObjectCache(settings.cache_directory, settings.max_cache_bytes)

    def locked(self, digest: str) -> AbstractContextManager[None]:
        """Keep all services from storing and deleting a content."""
        return content_lock(self._store, self._settings, self._place(digest))

    def keep(self, digest: str, file: Path, parts: Mapping[str, Path] | None = None) -> None:
        """Write a complete file and its parts to the store, and move them into the cache.

        Args:
            digest: Identity of the content, in lower-case hexadecimal.
            file: Path of the complete file, on the file system of the data directory.
            parts: SHA-256 of each part of the file, in lower-case hexadecimal, and the path of the part.

        Raises:
            StoreUnavailable: If the store does not answer; a content that was stored before is as it was.
        """
        paths = dict(zip(file_names(digest, self._suffix, parts or ()), [file, *(parts or {}).values()], strict=True))
        manifest = self._bundles.write(self._place(digest), paths)
        for entry in manifest.entries:
            self._cache.add(f"{entry.sha256}{self._suffix}", paths[entry.name])

    def delete(self, digest: str) -> None:
        """Delete a file and its parts; if the store does not answer, they are deleted later."""
        self._deletions.delete(self._place(digest))

    def held(
        self, digest: str, parts: Collection[str], holds: ExitStack, *, is_checked: bool = False
    ) -> tuple[Path, dict[str, Path]]:
        """Return the paths of copies of a file and of its parts on the local disk.

        Args:
            digest: Identity of the content, in lower-case hexadecimal.
            parts: SHA-256 of each part, in lower-case hexadecimal.
            holds: Stack that releases the copies when it is closed.
            is_checked: Whether copies that are there already are compared with their SHA-256.

        Raises:
            DamagedObject: If the objects are missing or damaged.
            StoreUnavailable: If the store does not answer.
            OSError: If the disk is full.
        """
        place = self._place(digest)
        paths = []
        try:
            manifest = self._bundles.manifest(place)
            for name in file_names(digest, self._suffix, parts):
                entry = manifest.entry(name)
                path = self._cache.hold(
                    f"{entry.sha256}{self._suffix}",
                    partial(self._bundles.fetch, place, entry),
                    holds,
                    check_sha256=entry.sha256 if is_checked else None,
                )
                paths.append(path)
        except (ObjectMissing, DamagedObject) as error:
            fault = "is missing" if isinstance(error, ObjectMissing) else "is damaged"
            raise DamagedObject(
                f"the stored file of {digest} {fault}; upload the same content again, and retry the job"
            ) from error
        return paths[0], dict(zip(parts, paths[1:], strict=True))

    def _place(self, digest: str) -> str:
        if not is_digest(digest):
            raise ValueError(f"the digest {digest[:80]!r} is not a SHA-256; expected 64 hexadecimal digits")
        return f"{self._folder}/{digest}"


def blobs_of(store: Store, settings: Settings, directory: Path, suffix: str = "") -> Blobs | StoredBlobs:
    """Return the uploaded files of one kind: in the store of the service, or in a directory.

    Args:
        store: Database of the service.
        settings: Settings of the service.
        directory: The directory; its name is that of the kind.
        suffix: Suffix of every file name, such as ".npz".
    """
    objects = ObjectStore.of(settings)
    if objects is None:
        return Blobs(directory, suffix)
    return StoredBlobs(store, settings, objects, directory.name, suffix)
