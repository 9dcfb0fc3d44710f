"""Reader of CIFAR-10 and CIFAR-100 in their binary version, as unpacked files or as a `.tar.gz`. Imports no torch.

A record is a label of one byte (CIFAR-100: the coarse label, then the fine label, which is used) and 3 x 32 x 32 bytes
of pixels, channel by channel. Source: https://www.cs.toronto.edu/~kriz/cifar.html. The whole dataset has less than
200 MB and is kept in memory.
"""

from __future__ import annotations

import gzip
import re
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from qat.data.dataset import Dataset, Labels
from qat.data.files import entries, opened, read_whole
from qat.data.names import printable, reason_of

_IMAGE_BYTES: Final = 3 * 32 * 32
_MAX_RECORDS: Final = 50_000
_MAX_BATCH_BYTES: Final = _MAX_RECORDS * (_IMAGE_BYTES + 2)
_CIFAR_10: Final = (re.compile(r"data_batch_\d\.bin"), re.compile(r"test_batch\.bin"), 1)
_CIFAR_100: Final = (re.compile(r"train\.bin"), re.compile(r"test\.bin"), 2)
_MAX_MEMBERS: Final = 100
_MAX_ARCHIVE_BYTES: Final = 2**28


@dataclass(frozen=True, slots=True)
class _Records:
    images: npt.NDArray[np.uint8]
    labels: Labels


class _SizeLimitedFile:
    """A sequential reader that fails after `_MAX_ARCHIVE_BYTES` decompressed bytes."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file
        self._left_bytes = _MAX_ARCHIVE_BYTES

    def read(self, size_bytes: int) -> bytes:
        """Read the next bytes of the file.

        Args:
            size_bytes: Number of bytes to read.

        Raises:
            tarfile.ReadError: if more than `_MAX_ARCHIVE_BYTES` bytes are read in total.
        """
        self._left_bytes -= size_bytes
        if self._left_bytes < 0:
            raise tarfile.ReadError(f"it holds more than {_MAX_ARCHIVE_BYTES} bytes, and an archive of CIFAR has fewer")
        return self._file.read(size_bytes)


def is_cifar(names: list[str]) -> bool:
    """Whether these file names contain the training and test files of CIFAR-10 or CIFAR-100.

    Args:
        names: File names of a directory or an archive, without folders.
    """
    return any(
        all(any(each.fullmatch(name) for name in names) for each in form[:2]) for form in (_CIFAR_10, _CIFAR_100)
    )


def open_cifar(root: Path, name: str) -> Dataset:
    """Read the dataset in a directory of CIFAR's binary files.

    Args:
        root: The directory that contains the `.bin` files.
        name: Name of the dataset in reports.

    Raises:
        DatasetError: if a file cannot be read or has a wrong size.
    """
    contents = {}
    for entry in entries(root):
        if _is_batch(entry.name):
            contents[entry.name] = read_whole(Path(entry.path), _MAX_BATCH_BYTES)
    return _dataset(contents, name)


def open_cifar_archive(path: Path, name: str) -> Dataset:
    """Read the dataset in CIFAR's `.tar.gz`. Nothing is unpacked to the disk.

    Args:
        path: The compressed archive.
        name: Name of the dataset in reports.

    Raises:
        DatasetError: if the file is not an archive of CIFAR's binary version, or is damaged.
    """
    contents: dict[str, bytes] = {}
    try:
        with (
            opened(path) as packed,
            gzip.GzipFile(fileobj=packed) as plain,
            tarfile.open(fileobj=_SizeLimitedFile(plain), mode="r|") as archive,  # type: ignore[call-overload]  # this mode calls `read` only
        ):
            for count, member in enumerate(archive):
                base = PurePosixPath(member.name).name
                if count >= _MAX_MEMBERS:
                    break
                if not member.isreg() or not _is_batch(base) or base in contents:
                    continue
                file = archive.extractfile(member)
                if file is not None and member.size <= _MAX_BATCH_BYTES:
                    contents[base] = file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        raise DatasetError(
            f"'{name}' cannot be unpacked: {reason_of(error)}; expected CIFAR's complete .tar.gz"
        ) from error
    if not is_cifar(list(contents)):
        raise DatasetError(
            f"'{name}' is a compressed archive, but not of CIFAR's binary version; expected data_batch_1.bin and "
            "test_batch.bin, or train.bin and test.bin: unpack any other archive, and give a WebDataset as plain .tar "
            "files"
        )
    return _dataset(contents, name)


def _is_batch(name: str) -> bool:
    return any(each.fullmatch(name) for form in (_CIFAR_10, _CIFAR_100) for each in form[:2])


def _dataset(contents: dict[str, bytes], name: str) -> Dataset:
    train_names, test_names, label_bytes = (
        _CIFAR_10 if any(_CIFAR_10[0].fullmatch(each) for each in contents) else _CIFAR_100
    )
    train = _records({key: contents[key] for key in sorted(contents) if train_names.fullmatch(key)}, label_bytes)
    test = _records({key: contents[key] for key in sorted(contents) if test_names.fullmatch(key)}, label_bytes)
    return Dataset(name, train.images, train.labels, test.images, test.labels)


def _records(contents: dict[str, bytes], label_bytes: int) -> _Records:
    record_bytes = label_bytes + _IMAGE_BYTES
    parts = []
    for name, content in contents.items():
        if len(content) % record_bytes or not 0 < len(content) <= _MAX_RECORDS * record_bytes:
            raise DatasetError(
                f"'{printable(name)}' holds {len(content)} bytes; expected 1 to {_MAX_RECORDS} records of "
                f"{record_bytes} bytes: the file is damaged, get it again"
            )
        parts.append(np.frombuffer(content, dtype=np.uint8).reshape(-1, record_bytes))
    records = np.concatenate(parts)
    images = records[:, label_bytes:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return _Records(np.ascontiguousarray(images), records[:, label_bytes - 1].astype(np.int64))
