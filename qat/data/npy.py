"""Arrays in `.npy` files: `train_x.npy`, `train_y.npy`, `test_x.npy`, `test_y.npy` in a directory. Imports no torch.

Any numeric samples: images of bytes, or float32 in the network's own layout, such as audio features. Samples are read
when they are taken; labels, which may be absent, are held in memory.
"""

from __future__ import annotations

import math
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, Labels
from qat.data.files import entries, opened, stamp_of
from qat.data.names import reason_of
from qat.data.rows import RowsInFile

SAMPLES: Final = ("train_x", "test_x")
LABELS: Final = ("train_y", "test_y")


@dataclass(frozen=True, slots=True)
class Header:
    """What an array file announces, and holds."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_by_columns: bool


def read_header(file: IO[bytes], name: str, size_bytes: int) -> Header:
    """The header of an array file; the file then stands where the values begin.

    Args:
        file: at its beginning.
        name: the array's, `train_x` to `test_y`.
        size_bytes: of the file as a whole.

    Raises:
        DatasetError: an array of another kind.
        ValueError: no plain array, or a header that announces more or less than the file holds.
    """
    version = np.lib.format.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"'{name}' is an array file of version {version}, not 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_by_columns, dtype = read(file)
    except (tokenize.TokenError, SyntaxError) as error:  # numpy's second look, at what it takes for Python 2's
        raise ValueError(f"'{name}' has a header that is none") from error
    if name in SAMPLES:
        if dtype.newbyteorder("=") not in {np.dtype(np.uint8), np.dtype(np.float32)}:
            raise DatasetError(
                f"'{name}' holds {dtype}; expected uint8 images [n, height, width, channels], or float32 in the "
                "network's own layout: convert it, e.g. with .astype(numpy.float32)"
            )
    elif dtype.kind not in "iu":
        raise DatasetError(f"'{name}' holds {dtype}; expected whole numbers, the class of each sample")
    array_bytes = math.prod(shape) * dtype.itemsize
    if array_bytes != size_bytes - file.tell():
        raise ValueError(f"'{name}' announces {array_bytes} bytes and holds {size_bytes - file.tell()}")
    return Header(shape, dtype, is_by_columns)


def check_rows(header: Header, name: str) -> None:
    """Refuse an array that cannot be read sample by sample.

    Raises:
        DatasetError: it lies in memory column by column, or has no samples.
    """
    if len(header.shape) < 2 or 0 in header.shape:
        raise DatasetError(f"'{name}' has shape {list(header.shape)}; expected samples [n, ...]")
    if header.is_by_columns:
        raise DatasetError(
            f"'{name}' is stored column by column, so its samples cannot be read one by one; "
            "save numpy.ascontiguousarray of it"
        )


def holds_arrays(root: Path) -> bool:
    """Whether a directory holds `train_x.npy`."""
    return any(each.name == "train_x.npy" for each in entries(root))


def open_arrays(root: Path, name: str, max_bytes: int) -> Dataset:
    """The dataset in a directory of `.npy` files.

    Args:
        root: the directory.
        name: what reports call it.
        max_bytes: what the labels may take of memory, each.

    Raises:
        DatasetError: samples missing, or an array of another kind.
    """
    there = {each.name for each in entries(root)}
    missing = [each for each in SAMPLES if f"{each}.npy" not in there]
    if missing:
        raise DatasetError(f"'{name}' lacks {missing[0]}.npy; expected {', '.join(f'{each}.npy' for each in SAMPLES)}")
    labels = [_labels(root, each, max_bytes) if f"{each}.npy" in there else None for each in LABELS]
    return Dataset(name, _rows(root, SAMPLES[0]), labels[0], _rows(root, SAMPLES[1]), labels[1])


def _rows(root: Path, name: str) -> RowsInFile:
    path = root / f"{name}.npy"
    stamp = stamp_of(path)
    with opened(path) as file:
        try:
            header = read_header(file, name, stamp.size_bytes)
        except (ValueError, OverflowError, EOFError) as error:
            raise _unreadable(name, error) from error
        check_rows(header, name)
        return RowsInFile(path, name, stamp, file.tell(), header.dtype, header.shape[1:], header.shape[0])


def _labels(root: Path, name: str, max_bytes: int) -> Labels:
    path = root / f"{name}.npy"
    size_bytes = stamp_of(path).size_bytes
    if size_bytes > max_bytes:
        raise DatasetError(f"'{name}.npy' has {size_bytes} bytes; at most {max_bytes} are taken")
    with opened(path) as file:
        try:
            read_header(file, name, size_bytes)
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False).astype(np.int64)
        except (ValueError, OverflowError, EOFError) as error:
            raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> DatasetError:
    return DatasetError(f"'{name}.npy' cannot be read: {reason_of(error)}; write it with numpy.save")
