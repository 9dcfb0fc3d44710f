"""Reader of WebDataset shards: plain `.tar` files in which a sample is a set of files with one name. Imports no torch.

`000017.jpg` and `000017.cls` are the image and the class of sample 000017; `000017.json` can contain the class as
"label" instead. Without such files, the folders inside the archive can be the classes (`class_names`). The headers are
scanned once, then images are read at their position; nothing is unpacked. The names of the shards, or else the folders
inside them, state which samples are the test set (`parts`); otherwise some samples are held out (`holding_out`).
Source: https://github.com/webdataset/webdataset.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from qat.data.class_names import classes_of_folders, number_classes
from qat.data.dataset import Dataset, Indices, Labels
from qat.data.decoding import IMAGE_SUFFIXES, MAX_ENCODED_BYTES
from qat.data.dividing import split_train_test
from qat.data.files import Stamp, opened, read_part, stamp_of
from qat.data.names import Names, names_of, printable, reason_of
from qat.data.parts import part_of_name

MAX_LABEL_BYTES: Final = 2**20
"""Largest size of a `.cls` or `.json` file, in bytes."""
MAX_HEADER_BYTES: Final = 2**20
"""Largest size in bytes of a long name or an extended header, which is read into memory."""
MAX_SAMPLES: Final = 100_000_000
_LABEL_KEYS: Final = ("label", "cls", "class")


@dataclass(frozen=True, eq=False)
class ShardStore:
    """Images in `.tar` archives.

    Attributes:
        shards: The archives.
        stamps: Size and modification time of each archive when it was scanned.
        shard: Index of the archive of each image, int32 [n].
        offsets: Position of each image in its archive in bytes, int64 [n].
        sizes_bytes: Size of each image in bytes, int64 [n].
        members: Name of each image in its archive, n items.
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
        """Read the encoded content of an image.

        Args:
            index: Index of the image in all archives, from 0.

        Raises:
            DatasetError: if the archive cannot be read or was truncated.
        """
        with opened(self.shards[int(self.shard[index])]) as file:
            return read_part(file, int(self.offsets[index]), int(self.sizes_bytes[index]), self.name_of(index))

    def name_of(self, index: int) -> str:
        """Name of an image in errors: its archive, and its name in the archive.

        Args:
            index: Index of the image in all archives, from 0.
        """
        return f"{printable(self.shards[int(self.shard[index])].name)}: {printable(self.members[index])}"

    @property
    def group_starts(self) -> Indices:
        """Index of the first image of each archive, int64 [archives], ascending from 0."""
        return np.flatnonzero(np.diff(self.shard, prepend=-1))


@dataclass(slots=True)
class _Sample:
    """A sample while its archive is scanned.

    Attributes:
        key: Name that the sample's files share.
        image: Name, position in bytes and size in bytes of the image; None before it was found.
        label: Class of the sample; None before it was found.
    """

    key: str
    image: tuple[str, int, int] | None = None
    label: int | None = None


@dataclass(slots=True)
class _Found:
    """Samples that were found in the archives so far; the lists have one item per sample.

    Attributes:
        shard: Index of the archive of each image.
        offsets: Position of each image in its archive, in bytes.
        sizes_bytes: Size of each image in bytes.
        members: Name of each image in its archive.
        labels: Class of each sample that has one.
        unlabelled: Name of the first sample without a label; None if all have one.
    """

    shard: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes_bytes: list[int] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    unlabelled: str | None = None


class _HeaderReader:
    """The file interface for `tarfile` while headers are scanned; it rejects headers above `MAX_HEADER_BYTES`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.tell, self.seek = file.tell, file.seek

    def read(self, size_bytes: int) -> bytes:
        """Read the next bytes of the archive.

        Args:
            size_bytes: Number of bytes to read.

        Raises:
            tarfile.ReadError: if `size_bytes` is larger than `MAX_HEADER_BYTES`.
        """
        if size_bytes > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size_bytes} bytes; at most {MAX_HEADER_BYTES} are allowed")
        return self._file.read(size_bytes)


def open_shards(shards: Sequence[Path], root: Path | None, name: str) -> Dataset:
    """Read the dataset in WebDataset shards.

    Args:
        shards: The archives, in the order of their samples.
        root: Directory whose subfolder and file names state the parts (training, test); None ignores the names of the
            shards.
        name: Name of the dataset in reports.

    Raises:
        DatasetError: if a file is not a `.tar` archive or is damaged, if there are no images, or if only some images
            have labels.
    """
    found = _Found()
    for number, shard in enumerate(shards):
        _scan(shard, number, found)
    if not found.members:
        raise DatasetError(f"'{name}' holds no images; expected pairs of files such as 000017.jpg and 000017.cls")
    if found.labels and found.unlabelled is not None:
        raise DatasetError(
            f"'{found.unlabelled}' has no label, but other images have one; expected a .cls or .json file of the same "
            "name for every image, or for no image"
        )
    store = ShardStore(
        tuple(shards),
        tuple(stamp_of(each) for each in shards),
        np.array(found.shard, dtype=np.int32),
        np.array(found.offsets, dtype=np.int64),
        np.array(found.sizes_bytes, dtype=np.int64),
        names_of(found.members),
    )
    parts = [None if root is None else part_of_name(each.relative_to(root).as_posix()) for each in shards]
    in_folders = None if found.labels else classes_of_folders(found.members)
    if in_folders is not None:
        part_of_sample = [parts[shard] or part for shard, part in zip(found.shard, in_folders.parts, strict=True)]
        names, codes = np.unique(np.array(in_folders.names, dtype=object), return_inverse=True)
        is_train = np.array([each in {None, "train"} for each in part_of_sample])
        named = number_classes(names.tolist(), codes.astype(np.int64), is_train, name)
        return replace(split_train_test(store, named.labels, part_of_sample, name), class_names=named.names)
    labels: Labels | None = np.array(found.labels, dtype=np.int64) if found.labels else None
    part_of_sample = [
        parts[shard] or part_of_name(member.rpartition("/")[0])
        for shard, member in zip(found.shard, found.members, strict=True)
    ]
    return split_train_test(store, labels, part_of_sample, name)


def _scan(shard: Path, number: int, found: _Found) -> None:
    """Add the samples of a shard. The files of a sample follow one another, as the WebDataset format requires."""
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
                    _add_sample(sample, shard, number, found)
                    sample = _Sample(base)
                if member.offset_data + member.size > size_bytes:
                    raise tarfile.ReadError(f"'{printable(member.name)}' ends beyond the archive")
                _add_file(sample, member, kind, file)
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise DatasetError(
                f"'{printable(shard.name)}' cannot be read as a .tar: {reason_of(error)}; expected a complete archive "
                "without compression"
            ) from error
    _add_sample(sample, shard, number, found)


def _members(file: BinaryIO, name: str) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=_HeaderReader(file), mode="r:") as archive:  # type: ignore[call-overload]  # tarfile needs `read`, `seek` and `tell` only
        while (member := archive.next()) is not None:
            archive.members = []  # tarfile would keep the headers of all members in memory
            if member.isreg():
                yield member
        # `tarfile` treats a damaged header as the end of the archive. Here, only a block of zeros is the end.
        if read_part(file, archive.offset, tarfile.BLOCKSIZE, name) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header at byte {archive.offset}: the archive was truncated or is damaged")


def _split(member: str) -> tuple[str, str, str]:
    """Split a member's name into key, dot and last extension: 'a/17.seg.PNG' gives ('a/17', '.', 'png').

    The key ends at the first dot of the base name.
    """
    folder, slash, base = member.rpartition("/")
    stem, dot, extension = base.partition(".")
    return folder + slash + stem, dot, extension.lower().rpartition(".")[2]


def _add_file(sample: _Sample, member: tarfile.TarInfo, kind: str, file: BinaryIO) -> None:
    if f".{kind}" in IMAGE_SUFFIXES:
        if sample.image is not None:
            raise DatasetError(
                f"sample '{printable(sample.key)}' has two images, '{printable(sample.image[0])}' and "
                f"'{printable(member.name)}'; expected one image for each name"
            )
        if not 0 < member.size <= MAX_ENCODED_BYTES:
            raise DatasetError(
                f"'{printable(member.name)}' has {member.size} bytes; expected an image of 1 to {MAX_ENCODED_BYTES} "
                "bytes"
            )
        sample.image = (member.name, member.offset_data, member.size)
    elif kind in {"cls", "json"} and (sample.label is None or kind == "cls"):
        if member.size > MAX_LABEL_BYTES:
            raise DatasetError(
                f"'{printable(member.name)}' has {member.size} bytes; expected a label of at most {MAX_LABEL_BYTES} "
                "bytes"
            )
        label = _label(read_part(file, member.offset_data, member.size, member.name), kind, member.name)
        sample.label = sample.label if label is None else label


def _label(content: bytes, kind: str, name: str) -> int | None:
    try:
        value = int(content) if kind == "cls" else json.loads(content)
    except (ValueError, RecursionError):
        problem = "does not hold a whole number" if kind == "cls" else "is not valid JSON"
        raise DatasetError(
            f"'{printable(name)}' {problem}; expected the class of its image, a whole number from 0"
        ) from None
    if kind == "json":
        value = next((value[key] for key in _LABEL_KEYS if key in value), None) if isinstance(value, dict) else value
        if value is None:
            return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise DatasetError(
            f"'{printable(name)}' holds {str(value)[:40]!r}; expected the class of its image, a whole number from 0"
        )
    return value


def _add_sample(sample: _Sample, shard: Path, number: int, found: _Found) -> None:
    if sample.image is None:
        return
    member, offset, size_bytes = sample.image
    if len(found.members) == MAX_SAMPLES:
        raise DatasetError(f"the shards hold more than {MAX_SAMPLES} images; give fewer shards")
    found.shard.append(number)
    found.offsets.append(offset)
    found.sizes_bytes.append(size_bytes)
    found.members.append(member)
    if sample.label is not None:
        found.labels.append(sample.label)
    elif found.unlabelled is None:
        found.unlabelled = f"{printable(shard.name)}: {printable(member)}"
