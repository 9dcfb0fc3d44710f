"""Reader of `train_x.npy`, `train_y.npy`, `test_x.npy` and `test_y.npy` in a directory. Imports no torch.

Samples are uint8 images, or float32 arrays in the network's layout, such as audio features. They are read from the file
when they are indexed. Targets are optional: whole numbers or floating-point numbers of any shape [n, ...]. Targets of
one value for each sample, and small files of targets, are kept in memory; other targets are read when they are indexed.
"""

from __future__ import annotations

import math
import tokenize
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, NoSamples, TargetSource
from qat.data.files import entries, opened, stamp_of
from qat.data.names import reason_of
from qat.data.rows import RowsInFile
from qat.data.target_arrays import check_target_shape, check_target_type, has_one_value, kept, kept_type

SAMPLES: Final = ("train_x", "test_x")
TARGETS: Final = ("train_y", "test_y")
LEFT_IN_FILE_BYTES: Final = 2**28
"""Size in bytes above which uncompressed arrays of an `.npz`, and targets of several values, stay in the file and are
read when they are indexed."""


@dataclass(frozen=True, slots=True)
class Header:
    """Header of an array file.

    Attributes:
        shape: Shape of the array, first the number of samples.
        dtype: Type of the numbers in the file.
        is_by_columns: Whether the array is stored in Fortran order, so that a sample is not contiguous.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_by_columns: bool


def read_header(file: IO[bytes], name: str, size_bytes: int) -> Header:
    """Read and check the header of an array file, and leave the file at the first value.

    Args:
        file: The file, positioned at its beginning.
        name: Name of the array: `train_x`, `train_y`, `test_x`, `test_y`, or `train_x_KEY`, `test_x_KEY` of one input.
        size_bytes: Size of the whole file in bytes.

    Raises:
        DatasetError: if the array has the wrong type for samples or targets.
        ValueError: if the header is not valid, or states another size than the file has.
    """
    version = np.lib.format.read_magic(file)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"'{name}' is an array file of version {version}; expected 1.0 or 2.0")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, is_by_columns, dtype = read(file)
    except (tokenize.TokenError, SyntaxError) as error:  # numpy raises them when it retries a header as Python 2 code
        raise ValueError(f"the header of '{name}' is not valid") from error
    if name.startswith(SAMPLES):
        if dtype.newbyteorder("=") not in {np.dtype(np.uint8), np.dtype(np.float32)}:
            raise DatasetError(
                f"'{name}' holds {dtype}; expected uint8 images [n, height, width, channels], or float32 in the "
                "network's layout: convert it, e.g. with .astype(numpy.float32)"
            )
    else:
        check_target_type(name, dtype)
        check_target_shape(name, shape)
    array_bytes = math.prod(shape) * dtype.itemsize
    if array_bytes != size_bytes - file.tell():
        raise ValueError(
            f"the header of '{name}' states {array_bytes} bytes of values, but {size_bytes - file.tell()} follow"
        )
    return Header(shape, dtype, is_by_columns)


def check_rows(header: Header, name: str) -> None:
    """Reject an array that cannot be read sample by sample.

    Args:
        header: Header of the array file.
        name: Name of the array in errors.

    Raises:
        DatasetError: if the array is stored column by column, or has no samples.
    """
    if len(header.shape) < 2 or 0 in header.shape:
        raise DatasetError(f"'{name}' has shape {list(header.shape)}; expected one or more samples [n, ...]")
    if header.is_by_columns:
        raise DatasetError(
            f"'{name}' is stored column by column, so its samples cannot be read one by one; "
            "save the array as numpy.ascontiguousarray(array)"
        )


def stays_in_file(header: Header, name: str, size_bytes: int) -> bool:
    """Return whether an array is read when it is indexed, because it is large and is no list of one target per sample.

    Args:
        header: Header of the array, which is stored without compression.
        name: Name of the array.
        size_bytes: Size of the array in bytes.
    """
    return size_bytes > LEFT_IN_FILE_BYTES and not (name in TARGETS and has_one_value(header.shape))


def holds_arrays(root: Path) -> bool:
    """Whether a directory contains the file `train_x.npy`.

    Args:
        root: The directory.
    """
    return any(each.name == "train_x.npy" for each in entries(root))


def open_arrays(root: Path, name: str, max_bytes: int) -> Dataset:
    """Read the dataset in a directory of `.npy` files.

    Args:
        root: The directory.
        name: Name of the dataset in reports.
        max_bytes: Largest size of each file of targets that is read into memory, in bytes.

    Raises:
        DatasetError: if `train_x.npy` is missing, `test_y.npy` has no `test_x.npy`, or a file is damaged or has the
            wrong type.
    """
    present = {each.name for each in entries(root)}
    arrays = {each for each in (*SAMPLES, *TARGETS) if f"{each}.npy" in present}
    check_arrays(arrays, name, ".npy")
    train_y, test_y = (_targets(root, each, max_bytes) if each in arrays else None for each in TARGETS)
    train_x = _rows(root, "train_x")
    test_x = _rows(root, "test_x") if "test_x" in arrays else NoSamples(train_x.dtype, train_x.dims)
    return Dataset(name, train_x, train_y, test_x, test_y)


def check_arrays(arrays: Collection[str], name: str, suffix: str = "") -> None:
    """Reject a dataset without training samples or with test targets that have no samples. A test set is optional.

    Args:
        arrays: Those of the names `train_x`, `train_y`, `test_x` and `test_y` that the dataset contains.
        name: Name of the dataset in errors.
        suffix: Suffix of the names of the arrays in errors.

    Raises:
        DatasetError: if `train_x` is missing, or `test_y` has no `test_x`.
    """
    if "train_x" not in arrays or ("test_y" in arrays and "test_x" not in arrays):
        missing = "test_x" if "train_x" in arrays else "train_x"
        raise DatasetError(
            f"'{name}' lacks {missing}{suffix}; expected train_x, and test_x if accuracy is to be measured, each with "
            f"its targets train_y and test_y if there are any; found {', '.join(sorted(arrays)) or 'none of them'}"
        )


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


def _targets(root: Path, name: str, max_bytes: int) -> TargetSource:
    path = root / f"{name}.npy"
    size_bytes = stamp_of(path).size_bytes
    with opened(path) as file:
        try:
            header = read_header(file, name, size_bytes)
            if stays_in_file(header, name, size_bytes):
                return _rows(root, name)
            kept_bytes = math.prod(header.shape) * kept_type(header.dtype, header.shape).itemsize
            needed_bytes = max(size_bytes, kept_bytes)
            if needed_bytes > max_bytes:
                raise DatasetError(
                    f"'{name}.npy' needs {needed_bytes} bytes of memory; at most {max_bytes} are allowed: give fewer "
                    "samples"
                )
            file.seek(0)
            return kept(np.lib.format.read_array(file, allow_pickle=False))
        except (ValueError, OverflowError, EOFError) as error:
            raise _unreadable(name, error) from error


def _unreadable(name: str, error: Exception) -> DatasetError:
    return DatasetError(f"'{name}.npy' cannot be read: {reason_of(error)}; write it with numpy.save")
