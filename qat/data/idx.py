"""Reader of MNIST's idx files: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, ..., plain or with `.gz`.

Fashion-MNIST and other datasets use the same format: two zero bytes, the type (8 for uint8), the number of dimensions,
each dimension as a big-endian 32-bit number, then the values. Source: http://yann.lecun.com/exdb/mnist/. Imports no
torch.
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
from qat.data.names import printable, reason_of
from qat.data.rows import RowsInFile

_NAME: Final = re.compile(r"(.*?)(images|labels)[-._]idx(\d)[-._]ubyte(\.gz)?", re.IGNORECASE)
_UINT8_TYPE: Final = 8
_CHUNK_BYTES: Final = 2**20


def idx_files(root: Path) -> dict[str, Path]:
    """Find the idx files of a directory. Of a packed file and the unpacked one next to it, the unpacked one is used.

    Args:
        root: The directory.

    Returns:
        The path of each file that exists, by 'train images', 'train labels', 'test images' and 'test labels'.

    Raises:
        DatasetError: if two files have the same role and are not the packed and the unpacked form of one file.
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
        if key in found and _is_packed_twin(entry.name, found[key].name):
            continue
        if key in found and not _is_packed_twin(found[key].name, entry.name):
            raise DatasetError(
                f"'{printable(found[key].name)}' and '{printable(entry.name)}' both contain {key}; remove one of them"
            )
        found[key] = Path(entry.path)
    return found


def _is_packed_twin(name: str, other: str) -> bool:
    """Whether a file is the packed form of another one; unpacking can change the name, from '-idx3' to '.idx3'."""
    packed, plain = _NAME.fullmatch(name), _NAME.fullmatch(other)
    if packed is None or plain is None or packed[4] is None or plain[4] is not None:
        return False
    return [each.lower() for each in packed.groups()[:3]] == [each.lower() for each in plain.groups()[:3]]


def open_idx(root: Path, name: str, max_bytes: int) -> Dataset:
    """Read the dataset in a directory of idx files. Files of labels are optional.

    Args:
        root: The directory.
        name: Name of the dataset in reports.
        max_bytes: Largest decompressed size of a compressed file and largest size of a file of labels, in bytes.

    Raises:
        DatasetError: if the training or the test images are missing, or a file is damaged, too large, or not an idx
            file of uint8 values.
    """
    files = idx_files(root)
    missing = [key for key in ("train images", "test images") if key not in files]
    if missing:
        raise DatasetError(
            f"'{name}' lacks a file of {missing[0]}; expected train-images-idx3-ubyte and t10k-images-idx3-ubyte, or "
            "the same names with .gz"
        )
    sources = {key: _source(files[f"{key} images"], max_bytes) for key in ("train", "test")}
    labels: dict[str, Labels | None] = {"train": None, "test": None}
    for part in labels:
        path = files.get(f"{part} labels")
        if path is not None:
            labels[part] = _labels(path, max_bytes)
    return Dataset(name, sources["train"], labels["train"], sources["test"], labels["test"])


def _source(path: Path, max_bytes: int) -> SampleSource:
    """Return the images of a file as a source, uint8 [n, height, width, channels]."""
    if path.suffix.lower() == ".gz":
        shape, content = _unpacked(path, max_bytes)
        return np.frombuffer(content, dtype=np.uint8).reshape(_image_shape(shape, path))
    stamp = stamp_of(path)
    with opened(path) as file:
        shape = _extents(file, path)
        offset = file.tell()
    if stamp.size_bytes - offset != math.prod(shape):
        raise _wrong_size(path, math.prod(shape), stamp.size_bytes - offset)
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
            raise _wrong_size(path, math.prod(shape), len(content))
    if len(shape) != 1:
        raise DatasetError(
            f"'{printable(path.name)}' has {len(shape)} dimensions; expected labels [n], the class of each sample"
        )
    return np.frombuffer(content, dtype=np.uint8).astype(np.int64)


def _unpacked(path: Path, max_bytes: int) -> tuple[tuple[int, ...], bytes]:
    try:
        with opened(path) as packed, gzip.GzipFile(fileobj=packed) as file:
            shape = _extents(file, path)
            _check_bounded(path, shape, max_bytes)
            count = math.prod(shape)
            content = bytearray()
            # Read in chunks: memory is allocated for bytes that exist, not for the size that the header states.
            while len(content) <= count and (chunk := file.read(min(_CHUNK_BYTES, count + 1 - len(content)))):
                content += chunk
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(
            f"'{printable(path.name)}' cannot be unpacked: {reason_of(error)}; expected a complete .gz file"
        ) from error
    if len(content) != count:
        raise _wrong_size(path, count, len(content))
    return shape, bytes(content)


def _extents(file: IO[bytes] | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    start = file.read(4)
    count = start[3] if len(start) == 4 else 0
    extents = file.read(4 * count)
    if start[:3] != bytes((0, 0, _UINT8_TYPE)) or not 1 <= count <= 4 or len(extents) != 4 * count:
        raise DatasetError(
            f"'{printable(path.name)}' does not begin as an idx file of uint8 values; expected the bytes 0, 0, 8, the "
            "number of dimensions (1 to 4) and the dimensions"
        )
    return struct.unpack(f">{count}I", extents)


def _image_shape(shape: tuple[int, ...], path: Path) -> tuple[int, ...]:
    if len(shape) not in {3, 4} or 0 in shape[1:]:
        raise DatasetError(
            f"'{printable(path.name)}' has the shape {list(shape)}; expected images [n, height, width] or "
            "[n, height, width, channels]"
        )
    return shape if len(shape) == 4 else (*shape, 1)


def _check_bounded(path: Path, shape: tuple[int, ...], max_bytes: int) -> None:
    if math.prod(shape) > max_bytes:
        raise DatasetError(
            f"'{printable(path.name)}' holds {math.prod(shape)} bytes; at most {max_bytes} are read into memory: "
            "unpack the file, then its samples are read when they are needed"
        )


def _wrong_size(path: Path, expected: int, actual: int) -> DatasetError:
    return DatasetError(
        f"the header of '{printable(path.name)}' states {expected} values, but the file holds "
        f"{'more' if actual > expected else actual}: the file is damaged, get it again"
    )
