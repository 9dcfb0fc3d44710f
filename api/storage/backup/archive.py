"""File of a backup: a tar whose entries have numbers as names, and a manifest as the last entry.

    000001, 000002, ...   contents
    manifest.json         name, size and SHA-256 of each content, in the same order

Every tar program can open it. An entry needs nothing but the oldest form of a tar header, so that a reader can refuse
links, sparse files and long headers by their type, before it has read them.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from network.errors import BitbudgetError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
MAX_MANIFEST_BYTES: Final = 256 * 2**20
_DIGEST: Final = "[0-9a-f]{64}"
_PART: Final = r"(?!\.|lock(?:/|$))[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,200}"
_NAME: Final = re.compile(
    rf"networks/{_DIGEST}(\.{_DIGEST})?|datasets/{_DIGEST}\.npz|jobs/[0-9a-f]{{32}}(/{_PART}){{1,8}}"
    r"|database/[a-z_]{1,40}\.jsonl"
)
_BLOCK: Final = tarfile.BLOCKSIZE
_PIECE_BYTES: Final = 2**20


class BackupError(BitbudgetError):
    """Error: a backup cannot be made or restored; the message says why, and what to do."""


def is_content_name(name: str) -> bool:
    """Return whether a backup may have a content of this name: one of the names that the service writes.

    Hidden files, which are not complete, and the locks of processes are not in a backup.
    """
    return _NAME.fullmatch(name) is not None


def is_file_name(name: str) -> bool:
    """Return whether a text can be the name of a file of a job, without any folder."""
    return re.fullmatch(_PART, name) is not None


class Entry(BaseModel):
    """One content of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=1000)
    size_bytes: Annotated[int, Field(ge=0)]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """List of what a backup has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    version: str = Field(max_length=100)
    schema_version: Annotated[int, Field(ge=1)]
    created_at: float
    entries: list[Entry]


class ArchiveWriter:
    """Writer of a backup.

    Args:
        file: Open file, which is written from its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115  # `finish` closes it
        self.entries: list[Entry] = []

    def add(self, name: str, source: BinaryIO, size_bytes: int) -> Entry | None:
        """Add the first bytes of an open file; return None if it has fewer bytes, so that the backup is not usable.

        Args:
            name: Name of the content.
            source: The open file.
            size_bytes: Number of bytes to add.
        """
        header = tarfile.TarInfo(f"{len(self.entries) + 1:06}")
        header.size, header.mode = size_bytes, 0o600
        hashed = _HashingReader(source)
        try:
            self._tar.addfile(header, hashed)  # type: ignore[arg-type]  # tarfile calls `read` alone
        except OSError:
            if hashed.is_at_end:
                return None
            raise
        entry = Entry(name=name, size_bytes=size_bytes, sha256=hashed.digest.hexdigest())
        self.entries.append(entry)
        return entry

    def finish(self, version: str, schema_version: int, created_at: float) -> None:
        """Write the manifest and the end of the archive."""
        manifest = Manifest(
            format=FORMAT,
            version=version,
            schema_version=schema_version,
            created_at=created_at,
            entries=self.entries,
        )
        content = manifest.model_dump_json(indent=1).encode()
        header = tarfile.TarInfo(MANIFEST)
        header.size, header.mode = len(content), 0o600
        self._tar.addfile(header, io.BytesIO(content))
        self._tar.close()


class _HashingReader:
    """Reader that computes the SHA-256 of what is read."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self.digest = hashlib.sha256()
        self.is_at_end = False

    def read(self, size: int) -> bytes:
        content = self._source.read(size)
        self.is_at_end = len(content) < size
        self.digest.update(content)
        return content


class ArchiveReader:
    """Reader of a backup, which is not trusted: nothing is larger than the archive itself, and every hash is checked.

    Args:
        file: Open file.

    Attributes:
        manifest: What the archive has.

    Raises:
        BackupError: If the file is not a backup, is incomplete, or was made by a later version.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offsets: list[int] = []
        sizes: list[int] = []
        manifest = None
        for name, offset, size_bytes in _headers(file):
            if manifest is not None:
                raise invalid("it goes on after its manifest")
            if name == MANIFEST and size_bytes <= MAX_MANIFEST_BYTES:
                file.seek(offset)
                manifest = _manifest(file.read(size_bytes))
            elif name == f"{len(sizes) + 1:06}":
                self._offsets.append(offset)
                sizes.append(size_bytes)
            else:
                raise invalid(f"it has an unexpected entry {name[:40]!r}")
        if manifest is None:
            raise invalid("it has no manifest, so that it is incomplete")
        if [entry.size_bytes for entry in manifest.entries] != sizes:
            raise invalid("its manifest does not match its entries")
        self.manifest = manifest

    def contents(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Return each entry with its content in pieces, in the order of the archive.

        Raises:
            BackupError: At the end of a content, if its hash is not that of the manifest.
        """
        for entry, offset in zip(self.manifest.entries, self._offsets, strict=True):
            yield entry, self._pieces(entry, offset)

    def _pieces(self, entry: Entry, offset: int) -> Iterator[bytes]:
        self._file.seek(offset)
        digest = hashlib.sha256()
        missing = entry.size_bytes
        while missing:
            piece = self._file.read(min(missing, _PIECE_BYTES))
            if not piece:
                raise invalid("it is incomplete")
            missing -= len(piece)
            digest.update(piece)
            yield piece
        if digest.hexdigest() != entry.sha256:
            raise invalid(f"the content of {entry.name!r} does not have its SHA-256")


def _headers(file: BinaryIO) -> Iterator[tuple[str, int, int]]:
    """Return name, offset and size in bytes of each entry; the caller may move the file in between."""
    end = file.seek(0, io.SEEK_END)
    position = 0
    while True:
        file.seek(position)
        block = file.read(_BLOCK)
        if len(block) == _BLOCK and not any(block):
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise invalid(f"it is damaged, incomplete or not a tar file ({error})") from error
        offset = position + _BLOCK
        if header.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or header.linkname:
            raise invalid(f"the entry {header.name[:40]!r} is not a plain file")
        if not 0 <= header.size <= end - offset:
            raise invalid("it is incomplete")
        yield header.name, offset, header.size
        position = offset + -(-header.size // _BLOCK) * _BLOCK


def _manifest(content: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise invalid(f"its manifest is not readable ({error.errors()[0]['msg']})") from error
    if manifest.format > FORMAT:
        raise BackupError(
            f"the backup was made by a later version of bitbudget ({manifest.version}); restore it with that version"
        )
    for entry in manifest.entries:
        if not is_content_name(entry.name):
            raise invalid(f"it has a file of the name {entry.name[:80]!r}, which the service does not write")
    if duplicate := _duplicate([entry.name for entry in manifest.entries]):
        raise invalid(f"it has {duplicate!r} twice")
    return manifest


def _duplicate(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)  # type: ignore[func-returns-value]  # set.add returns None


def invalid(reason: str) -> BackupError:
    """Return the error for a backup that cannot be restored, with the reason."""
    return BackupError(f"the file is not a usable backup: {reason}; nothing was restored. Use another backup")


def read_archive(path: Path) -> tuple[BinaryIO, ArchiveReader]:
    """Open a backup; the caller closes the file.

    Raises:
        BackupError: If the file is not a backup, is incomplete, or was made by a later version.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise BackupError(f"cannot read the backup '{path}': {error.strerror}; check the path") from error
    try:
        return file, ArchiveReader(file)
    except BaseException:
        file.close()
        raise
