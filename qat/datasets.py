"""Labelled samples to train and test on, checked before anything is computed from them. Imports no torch.

A dataset file is an `.npz` with four arrays:

    train_x, test_x   uint8 images [n, height, width, channels], or float32 in the network's own layout [n, ...]
    train_y, test_y   whole numbers [n]: the class of each sample, from 0

Files come from strangers: nothing is unpickled, only these four members are opened, and what they will take of memory
is known from their headers, and bounded, before it is taken.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from network.layers import FloatArray
from network.network import InputFormat, Network

Samples = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]

MEMBERS: Final = ("train_x", "train_y", "test_x", "test_y")
DEFAULT_MAX_BYTES: Final = 4 * 2**30
MAX_EXPANSION: Final = 200
"""How many times its compressed size a large member may have; real data is far below, a zip bomb far above."""
LARGE_MEMBER_BYTES: Final = 64 * 2**20
DIGITS_TEST_SAMPLES: Final = 360
_CHECKED_AT_ONCE: Final = 4096
_UNREADABLE: Final = (
    OSError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError,
    RuntimeError,  # encrypted, or an unknown compression
    ValueError, OverflowError,  # a header that is no array's
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled samples.

    Attributes:
        name: what reports call it.
        train_x: uint8 [n, height, width, channels], or float32 [n, *dims] in the network's own layout.
        train_y: int64 [n], classes from 0.
        test_x: as `train_x`. It is only ever measured on: it decides nothing.
        test_y: as `train_y`.
    """

    name: str
    train_x: Samples
    train_y: Labels
    test_x: Samples
    test_y: Labels


def digits() -> Dataset:
    """Handwritten digits, scikit-learn's `load_digits`: 1,797 images of 8x8 with values 0 to 16, in 10 classes.

    Returns:
        1,437 training and 360 test images, uint8 [n, 8, 8, 1]; each class in equal shares, always the same split.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # scikit-learn ships no types
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]  # the same

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=DIGITS_TEST_SAMPLES, random_state=0, stratify=labels
    )
    return Dataset("digits", train_x, train_y, test_x, test_y)


def read_npz(path: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> Dataset:
    """The dataset in an `.npz` file, named after it.

    Args:
        path: the file.
        max_bytes: what its arrays may take of memory, together.

    Raises:
        DatasetError: not a readable `.npz`, arrays missing, of another kind, or larger than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read_members(archive, path.name, max_bytes)
    except _UNREADABLE as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DatasetError(
            f"'{path.name}' cannot be read as an .npz of {', '.join(MEMBERS)}: {reason}; "
            "write it with numpy.savez(path, train_x=..., train_y=..., test_x=..., test_y=...)"
        ) from error
    return Dataset(
        path.stem,
        _as_samples(arrays["train_x"]),
        arrays["train_y"].astype(np.int64),
        _as_samples(arrays["test_x"]),
        arrays["test_y"].astype(np.int64),
    )


def _read_members(archive: zipfile.ZipFile, file_name: str, max_bytes: int) -> dict[str, npt.NDArray[np.generic]]:
    members = {info.filename: info for info in archive.infolist()}
    missing = [name for name in MEMBERS if f"{name}.npy" not in members]
    if missing:
        raise DatasetError(
            f"'{file_name}' lacks {', '.join(missing)}; expected the arrays {', '.join(MEMBERS)}, "
            f"found {', '.join(sorted(members))[:200] or 'none'}"
        )
    infos = {name: members[f"{name}.npy"] for name in MEMBERS}
    total_bytes = sum(info.file_size for info in infos.values())
    if total_bytes > max_bytes:
        raise DatasetError(
            f"'{file_name}' holds arrays of {total_bytes} bytes; at most {max_bytes} are taken: give fewer samples"
        )
    for name, info in infos.items():
        if info.file_size > LARGE_MEMBER_BYTES and info.file_size > MAX_EXPANSION * info.compress_size:
            raise DatasetError(
                f"'{name}' in '{file_name}' would grow from {info.compress_size} to {info.file_size} bytes, which no "
                "real data does; write it with numpy.savez, uncompressed"
            )
        with archive.open(info) as member:
            _check_header(member, info, name)
    arrays = {}
    for name, info in infos.items():
        with archive.open(info) as member:
            arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays


def _check_header(member: IO[bytes], info: zipfile.ZipInfo, name: str) -> None:
    """Refuse what is no plain array of the right kind, and a header that announces more than the member holds."""
    version = np.lib.format.read_magic(member)
    if version not in {(1, 0), (2, 0)}:
        raise ValueError(f"'{name}' is an array file of version {version}, not 1.0 or 2.0")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(member)
    if name.endswith("_x"):
        if dtype.newbyteorder("=") not in {np.dtype(np.uint8), np.dtype(np.float32)}:
            raise DatasetError(
                f"'{name}' holds {dtype}; expected uint8 images [n, height, width, channels], or float32 in the "
                "network's own layout: convert it, e.g. with .astype(numpy.float32)"
            )
    elif dtype.kind not in "iu":
        raise DatasetError(f"'{name}' holds {dtype}; expected whole numbers, the class of each sample")
    array_bytes = math.prod(shape) * dtype.itemsize
    if array_bytes != info.file_size - member.tell():
        raise ValueError(f"'{name}' announces {array_bytes} bytes and holds {info.file_size - member.tell()}")


def _as_samples(array: npt.NDArray[np.generic]) -> Samples:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array, dtype=np.uint8)
    return np.ascontiguousarray(array, dtype=np.float32)


def sample_dims(input_format: InputFormat, dtype: np.dtype[np.generic]) -> tuple[int, ...]:
    """One sample's extents as a dataset must have them: images of bytes are height, width, channels always."""
    dims = input_format.dims
    if dtype == np.uint8 and len(dims) == 3 and not input_format.channels_last:
        channels, height, width = dims
        return (height, width, channels)
    return dims


def to_input_tensor(samples: Samples, network: Network) -> FloatArray:
    """A dataset's samples -> float32 [n, channels, height, width] as the network's first layer takes them."""
    dims = network.input_format.dims
    if sample_dims(network.input_format, samples.dtype) != dims:
        samples = samples.transpose(0, 3, 1, 2)
    return network.input_format.to_input_tensor(samples, network.input_shape)


def check_dataset(dataset: Dataset, network: Network) -> None:
    """Refuse a dataset that does not fit the network.

    Raises:
        DatasetError: other shapes, labels outside the network's classes, no samples, NaN or infinity; or a network
            with several outputs, which labels alone cannot train.
    """
    if len(network.outputs) != 1:
        raise DatasetError(
            f"the network has {len(network.outputs)} outputs ({', '.join(network.outputs)[:200]}); "
            "labels train a network with one"
        )
    classes = network.shapes[network.outputs[0]].elements
    parts = {"train": (dataset.train_x, dataset.train_y), "test": (dataset.test_x, dataset.test_y)}
    for part, (samples, labels) in parts.items():
        _check_part(part, samples, labels, network.input_format, classes)
    if len(dataset.train_x) < 2:
        raise DatasetError("train_x holds 1 sample; expected 2 or more: some are held out to choose the best epoch")


def _check_part(part: str, samples: Samples, labels: Labels, input_format: InputFormat, classes: int) -> None:
    if samples.dtype not in {np.dtype(np.uint8), np.dtype(np.float32)}:
        raise DatasetError(f"{part}_x holds {samples.dtype}; expected uint8 or float32")
    dims = sample_dims(input_format, samples.dtype)
    if samples.shape[1:] != dims or samples.ndim != len(dims) + 1:
        expected = ", ".join(map(str, dims))
        layout = "height, width, channels" if samples.dtype == np.uint8 and len(dims) == 3 else "the network's layout"
        raise DatasetError(
            f"{part}_x is {samples.dtype} with shape {list(samples.shape)}; "
            f"this network takes [n, {expected}] ({layout})"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{part}_y is {labels.dtype} with shape {list(labels.shape)}; expected whole numbers [n], "
            "the class of each sample"
        )
    if len(samples) != len(labels):
        raise DatasetError(f"{part}_x holds {len(samples)} samples and {part}_y {len(labels)} labels; expected as many")
    if not len(samples):
        raise DatasetError(f"{part}_x holds no samples; expected at least one")
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        first = int(outside[0])
        raise DatasetError(
            f"{part}_y[{first}] is {labels[first]} ({outside.size} labels are outside); the network tells "
            f"{classes} classes apart: expected 0 to {classes - 1}"
        )
    if samples.dtype == np.float32:
        _check_finite(part, samples)


def _check_finite(part: str, samples: Samples) -> None:
    for start in range(0, len(samples), _CHECKED_AT_ONCE):
        rows = samples[start : start + _CHECKED_AT_ONCE]
        bad = np.flatnonzero(~np.isfinite(rows).reshape(len(rows), -1).all(axis=1))
        if bad.size:
            raise DatasetError(f"{part}_x[{start + int(bad[0])}] holds NaN or infinity; expected finite numbers")
