"""WebDataset shards: plain `.tar` files in which a sample is some files of one name. Imports no torch.

`000017.jpg` and `000017.cls` are the image and the class of sample 000017; `000017.json` may tell the class as "label".
The headers are scanned once, then images are read from where they lie; nothing is unpacked. Which shards are the test
set their names say (`parts`), or else the folders inside; else some samples are held out (`holding_out`).
Source: https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from qat.data.dataset import Dataset, Indices, Labels
from qat.data.decoding import IMAGE_SUFFIXES, MAX_ENCODED_BYTES
from qat.data.dividing import divided
from qat.data.files import Stamp, opened, read_part, stamp_of
from qat.data.names import Names, names_of, reason_of, shown
from qat.data.parts import part_of_name

MAX_LABEL_BYTES: Final = 2**20
MAX_HEADER_BYTES: Final = 2**20
"""Of a long name or extended header, which a reader takes into memory."""
MAX_SAMPLES: Final = 100_000_000
_LABEL_KEYS: Final = ("label", "cls", "class")


@dataclass(frozen=True, eq=False)
class ShardStore:
    """Images in archives.

    Attributes:
        shards: the archives.
        stamps: of each, as it was when it was scanned.
        shard: int32 [n], in which an image lies.
        offsets, sizes_bytes: int64 [n], where in it.
        members: its name there.
    """

    shards: tuple[Path, ...]
    stamps: tuple[Stamp, ...]
    shard: npt.NDArray[np.int32]
    offsets: Indices
    sizes_bytes: Indices
    members: Names

    def __len__(self) -> int:
        return len(self.members)

    def read(self, index: int) -> bytes:
        with opened(self.shards[int(self.shard[index])]) as file:
            return read_part(file, int(self.offsets[index]), int(self.sizes_bytes[index]), self.name_of(index))

    def name_of(self, index: int) -> str:
        return f"{shown(self.shards[int(self.shard[index])].name)}: {shown(self.members[index])}"

    @property
    def group_starts(self) -> Indices:
        return np.flatnonzero(np.diff(self.shard, prepend=-1))


@dataclass(slots=True)
class _Sample:
    key: str
    image: tuple[str, int, int] | None = None
    label: int | None = None


@dataclass(slots=True)
class _Found:
    shard: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes_bytes: list[int] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unlabelled: str | None = None
    """The first sample without a label."""


class _Headers:
    """An archive of which only headers are read; `tarfile` steps over the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size_bytes: int) -> bytes:
        if size_bytes > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size_bytes} bytes; at most {MAX_HEADER_BYTES} are taken")
        return self._file.read(size_bytes)


def open_shards(shards: Sequence[Path], root: Path | None, name: str) -> Dataset:
    """The dataset in WebDataset shards.

    Args:
        shards: the archives, in order.
        root: the directory below which their names tell the parts; None: names tell nothing.
        name: what reports call it.

    Raises:
        DatasetError: no archive, a damaged one, no images, or labels for some of them only.
    """
    found = _Found()
    for number, shard in enumerate(shards):
        _scan(shard, number, found)
    if not found.members:
        raise DatasetError(f"'{name}' holds no images; expected files such as 000017.jpg beside 000017.cls")
    if found.labels and found.unlabelled is not None:
        raise DatasetError(
            f"'{found.unlabelled}' has no label, and others have; expected a .cls or .json beside every image, or none"
        )
    store = ShardStore(
        tuple(shards),
        tuple(stamp_of(each) for each in shards),
        np.array(found.shard, dtype=np.int32),
        np.array(found.offsets, dtype=np.int64),
        np.array(found.sizes_bytes, dtype=np.int64),
        names_of(found.members),
    )
    labels: Labels | None = np.array(found.labels, dtype=np.int64) if found.labels else None
    parts = [None if root is None else part_of_name(each.relative_to(root).as_posix()) for each in shards]
    part_of_sample = [
        parts[shard] or part_of_name(member.rpartition("/")[0])
        for shard, member in zip(found.shard, found.members, strict=True)
    ]
    return divided(store, labels, part_of_sample, name)


def _scan(shard: Path, number: int, found: _Found) -> None:
    """Add a shard's samples. Their files follow one another, as the form has it."""
    sample = _Sample("")
    with opened(shard) as file:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        try:
            for member in _members(file, shard.name):
                base, _, kind = _split(member.name)
                if not kind:
                    continue
                if base != sample.key:
                    _add(sample, shard, number, found)
                    sample = _Sample(base)
                if member.offset_data + member.size > size_bytes:
                    raise tarfile.ReadError(f"'{shown(member.name)}' ends beyond the archive")
                _note(sample, member, kind, file)
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise DatasetError(f"'{shown(shard.name)}' cannot be read as a .tar: {reason_of(error)}") from error
    _add(sample, shard, number, found)


def _members(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=_Headers(file), mode="r:") as archive:  # type: ignore[call-overload]  # reads, seeks, tells: all that it asks for
        while (member := archive.next()) is not None:
            archive.members = []  # else a million headers stay in memory
            if member.isreg():
                yield member
        # A header that is damaged ends the archive for `tarfile`; only a block of zeros does for us.
        if read_part(file, archive.offset, tarfile.BLOCKSIZE, name) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header at byte {archive.offset}: the archive was cut or is damaged")


def _split(member: str) -> tuple[str, str, str]:
    """'train/000017.seg.png' -> ('train/000017', '.', 'png'): the key ends at the base name's first dot."""
    folder, slash, base = member.rpartition("/")
    stem, dot, extension = base.partition(".")
    return folder + slash + stem, dot, extension.lower().rpartition(".")[2]


def _note(sample: _Sample, member: tarfile.TarInfo, kind: str, file: BinaryIO) -> None:
    if f".{kind}" in IMAGE_SUFFIXES:
        if sample.image is not None:
            raise DatasetError(
                f"sample '{shown(sample.key)}' has two images, '{shown(sample.image[0])}' and '{shown(member.name)}'"
            )
        if not 0 < member.size <= MAX_ENCODED_BYTES:
            raise DatasetError(f"'{shown(member.name)}' has {member.size} bytes; expected 1 to {MAX_ENCODED_BYTES}")
        sample.image = (member.name, member.offset_data, member.size)
    elif kind in {"cls", "json"} and (sample.label is None or kind == "cls"):
        if member.size > MAX_LABEL_BYTES:
            raise DatasetError(f"'{shown(member.name)}' has {member.size} bytes; expected a label")
        label = _label(read_part(file, member.offset_data, member.size, member.name), kind, member.name)
        sample.label = sample.label if label is None else label


def _label(content: bytes, kind: str, name: str) -> int | None:
    try:
        value = int(content) if kind == "cls" else json.loads(content)
    except (ValueError, RecursionError):
        expected = "whole number" if kind == "cls" else "JSON"
        raise DatasetError(f"'{shown(name)}' holds no {expected}; expected the class of its image") from None
    if kind == "json":
        value = next((value[key] for key in _LABEL_KEYS if key in value), None) if isinstance(value, dict) else value
        if value is None:
            return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise DatasetError(f"'{shown(name)}' holds {str(value)[:40]!r}; expected a class, a whole number from 0")
    return value


def _add(sample: _Sample, shard: Path, number: int, found: _Found) -> None:
    if sample.image is None:
        return
    member, offset, size_bytes = sample.image
    if len(found.members) == MAX_SAMPLES:
        raise DatasetError(f"more than {MAX_SAMPLES} images; give fewer shards")
    found.shard.append(number)
    found.offsets.append(offset)
    found.sizes_bytes.append(size_bytes)
    found.members.append(member)
    if sample.label is not None:
        found.labels.append(sample.label)
    elif found.unlabelled is None:
        found.unlabelled = f"{shown(shard.name)}: {shown(member)}"
