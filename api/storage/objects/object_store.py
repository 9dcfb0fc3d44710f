"""Store of objects behind a URL: a bucket of an S3-compatible service, or a folder, by fsspec.

An object appears under its name when it is complete, and a reader finds the old content or the new one. S3 promises
that; in a folder, an object is written under a hidden name, synchronized with the disk, and renamed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from api.storage.objects.errors import ObjectMissing, StoreUnavailable
from api.storage_settings import StorageSettings
from network.errors import RequestError

LOG: Final = logging.getLogger("bitbudget.store")

CONNECT_SECONDS: Final = 5
"""Longest time in seconds to connect to the store."""
READ_SECONDS: Final = 30
"""Longest time in seconds between two pieces of an answer of the store."""
TRIES: Final = 2
"""Number of times that a request is sent before the store counts as unavailable."""

_PIECE_BYTES: Final = 8 * 2**20
"""Size of the pieces in which a large file is sent, each of which is in memory; S3 wants at least 5 MiB."""
_PIECES_AT_ONCE: Final = 2
_OUR_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION")


class ObjectStore:
    """Store of objects, each with a name of parts between slashes; all methods may be called by several threads.

    Args:
        url: URL of the store, `s3://BUCKET/PREFIX` or `file:///FOLDER`.

    Raises:
        RequestError: If the URL is not one of these, or s3fs is not installed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        is_usable = not parts.query and not parts.fragment and "@" not in parts.netloc
        if parts.scheme == "s3" and parts.netloc and is_usable:
            self._files = _s3_files()
            self._root = f"{parts.netloc}{parts.path}".rstrip("/")
        elif parts.scheme == "file" and not parts.netloc and parts.path.strip("/") and is_usable:
            import fsspec

            self._files = fsspec.filesystem("file", auto_mkdir=True)
            self._root = parts.path.rstrip("/")
        else:
            raise RequestError(
                "the URL of the store is not usable; expected s3://BUCKET/PREFIX, with keys, region and endpoint by "
                f"the variables of AWS, or file:///FOLDER, not one that begins with '{url.partition(':')[0][:40]}'"
            )
        self._is_folder = parts.scheme == "file"
        self._is_tried = True
        self.url: Final = url

    @classmethod
    def of(cls, settings: StorageSettings) -> ObjectStore | None:
        """Return the store of a service, which is opened once in a process; None for the data directory.

        Raises:
            RequestError: If the URL of the store is not usable, or s3fs is not installed.
        """
        if settings.store_url is None:
            return None
        return _opened(settings.store_url, tuple(os.environ.get(each) for each in _VARIABLES))

    def check(self) -> None:
        """Write, list, read and delete an object, as every later request will.

        Raises:
            RequestError: If the store cannot be used.
        """
        name = f"check-{uuid.uuid4().hex}"
        self._is_tried = False
        try:
            self.write(f"{name}/object", b"bitbudget")
            is_usable = self.names(name) == [f"{name}/object"] and self.read(f"{name}/object") == b"bitbudget"
            self.delete(name)
        except (StoreUnavailable, ObjectMissing, OSError) as error:
            raise RequestError(f"the store '{self.url}' cannot be used: {_cause(error)}; {_advice(error)}") from error
        finally:
            self._is_tried = True
        if not is_usable:
            raise RequestError(f"the store '{self.url}' did not return what was just written; use another store")

    def write(self, name: str, content: bytes) -> None:
        """Write a small object.

        Raises:
            StoreUnavailable: If the store does not answer or refuses.
        """
        with self._asked(name, "write"):
            if self._is_folder:
                with self._renamed(name) as place:
                    self._files.pipe_file(place, content)
            else:
                self._files.pipe_file(self._place(name), content)

    def upload(self, name: str, file: Path) -> None:
        """Write an object from a file.

        Raises:
            StoreUnavailable: If the store does not answer or refuses.
        """
        with self._asked(name, "write"):
            if self._is_folder:
                with self._renamed(name) as place:
                    self._files.put_file(str(file), place)
            else:
                self._files.put_file(
                    str(file), self._place(name), chunksize=_PIECE_BYTES, max_concurrency=_PIECES_AT_ONCE
                )

    def read(self, name: str) -> bytes:
        """Return the content of a small object.

        Raises:
            ObjectMissing: If there is no such object.
            StoreUnavailable: If the store does not answer or refuses.
        """
        with self._asked(name, "read"):
            content: bytes = self._files.cat_file(self._place(name))
        return content

    def download(self, name: str, file: Path) -> None:
        """Write the content of an object into a file.

        Raises:
            ObjectMissing: If there is no such object.
            StoreUnavailable: If the store does not answer or refuses.
            OSError: If the disk is full.
        """
        with self._asked(name, "read"):
            options = {} if self._is_folder else {"max_concurrency": 1}
            self._files.get_file(self._place(name), str(file), **options)

    def names(self, folder: str) -> list[str]:
        """Return the names of all complete objects below a name, in ascending order.

        Raises:
            StoreUnavailable: If the store does not answer or refuses.
        """
        try:
            with self._asked(folder, "list"):
                found = self._files.find(self._place(folder))
        except ObjectMissing:
            return []
        names = (place.removeprefix(f"{self._root}/") for place in found)
        return sorted(name for name in names if not name.rpartition("/")[2].startswith("."))

    def delete(self, folder: str) -> None:
        """Delete all objects below a name.

        Raises:
            StoreUnavailable: If the store does not answer or refuses.
        """
        self.delete_objects(self.names(folder))
        if self._is_folder:
            shutil.rmtree(self._place(folder), ignore_errors=True)  # empty folders

    def delete_objects(self, names: list[str]) -> None:
        """Delete objects, which may be deleted already.

        Raises:
            StoreUnavailable: If the store does not answer or refuses.
        """
        for name in names:
            with contextlib.suppress(ObjectMissing), self._asked(name, "delete"):
                self._files.rm_file(self._place(name))

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _renamed(self, name: str) -> Iterator[str]:
        """Yield a hidden place in a folder, whose file gets its name at the end."""
        place = self._place(name)
        folder, _, last = place.rpartition("/")
        hidden = f"{folder}/.{last}.{uuid.uuid4().hex}"
        Path(folder).mkdir(parents=True, exist_ok=True)
        try:
            yield hidden
            with Path(hidden).open("rb") as written:
                os.fsync(written.fileno())
            Path(hidden).replace(place)
        except BaseException:
            Path(hidden).unlink(missing_ok=True)
            raise

    @contextmanager
    def _asked(self, name: str, what: str) -> Iterator[None]:
        """Turn the errors of the many libraries behind fsspec into those of a store."""
        try:
            yield
        except FileNotFoundError as error:
            if what in {"read", "delete", "list"} and "specified bucket" not in str(error):
                raise ObjectMissing(f"the store has no object '{name}'") from error
            raise self._unavailable(error) from error
        except Exception as error:  # of botocore, aiohttp, asyncio and others, which have no common class
            if isinstance(error, OSError) and error.errno in _OUR_DISK:
                raise
            raise self._unavailable(error) from error

    def _unavailable(self, error: Exception) -> StoreUnavailable:
        if self._is_tried:  # before, whoever starts the service gets the whole message
            LOG.warning("the store %s cannot be used: %s: %s", self.url, type(error).__name__, error)
        return StoreUnavailable(
            "the store of the service does not answer at the moment; nothing was changed, try again later"
        )


@lru_cache(maxsize=8)
def _opened(url: str, _variables: tuple[str | None, ...]) -> ObjectStore:
    return ObjectStore(url)


def _s3_files() -> Any:
    """Return the files of S3 by s3fs, with limits on the time of each request, and without its memory of lists."""
    try:
        import s3fs
    except ModuleNotFoundError as error:
        raise RequestError(
            "a store in S3 needs the package s3fs, which is not installed; install it with: pip install 'bitbudget[s3]'"
        ) from error
    limits = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS, "retries": {"max_attempts": 0}}
    files = s3fs.S3FileSystem(skip_instance_cache=True, use_listings_cache=False, config_kwargs=limits)
    files.retries = TRIES
    return files


def _cause(error: Exception) -> str:
    cause = error.__cause__ or error
    return " ".join(str(cause).split())[:300].rstrip(".") or type(cause).__name__


def _advice(error: Exception) -> str:
    cause = error.__cause__ or error
    if isinstance(cause, PermissionError):
        return "check the keys, and their right to list, read, write and delete"
    if isinstance(cause, FileNotFoundError):
        return "create the bucket, or correct its name"
    return "check the URL, the endpoint (AWS_ENDPOINT_URL), the keys and the network"
