"""Reader of Parquet files of encoded images, as dataset hubs publish them. Imports no torch.

A file has a column of images, {bytes, path} or the bytes alone, and a column of classes. Only the bytes are used; a
path is never opened. Images are read one row group at a time and few row groups are cached, so the size of the groups
limits the memory. The file names state which files are the test set (`parts`); otherwise some rows are held out
(`holding_out`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from network.errors import DatasetError
from qat.data.dataset import Dataset, Indices
from qat.data.decoding import MAX_ENCODED_BYTES
from qat.data.dividing import split_train_test
from qat.data.files import Stamp, opened, stamp_of
from qat.data.names import printable, reason_of
from qat.data.parquet_labels import GroupLabels, is_text, label_column, labels_of_group, named_labels
from qat.data.parts import part_of_name

MAX_GROUP_BYTES: Final = 2**30
"""Largest decompressed size of the images of a row group, in bytes."""
KEPT_BYTES: Final = 2**28
"""Size in bytes up to which row groups are cached in addition to the one that is read."""
MAX_FOOTER_BYTES: Final = 2**26
MAX_ROWS: Final = 100_000_000
_IMAGE_NAMES: Final = ("image", "img", "picture", "jpg", "png")


@dataclass(frozen=True, eq=False)
class ParquetStore:
    """Images in row groups of Parquet files.

    Attributes:
        files: The Parquet files.
        stamps: Size and modification time of each file when it was opened.
        column: Path of the column that contains the encoded bytes, e.g. `image.bytes`.
        group_file: Index of the file of each row group, int32 [groups].
        group_number: Number of each row group in its file, int32 [groups], from 0.
        group_rows: Number of rows of each row group, int64 [groups], from 1.
    """

    files: tuple[Path, ...]
    stamps: tuple[Stamp, ...]
    column: str
    group_file: npt.NDArray[np.int32]
    group_number: npt.NDArray[np.int32]
    group_rows: Indices

    @cached_property
    def group_starts(self) -> Indices:
        """Index of the first image of each row group, int64 [groups], ascending from 0."""
        return np.cumsum(self.group_rows) - self.group_rows

    @cached_property
    def _kept(self) -> OrderedDict[int, pa.ChunkedArray]:
        """Cache of the row groups that were used last, the oldest first."""
        return OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """State for pickling: the fields without the cache."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def __len__(self) -> int:
        return int(self.group_rows.sum())

    def read(self, index: int) -> bytes:
        """Read the encoded content of an image.

        Args:
            index: Index of the image in all files, from 0.

        Raises:
            DatasetError: if the file cannot be read or was changed, or the row has no image or one that is larger than
                `MAX_ENCODED_BYTES`.
        """
        group = self._group_of(index)
        value = self._images(group)[index - int(self.group_starts[group])]
        if not value.is_valid:
            raise DatasetError(
                f"'{self.name_of(index)}' holds no image; expected its encoded bytes: a path to a file is not followed"
            )
        content = value.as_buffer()
        if content.size > MAX_ENCODED_BYTES:
            raise DatasetError(
                f"'{self.name_of(index)}' has {content.size} bytes; at most {MAX_ENCODED_BYTES} are allowed: give a "
                "smaller image"
            )
        return bytes(content.to_pybytes())

    def name_of(self, index: int) -> str:
        """Name of an image in errors: its file, and its row in the file from 0.

        Args:
            index: Index of the image in all files, from 0.
        """
        group = self._group_of(index)
        file = self.group_file[group]
        first = self.group_starts[int(np.flatnonzero(self.group_file == file)[0])]
        return f"{printable(self.files[int(file)].name)}: row {index - int(first)}"

    def _group_of(self, index: int) -> int:
        return int(np.searchsorted(self.group_starts, index, side="right")) - 1

    def _images(self, group: int) -> pa.ChunkedArray:
        if group in self._kept:
            self._kept.move_to_end(group)
            return self._kept[group]
        while self._kept and sum(each.nbytes for each in self._kept.values()) > KEPT_BYTES:
            self._kept.popitem(last=False)
        path = self.files[int(self.group_file[group])]
        with _parquet(path) as file:
            images = file.read_row_group(int(self.group_number[group]), columns=[self.column], use_threads=False)
            column = images.column(0)
            if pa.types.is_struct(column.type):
                column = pc.struct_field(column, self.column.rpartition(".")[2])
        if len(column) != self.group_rows[group]:
            raise DatasetError(
                f"'{printable(path.name)}' was changed while it was used: row group {self.group_number[group]} has "
                f"{len(column)} rows instead of {self.group_rows[group]}; open the dataset again"
            )
        self._kept[group] = column
        return column


@dataclass(frozen=True, slots=True)
class _Columns:
    """Names of the columns that are read.

    Attributes:
        image: Path of the column of encoded images, e.g. `image.bytes`.
        label: Name of the column of classes, or None if there is none.
    """

    image: str
    label: str | None

    @property
    def described(self) -> str:
        """The two names as text for messages."""
        label = "no label" if self.label is None else f"'{printable(self.label)}'"
        return f"'{printable(self.image)}' and {label}"


@dataclass(slots=True)
class _Found:
    """Row groups and labels that were found in the files so far."""

    columns: _Columns | None = None
    group_file: list[int] = field(default_factory=list)
    group_number: list[int] = field(default_factory=list)
    group_rows: list[int] = field(default_factory=list)
    labels: list[GroupLabels] = field(default_factory=list)


def open_parquet(files: Sequence[Path], root: Path | None, name: str) -> Dataset:
    """Read the dataset in Parquet files.

    Args:
        files: The files, in the order of their rows.
        root: Directory whose subfolder and file names state the parts (training, test); None ignores the names.
        name: Name of the dataset in reports.

    Raises:
        DatasetError: if a file is not a Parquet file, is damaged, or has no column of encoded images, if the files have
            different columns, or if there are no rows.
    """
    found = _Found()
    stamps = tuple(stamp_of(each) for each in files)
    for number, (path, stamp) in enumerate(zip(files, stamps, strict=True)):
        _scan(path, number, stamp, found)
    if found.columns is None or not found.group_rows:
        raise DatasetError(f"'{name}' holds no rows; expected one row for each image, with its class")
    rows = np.array(found.group_rows, dtype=np.int64)
    group_file = np.array(found.group_file, dtype=np.int32)
    store = ParquetStore(
        tuple(files), stamps, found.columns.image, group_file, np.array(found.group_number, dtype=np.int32), rows
    )
    parts = [None if root is None else part_of_name(each.relative_to(root).as_posix()) for each in files]
    part_of_row = [parts[file] for file in np.repeat(group_file, rows).tolist()]
    if not found.labels:
        return split_train_test(store, None, part_of_row, name)
    named = named_labels(found.labels, np.array([each in {None, "train"} for each in part_of_row]), name)
    return replace(split_train_test(store, named.labels, part_of_row, name), class_names=named.names or None)


@contextmanager
def _parquet(path: Path, encoded: str | None = None) -> Iterator[pq.ParquetFile]:
    """Open a file; the column `encoded` of text is read as indices in a dictionary, which needs less memory."""
    with opened(path) as file:
        try:
            yield pq.ParquetFile(
                file,
                thrift_string_size_limit=MAX_FOOTER_BYTES,
                read_dictionary=None if encoded is None else [encoded],
            )
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DatasetError(
                f"'{printable(path.name)}' cannot be read as Parquet: {reason_of(error)}; expected a complete Parquet "
                "file"
            ) from error


def _scan(path: Path, number: int, stamp: Stamp, found: _Found) -> None:
    with _parquet(path) as file:
        columns = _columns(file.schema_arrow, path)
        if found.columns is not None and columns != found.columns:
            raise DatasetError(
                f"'{printable(path.name)}' has the columns {columns.described}, and other files have "
                f"{found.columns.described}; expected the same columns in all files"
            )
        found.columns = columns
        rows = sum(found.group_rows) + file.metadata.num_rows
        if file.metadata.num_rows > stamp.size_bytes or rows > MAX_ROWS:
            raise DatasetError(
                f"the footer of '{printable(path.name)}' states {file.metadata.num_rows} rows in a file of "
                f"{stamp.size_bytes} bytes; expected at most one row per byte and {MAX_ROWS} rows in all files"
            )
        for group in range(file.metadata.num_row_groups):
            group_rows = file.metadata.row_group(group).num_rows
            if not group_rows:
                continue
            _check_size(file.metadata.row_group(group), columns.image, f"{printable(path.name)}: row group {group}")
            found.group_file.append(number)
            found.group_number.append(group)
            found.group_rows.append(group_rows)
            if columns.label is not None:
                found.labels.append(_labels(path, group, group_rows, file.schema_arrow.field(columns.label)))


def _check_size(group: Any, column: str, name: str) -> None:
    for index in range(group.num_columns):
        chunk = group.column(index)
        if chunk.path_in_schema == column and chunk.total_uncompressed_size > MAX_GROUP_BYTES:
            raise DatasetError(
                f"'{name}' holds {chunk.total_uncompressed_size} bytes of images; at most {MAX_GROUP_BYTES} are read "
                "into memory at a time: write the file with a smaller row_group_size"
            )


def _columns(schema: pa.Schema, path: Path) -> _Columns:
    repeated = [name for name, count in Counter(schema.names).items() if count > 1]
    if repeated:
        raise DatasetError(
            f"'{printable(path.name)}' has several columns with the name '{printable(repeated[0])}'; expected columns "
            "with different names"
        )
    images = {each.name: _bytes_of(each) for each in schema}
    named = [images[each] for each in (*_IMAGE_NAMES, *images) if images.get(each)]
    if not named or named[0] is None:
        raise DatasetError(
            f"'{printable(path.name)}' has no column of encoded images, only "
            f"{', '.join(map(printable, schema.names))[:200]}; "
            "expected a column 'image' of {bytes, path} or of bytes"
        )
    return _Columns(named[0], label_column(schema, named[0], printable(path.name)))


def _bytes_of(column: pa.Field) -> str | None:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return str(column.name)
    if pa.types.is_struct(column.type):
        for child in column.type:
            if child.name == "bytes" and (pa.types.is_binary(child.type) or pa.types.is_large_binary(child.type)):
                return f"{column.name}.bytes"
    return None


def _labels(path: Path, group: int, rows: int, column: pa.Field) -> GroupLabels:
    with _parquet(path, column.name if is_text(column.type) else None) as file:
        labels = file.read_row_group(group, columns=[column.name], use_threads=False).column(0)
        if len(labels) != rows or labels.null_count:
            raise DatasetError(
                f"'{printable(path.name)}' holds {labels.null_count} rows without a class in row group {group}; "
                f"expected a class for each of its {rows} rows"
            )
        return labels_of_group(labels, f"{printable(path.name)}: row group {group}")
