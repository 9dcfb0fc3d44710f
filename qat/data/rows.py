"""Samples or targets of equal size, stored one after another in a file and read when indexed. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Indices, Samples, indices_of
from qat.data.files import Stamp, opened, read_part
from qat.data.target_arrays import kept_type


@dataclass(frozen=True, eq=False)
class RowsInFile:
    """An array of samples or targets in a file.

    The file is not memory-mapped, so truncating it causes an error and not a crash.

    Attributes:
        path: The file.
        name: Name of the array in errors.
        stamp: Size and modification time of the file when it was opened.
        offset_bytes: Position of the first row (sample or target) in the file, in bytes.
        stored: Type of the numbers in the file, in either byte order.
        dims: Shape of one row.
        rows: Number of rows.
    """

    path: Path
    name: str
    stamp: Stamp
    offset_bytes: int
    stored: np.dtype[Any]
    dims: tuple[int, ...]
    rows: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the rows in memory, in the machine's byte order: float32 for all floating-point numbers."""
        return kept_type(self.stored, self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all rows together, [rows, *dims]."""
        return (self.rows, *self.dims)

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, selected: slice | Indices, /) -> Samples:
        indices = indices_of(selected, self.rows)
        values = np.empty((len(indices), *self.dims), dtype=self.dtype)
        row_bytes = math.prod(self.dims) * self.stored.itemsize
        with opened(self.path) as file, np.errstate(over="ignore"):  # infinity is rejected below
            for place, index in enumerate(indices.tolist()):
                content = read_part(file, self.offset_bytes + index * row_bytes, row_bytes, f"{self.name}[{index}]")
                values[place] = np.frombuffer(content, dtype=self.stored).reshape(self.dims)
        if values.dtype == np.float32:
            self._check_finite(values, indices)
        return values

    def _check_finite(self, values: Samples, indices: Indices) -> None:
        if np.isfinite(values).all():
            return
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        first = int(indices[np.flatnonzero(~finite)[0]])
        raise DatasetError(
            f"{self.name}[{first}] holds NaN or infinity; expected finite numbers: correct or remove the sample"
        )
