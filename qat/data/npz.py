"""Reader of datasets in an `.npz` file. Imports no torch.

The file contains these arrays. `train_y` and `test_y` are missing if the samples have no targets, `test_x` if there is
no test set:

    train_x, test_x   uint8 images [n, height, width, channels], or float32 in the network's layout [n, ...]
    train_y, test_y   targets [n, ...]: whole numbers, booleans, float32 or float64; the class of each sample, from 0,
                      labels, real numbers, images or masks

For a network with several inputs, `train_x` and `test_x` hold the flattened and joined inputs, float32 [n, elements].
Or there is one array for each input: `train_x_0`, `train_x_1`, ... in the order of the inputs, or `train_x_NAME`.

Files can come from untrusted users: nothing is unpickled, only these members are opened, and the memory that they need
is computed from their headers and limited before it is allocated. Large samples and targets that are stored without
compression stay in the file and are read when they are indexed.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from network.network_input import MAX_INPUTS
from qat.data.dataset import Dataset, NoSamples, SampleSource
from qat.data.files import Stamp, opened, read_part, stamp_of
from qat.data.input_arrays import InputArrays
from qat.data.names import reason_of
from qat.data.npy import SAMPLES, TARGETS, Header, check_arrays, check_rows, read_header, stays_in_file
from qat.data.rows import RowsInFile
from qat.data.target_arrays import kept, kept_type

MEMBERS: Final = (*SAMPLES, *TARGETS)
DEFAULT_MAX_BYTES: Final = 4 * 2**30
"""Largest size of all arrays that are read into memory, in bytes, by default."""
MAX_EXPANSION: Final = 200
"""Largest ratio of decompressed to compressed size of a large member: real data is far below, a zip bomb far above."""
LARGE_MEMBER_BYTES: Final = 64 * 2**20
"""Decompressed size in bytes above which the ratio of a member is checked."""
_CHUNK_BYTES: Final = 2**20
_LOCAL_HEADER_BYTES: Final = 30
_UNREADABLE: Final = (
    OSError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError,
    RuntimeError,  # an encrypted file, or an unknown compression
    ValueError, OverflowError,  # an invalid array header
)  # fmt: skip


def read_npz(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Dataset:
    """Read the dataset in an `.npz` file. Its name is the name of the file.

    Args:
        path: The file.
        max_bytes: Largest size of all arrays that are read into memory, in bytes.

    Raises:
        DatasetError: if the file is not a readable `.npz`, `train_x` is missing, `test_y` has no `test_x`, an array has
            the wrong type, or the arrays are larger than `max_bytes`.
    """
    try:
        stamp = stamp_of(path)
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            arrays = _read_members(archive, path, stamp, max_bytes)
    except DatasetError as error:
        if error.__cause__ is None:
            raise
        raise _unreadable(path, error.__cause__) from error
    except _UNREADABLE as error:
        raise _unreadable(path, error) from error
    train_x = _samples(arrays, "train_x")
    no_samples = NoSamples(train_x.dtype, tuple(train_x.shape[1:]))
    test_x = _samples(arrays, "test_x") if any(name.startswith("test_x") for name in arrays) else no_samples
    return Dataset(path.stem, train_x, arrays.get("train_y"), test_x, arrays.get("test_y"))


def _samples(arrays: Mapping[str, Any], part: str) -> SampleSource:
    """Return the samples of a part: one array, or one for each input."""
    if part in arrays:
        found: SampleSource = arrays[part]
        return found
    prefix = f"{part}_"
    return InputArrays({name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)})


def _unreadable(path: Path, error: BaseException) -> DatasetError:
    return DatasetError(
        f"'{path.name}' cannot be read as an .npz of {', '.join(MEMBERS)}: {reason_of(error)}; "
        "write it with numpy.savez(path, train_x=..., train_y=..., test_x=..., test_y=...)"
    )


def _read_members(archive: zipfile.ZipFile, path: Path, stamp: Stamp, max_bytes: int) -> dict[str, Any]:
    file_name = path.name
    members = {info.filename: info for info in archive.infolist()}
    infos = {name: members[f"{name}.npy"] for name in MEMBERS if f"{name}.npy" in members}
    for part in SAMPLES:
        if part not in infos:
            infos |= _of_inputs(members, part)
    check_arrays({name[: len(part)] for name in infos for part in MEMBERS if name.startswith(part)}, file_name)
    for name, info in infos.items():
        if info.file_size > LARGE_MEMBER_BYTES and info.file_size > MAX_EXPANSION * info.compress_size:
            raise DatasetError(
                f"'{name}' in '{file_name}' would grow from {info.compress_size} to {info.file_size} bytes; at most "
                f"{MAX_EXPANSION} times are allowed: write the file with numpy.savez, without compression"
            )
    headers = {name: _header(archive, info, name) for name, info in infos.items()}
    in_file = {
        name
        for name, info in infos.items()
        if info.compress_type == zipfile.ZIP_STORED and stays_in_file(headers[name], name, info.file_size)
    }
    sizes_bytes = {name: max(info.file_size, _kept_bytes(headers[name], name)) for name, info in infos.items()}
    total_bytes = sum(size for name, size in sizes_bytes.items() if name not in in_file)
    if total_bytes > max_bytes:
        raise DatasetError(
            f"'{file_name}' holds arrays of {total_bytes} bytes; at most {max_bytes} are allowed: give fewer samples, "
            "or write the file with numpy.savez, without compression"
        )
    return {
        name: _rows(archive, info, name, path, stamp) if name in in_file else _array(archive, info, name)
        for name, info in infos.items()
    }


def _of_inputs(members: Mapping[str, zipfile.ZipInfo], part: str) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of a part that has one array for each input, by their names."""
    prefix, suffix = f"{part}_", ".npy"
    found = {name.removesuffix(suffix): info for name, info in members.items() if name.startswith(prefix)}
    if len(found) > MAX_INPUTS:
        raise DatasetError(f"the file has {len(found)} arrays {prefix}...; expected at most {MAX_INPUTS} inputs")
    return found


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Header:
    with archive.open(info) as member:
        return read_header(member, name, info.file_size)


def _kept_bytes(header: Header, name: str) -> int:
    """Return the size in bytes of an array in memory: one whole number for each sample is kept as int64."""
    kept_as = kept_type(header.dtype, header.shape) if name in TARGETS else header.dtype
    return math.prod(header.shape) * kept_as.itemsize


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> npt.NDArray[np.generic]:
    with archive.open(info) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
    if name in TARGETS:
        return kept(array)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _rows(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, path: Path, stamp: Stamp) -> RowsInFile:
    with archive.open(info) as member:
        header = read_header(member, name, info.file_size)
        header_bytes = member.tell()
        check_rows(header, name)
        while member.read(_CHUNK_BYTES):  # zipfile compares the checksum at the end of the member
            pass
    with opened(path) as file:
        local = read_part(file, info.header_offset, _LOCAL_HEADER_BYTES, path.name)
    # The local header states the lengths of the name and of the extra field, which can differ from the directory's.
    offset = info.header_offset + _LOCAL_HEADER_BYTES + sum(np.frombuffer(local[26:30], dtype="<u2").tolist())
    return RowsInFile(path, name, stamp, offset + header_bytes, header.dtype, header.shape[1:], header.shape[0])
