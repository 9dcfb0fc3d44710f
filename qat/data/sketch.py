"""Sketch of a dataset: what the checks before a job read of it, in a small file. Imports no torch.

A sketch is itself a `Dataset`, on which `check_dataset` decides and complains as on the dataset, without its samples:

    samples in arrays     type and shape, and the error of the first invalid sample
    encoded images        the first ones, as they are
    targets               all of them; of large ones, such as images, the first rows, as of targets in files

Like everything that is read from a file by index, later samples and targets are checked when they are read.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from qat.data.dataset import Dataset, Indices, NoSamples, SampleSource, TargetSource, indices_of
from qat.data.encoded_store import EncodedStore
from qat.data.images import EncodedImages
from qat.data.input_arrays import InputArrays
from qat.data.paired_images import EncodedTargets, TargetKind
from qat.tasks.target_checks import check_finite

MAX_KEPT_BYTES: Final = 16 * 2**20
"""Largest size of the targets, or of the encoded images, that a sketch keeps, in bytes."""
_FIRST_ROWS: Final = 64
_FIRST_IMAGES: Final = 8
_HEAD: Final = "sketch"
_DAMAGED: Final = (OSError, EOFError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile, zlib.error)
"""Errors of a file that is not a sketch, or is incomplete."""

Arrays = dict[str, npt.NDArray[Any]]


class _TooLarge(Exception):
    """Error: not even the first samples can be kept."""


@dataclass(frozen=True, eq=False)
class FirstRows:
    """Rows of which only the first are kept; the others are zeros.

    Attributes:
        dtype: Type of the rows.
        shape: Shape of all rows together, [n, *dims].
        rows: The first rows, [kept, *dims].
        fault: Message of the error that reading the rows raises; None if they are valid.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    rows: npt.NDArray[Any]
    fault: str | None = None

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, selected: slice | Indices, /) -> npt.NDArray[Any]:
        if self.fault is not None:
            raise DatasetError(self.fault)
        indices = indices_of(selected, len(self))
        known = indices < len(self.rows)
        found = np.zeros((len(indices), *self.shape[1:]), dtype=self.dtype)
        found[known] = self.rows[indices[known]]
        return found


@dataclass(frozen=True, eq=False)
class FirstImages:
    """Store of encoded images of which only the first are kept.

    Attributes:
        count: Number of images.
        names: Name in errors of each image that is kept.
        contents: Encoded content of each image that is kept; at least one.
    """

    count: int
    names: tuple[str, ...]
    contents: tuple[bytes, ...]

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> bytes:
        """Return the encoded content of an image; for one that is not kept, that of the last one that is."""
        return self.contents[min(index, len(self.contents) - 1)]

    def name_of(self, index: int) -> str:
        """Return the name of an image in errors."""
        return self.names[min(index, len(self.names) - 1)]


def sketch_of(dataset: Dataset) -> bytes | None:
    """Return the content of a file with the sketch of a dataset; None if its first samples are too large for one.

    Args:
        dataset: The dataset.

    Raises:
        DatasetError: If the first samples cannot be read.
    """
    arrays: Arrays = {}
    try:
        head = {
            "name": dataset.name,
            "class_names": dataset.class_names,
            **{part: _samples(getattr(dataset, part), part, arrays) for part in ("train_x", "test_x")},
            **{part: _targets(getattr(dataset, part), part, arrays) for part in ("train_y", "test_y")},
        }
    except _TooLarge:
        return None
    arrays[_HEAD] = np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # numpy's stub takes **arrays for its own options
    return file.getvalue()


def read_sketch(content: bytes) -> Dataset:
    """Return the sketch in the content of a file that `sketch_of` has made.

    Raises:
        DatasetError: If the content is not a sketch.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = dict(file)
        head = json.loads(arrays[_HEAD].tobytes())
        parts = {part: _read(head[part], arrays) for part in ("train_x", "train_y", "test_x", "test_y")}
        names = head["class_names"]
        return Dataset(head["name"], class_names=None if names is None else tuple(names), **parts)
    except _DAMAGED as error:
        raise DatasetError("the sketch of the dataset is damaged; it must be made again") from error


def _samples(source: SampleSource, name: str, arrays: Arrays) -> dict[str, Any]:
    if isinstance(source, NoSamples):
        return {"kind": "none", "dtype": source.dtype.str, "dims": source.dims}
    if isinstance(source, InputArrays):
        return {
            "kind": "inputs",
            "sources": {key: _samples(each, f"{name}_{key}", arrays) for key, each in source.sources.items()},
        }
    if isinstance(source, EncodedImages):
        return {"kind": "images", "store": _store(source.store, name, arrays)}
    fault = None
    try:
        check_finite(name, source)
    except DatasetError as error:
        fault = str(error)
    return {"kind": "rows", "dtype": source.dtype.str, "shape": source.shape, "array": None, "fault": fault}


def _targets(source: TargetSource | None, name: str, arrays: Arrays) -> dict[str, Any] | None:
    if source is None:
        return None
    if isinstance(source, EncodedTargets):
        return {
            "kind": "encoded targets",
            "store": _store(source.store, name, arrays),
            "images": _store(source.images, f"{name}_images", arrays),
            "of": source.kind,
            "is_black_and_white": source.is_black_and_white,
        }
    if isinstance(source, np.ndarray) and source.nbytes <= MAX_KEPT_BYTES:
        arrays[name] = source
        return {"kind": "array", "array": name}
    row_bytes = source.dtype.itemsize * int(np.prod(source.shape[1:], dtype=object))
    kept = min(_FIRST_ROWS, MAX_KEPT_BYTES // max(1, row_bytes), len(source))
    if not kept:
        raise _TooLarge
    arrays[name] = source[:kept]
    return {"kind": "rows", "dtype": source.dtype.str, "shape": source.shape, "array": name, "fault": None}


def _store(store: EncodedStore, name: str, arrays: Arrays) -> dict[str, Any]:
    """Keep the first encoded images of a store, at least one if it has any, and at most `MAX_KEPT_BYTES` of them."""
    contents: list[bytes] = []
    for index in range(min(_FIRST_IMAGES, len(store))):
        content = store.read(index)
        if sum(map(len, contents)) + len(content) > MAX_KEPT_BYTES:
            break
        contents.append(content)
    if not contents:
        raise _TooLarge
    arrays[f"{name}_encoded"] = np.frombuffer(b"".join(contents), dtype=np.uint8)
    return {
        "count": len(store),
        "names": [store.name_of(index) for index in range(len(contents))],
        "lengths": [len(each) for each in contents],
        "array": f"{name}_encoded",
    }


def _read(part: Mapping[str, Any] | None, arrays: Arrays) -> Any:  # noqa: PLR0911  # one for each form
    """Return the samples or targets that a part of a sketch stands for."""
    if part is None:
        return None
    match part["kind"]:
        case "none":
            return NoSamples(np.dtype(part["dtype"]), tuple(part["dims"]))
        case "inputs":
            return InputArrays({key: _read(each, arrays) for key, each in part["sources"].items()})
        case "images":
            return EncodedImages(_read_store(part["store"], arrays))
        case "encoded targets":
            stores = (_read_store(part["store"], arrays), _read_store(part["images"], arrays))
            return EncodedTargets(*stores, TargetKind(part["of"]), part["is_black_and_white"])
        case "array":
            return arrays[part["array"]]
        case _:
            dtype, shape = np.dtype(part["dtype"]), tuple(part["shape"])
            rows = np.zeros((0, *shape[1:]), dtype=dtype) if part["array"] is None else arrays[part["array"]]
            return FirstRows(dtype, shape, rows, part["fault"])


def _read_store(part: Mapping[str, Any], arrays: Arrays) -> FirstImages:
    joined = arrays[part["array"]].tobytes()
    ends = np.cumsum(part["lengths"]).tolist()
    contents = tuple(joined[end - length : end] for end, length in zip(ends, part["lengths"], strict=True))
    return FirstImages(part["count"], tuple(part["names"]), contents)
