"""Checks of a dataset's targets. Imports no torch."""

from __future__ import annotations

from typing import Final

import numpy as np

from network.errors import DatasetError
from network.layers import Shape
from qat.data.dataset import SampleSource, TargetSource
from qat.options.task import TaskKind
from qat.tasks.choice import Task
from qat.tasks.targets import IGNORED_PIXEL

_ROWS_IN_MEMORY: Final = 4096
"""Number of samples or targets in memory that are checked at a time."""
_ROWS_FROM_FILES: Final = 8
"""Number of targets that are read from files for a check."""


def check_count(part: str, samples: SampleSource, targets: TargetSource) -> None:
    """Reject targets whose number differs from that of the samples.

    Args:
        part: "train" or "test", for the error.
        samples: The samples of the set.
        targets: Their targets.

    Raises:
        DatasetError: If the numbers differ.
    """
    if len(samples) != len(targets):
        raise DatasetError(
            f"{part}_x holds {len(samples)} samples and {part}_y {len(targets)} labels; expected one label per sample"
        )


def check_finite(name: str, rows: TargetSource) -> None:
    """Reject NaN and infinity in samples or targets; in files, only the first rows are read.

    Args:
        name: Name of the array, for the error.
        rows: The array, or its source.

    Raises:
        DatasetError: If a row is not finite; the error names it.
    """
    if rows.dtype.kind != "f":
        return
    in_memory = isinstance(rows, np.ndarray)
    for start in range(0, len(rows) if in_memory else 1, _ROWS_IN_MEMORY):
        chunk = rows[start : start + (_ROWS_IN_MEMORY if in_memory else _ROWS_FROM_FILES)]
        bad = np.flatnonzero(~np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1))
        if bad.size:
            raise DatasetError(
                f"{name}[{start + int(bad[0])}] holds NaN or infinity; expected finite numbers: correct or remove "
                "the sample"
            )


def check_targets(part: str, targets: TargetSource, task: Task, shape: Shape) -> None:
    """Reject class numbers that the network does not have, and training samples that are anomalies.

    Args:
        part: "train" or "test", for the error.
        targets: Targets of the set.
        task: The task.
        shape: Shape of the judged output.

    Raises:
        DatasetError: If a target is out of range; the error names the first one.
    """
    if task.kind is TaskKind.CLASSES and targets.shape[1:] in {(), (1,)}:
        _check_range(part, targets, shape.elements, None)
    elif task.kind is TaskKind.PIXELS and np.prod(targets.shape[1:]) == shape.height * shape.width:
        _check_range(part, targets, max(2, shape.channels), IGNORED_PIXEL)
    elif task.kind is TaskKind.ANOMALY and part == "train" and np.any(targets[:]):
        raise DatasetError(
            f"train_y marks {int(np.count_nonzero(targets[:]))} of {len(targets)} samples as anomalies; expected only "
            "normal samples (0) in the training set: move the others to the test set"
        )


def _check_range(part: str, targets: TargetSource, classes: int, ignored: int | None) -> None:
    in_memory = isinstance(targets, np.ndarray)
    step = _ROWS_IN_MEMORY if in_memory else _ROWS_FROM_FILES
    first, count = None, 0
    for start in range(0, len(targets) if in_memory else 1, step):
        rows = targets[start : start + step]
        outside = ((rows < 0) | (rows >= classes)) & (True if ignored is None else rows != ignored)
        of_row = outside.reshape(len(rows), -1)
        count += int(of_row.sum())
        if first is None and of_row.any():
            row = int(of_row.any(axis=1).argmax())
            first = start + row, rows[row].reshape(-1)[of_row[row].argmax()]
    if first is not None:
        raise DatasetError(
            f"{part}_y[{first[0]}] is {first[1]:g} ({count} labels are out of range); expected 0 to {classes - 1}, "
            f"because the network has {classes} classes; label_offset (--label-offset) shifts all labels"
        )
