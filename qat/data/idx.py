"""MNIST's files, and those of its relatives: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, ... or with `.gz`.

The format: two zero bytes, the type (8: bytes), the number of extents, each extent as a big-endian 32-bit number, then
the values. Source: http://yann.lecun.com/exdb/mnist/. Imports no torch.
"""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import zlib
from pathlib import Path
from typing import IO, Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, Labels, SampleSource
from qat.data.files import entries, opened, read_whole, stamp_of
from qat.data.names import reason_of, shown
from qat.data.rows import RowsInFile

_NAME: Final = re.compile(r"(.*?)(images|labels)[-._]idx(\d)[-._]ubyte(\.gz)?", re.IGNORECASE)
_BYTES: Final = 8
_SCANNED_BYTES: Final = 2**20


def idx_files(root: Path) -> dict[str, Path]:
    """'train images' -> its file, ...: those of the four that are there.

    Raises:
        DatasetError: two files for one.
    """
    found: dict[str, Path] = {}
    for entry in entries(root):
        match = _NAME.fullmatch(entry.name)
        if match is None or not entry.is_file(follow_symlinks=False):
            continue
        prefix = match[1].lower()
        part = "train" if "train" in prefix else "test" if "t10k" in prefix or "test" in prefix else None
        key = f"{part} {match[2].lower()}"
        if part is None:
            continue
        if key in found:
            raise DatasetError(f"'{shown(found[key].name)}' and '{shown(entry.name)}' are both {key}; leave one")
        found[key] = Path(entry.path)
    return found


def open_idx(root: Path, name: str, max_bytes: int) -> Dataset:
    """The dataset in a directory of idx files; labels may be absent.

    Args:
        root: the directory.
        name: what reports call it.
        max_bytes: what compressed files may take of memory, each.

    Raises:
        DatasetError: images of a part missing, or a file that is no idx file of bytes.
    """
    files = idx_files(root)
    missing = [key for key in ("train images", "test images") if key not in files]
    if missing:
        raise DatasetError(f"'{name}' lacks a file of {missing[0]}; expected e.g. train-images-idx3-ubyte")
    sources = {key: _source(files[f"{key} images"], max_bytes) for key in ("train", "test")}
    labels: dict[str, Labels | None] = {"train": None, "test": None}
    for part in labels:
        path = files.get(f"{part} labels")
        if path is not None:
            labels[part] = _labels(path, max_bytes)
    return Dataset(name, sources["train"], labels["train"], sources["test"], labels["test"])


def _source(path: Path, max_bytes: int) -> SampleSource:
    """uint8 [n, height, width, channels]."""
    if path.suffix.lower() == ".gz":
        shape, content = _unpacked(path, max_bytes)
        return np.frombuffer(content, dtype=np.uint8).reshape(_image_shape(shape, path))
    stamp = stamp_of(path)
    with opened(path) as file:
        shape = _extents(file, path)
        offset = file.tell()
    if stamp.size_bytes - offset != math.prod(shape):
        raise _of_another_size(path, math.prod(shape), stamp.size_bytes - offset)
    rows, *dims = _image_shape(shape, path)
    return RowsInFile(path, path.name, stamp, offset, np.dtype(np.uint8), tuple(dims), rows)


def _labels(path: Path, max_bytes: int) -> Labels:
    if path.suffix.lower() == ".gz":
        shape, content = _unpacked(path, max_bytes)
    else:
        content = read_whole(path, max_bytes)
        with io.BytesIO(content) as file:
            shape = _extents(file, path)
            content = content[file.tell() :]
        if len(content) != math.prod(shape):
            raise _of_another_size(path, math.prod(shape), len(content))
    if len(shape) != 1:
        raise DatasetError(f"'{shown(path.name)}' has {len(shape)} extents; expected labels [n]")
    return np.frombuffer(content, dtype=np.uint8).astype(np.int64)


def _unpacked(path: Path, max_bytes: int) -> tuple[tuple[int, ...], bytes]:
    try:
        with opened(path) as packed, gzip.GzipFile(fileobj=packed) as file:
            shape = _extents(file, path)
            _check_bounded(path, shape, max_bytes)
            count = math.prod(shape)
            content = bytearray()
            # Piece by piece: what the header announces is believed once it has come.
            while len(content) <= count and (piece := file.read(min(_SCANNED_BYTES, count + 1 - len(content)))):
                content += piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"'{shown(path.name)}' cannot be unpacked: {reason_of(error)}") from error
    if len(content) != count:
        raise _of_another_size(path, count, len(content))
    return shape, bytes(content)


def _extents(file: IO[bytes] | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    start = file.read(4)
    count = start[3] if len(start) == 4 else 0
    extents = file.read(4 * count)
    if start[:3] != bytes((0, 0, _BYTES)) or not 1 <= count <= 4 or len(extents) != 4 * count:
        raise DatasetError(f"'{shown(path.name)}' does not begin as an idx file of bytes does (0, 0, 8, extents)")
    return struct.unpack(f">{count}I", extents)


def _image_shape(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    if len(shape) not in {3, 4} or 0 in shape[1:]:
        raise DatasetError(f"'{shown(path.name)}' has the extents {list(shape)}; expected images [n, height, width]")
    return shape if len(shape) == 4 else (*shape, 1)


def _check_bounded(path: Path, shape: tuple[int, ...], max_bytes: int) -> None:
    if math.prod(shape) > max_bytes:
        raise DatasetError(
            f"'{shown(path.name)}' holds {math.prod(shape)} bytes; at most {max_bytes} are taken into memory: "
            "unpack the file, then it is read piece by piece"
        )


def _of_another_size(path: Path, announced: int, held: int) -> DatasetError:
    return DatasetError(
        f"'{shown(path.name)}' announces {announced} values and holds {'more' if held > announced else held}; "
        "the file is damaged"
    )
