"""Targets of a dataset in the form that a task compares with a network's outputs. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError
from network.layers import Shape
from network.network import Network
from network.network_input import InputFormat
from qat.data.dataset import Indices, SampleSource, TargetSource, to_input_tensor
from qat.options.task import TaskKind

Array = npt.NDArray[Any]

IGNORED_PIXEL: Final = 255
"""Class number of a mask's pixels that count neither in training nor in the metric, as in PASCAL VOC."""

NO_CLASS: Final = -100
"""Class number that torch's cross-entropy ignores."""

_ROWS_AT_ONCE: Final = 1024


@dataclass(frozen=True, eq=False)
class TargetRows:
    """Targets of all samples of a set, converted when they are indexed.

    Attributes:
        source: The targets in the form in which the dataset stores them.
        convert: Function from selected targets [n, *dims] to the form that a task compares with outputs.
    """

    source: TargetSource | SampleSource
    convert: Callable[[Array], Array]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, selected: slice | Indices, /) -> Array:
        return self.convert(self.source[selected])


@dataclass(frozen=True, slots=True)
class NoTargets:
    """Targets of samples whose targets are the float network's outputs: rows without values.

    Attributes:
        count: Number of samples.
    """

    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, selected: slice | Indices, /) -> Array:
        return np.zeros((len(np.arange(self.count)[selected]), 0), dtype=np.float32)


Targets = TargetRows | NoTargets


def rows_of(kind: TaskKind, network: Network, output: str, samples: SampleSource, targets: TargetSource) -> TargetRows:
    """Return the targets of a set in the form that a task compares with the network's output.

    Args:
        kind: The task.
        network: The network.
        output: Name of the output that the targets belong to.
        samples: The samples, which are the targets of the task `anomaly`.
        targets: The targets as the dataset stores them, [n, *dims].

    Returns:
        Rows of int64 [n] for classes, int64 [n, pixels] for classes of pixels, and float32 [n, values] else; values in
        the order channel, height, width.
    """
    shape = network.shapes[output]
    match kind:
        case TaskKind.CLASSES:
            return TargetRows(targets, _class_numbers)
        case TaskKind.PIXELS:
            return TargetRows(targets, lambda rows: pixel_classes(rows, shape))
        case TaskKind.ANOMALY:
            return input_rows(network, samples)
        case TaskKind.TWO_CLASSES | TaskKind.LABELS:
            return TargetRows(targets, lambda rows: rows.reshape(len(rows), -1).astype(np.float32))
        case _:
            return TargetRows(targets, lambda rows: _numbers(rows, shape, network))


def input_rows(network: Network, samples: SampleSource) -> TargetRows:
    """Return the network's inputs as targets, float32 [n, values], for a network that reconstructs its input."""
    return TargetRows(samples, lambda rows: to_input_tensor(rows, network).reshape(len(rows), -1))


def is_binary(targets: TargetSource) -> bool:
    """Return whether every target is 0 or 1; of targets in files, only the first rows are read."""
    return all(bool(np.isin(rows, (0, 1)).all()) for rows in _chunks(targets))


def is_one_hot(targets: TargetSource) -> bool:
    """Return whether each row of targets [n, values] has exactly one 1 and else zeros."""
    return is_binary(targets) and all(
        bool((rows.reshape(len(rows), -1).sum(axis=1) == 1).all()) for rows in _chunks(targets)
    )


def is_whole(targets: TargetSource) -> bool:
    """Return whether every target is a whole number from 0."""
    return targets.dtype.kind in "iub" or all(
        bool(((rows >= 0) & (rows == np.floor(rows))).all()) for rows in _chunks(targets)
    )


def in_channel_order(rows: Array, shape: Shape, *, channels_last: bool) -> Array | None:
    """Arrange targets as channel, height, width.

    Args:
        rows: Targets, [n, *dims]; dims are height, width, channels, or channels, height, width, with or without extents
            of 1, or one flat extent in the order of the network's output.
        shape: Shape of the network's output.
        channels_last: Whether height, width, channels is tried first, for dims that fit both.

    Returns:
        The targets, [n, values]; None if the extents do not fit.
    """
    flat, dims = (len(rows), shape.elements), without_ones(rows.shape[1:])
    last = without_ones((shape.height, shape.width, shape.channels))
    first = without_ones((shape.channels, shape.height, shape.width))
    for order in (last, first) if channels_last else (first, last):
        if dims == order == last and last != first:
            images = rows.reshape(len(rows), shape.height, shape.width, shape.channels)
            return images.transpose(0, 3, 1, 2).reshape(flat)
        if dims == order == first:
            return rows.reshape(flat)
    return rows.reshape(flat) if dims == (shape.elements,) else None


def pixel_classes(rows: Array, shape: Shape) -> Array:
    """Convert masks to the class of each pixel.

    Args:
        rows: Class of each pixel, [n, height, width] with or without extents of 1, or one-hot [n, height, width,
            classes] or [n, classes, height, width].
        shape: Shape of the network's output: one channel for each class, or one logit.

    Returns:
        int64 [n, height * width]; `NO_CLASS` for pixels of the class `IGNORED_PIXEL`. For one logit, float32 0 or 1.
    """
    if rows[0].size == shape.height * shape.width:
        flat = rows.reshape(len(rows), -1)
    else:
        arranged = in_channel_order(rows, shape, channels_last=True)
        assert arranged is not None  # noqa: S101  # the shape was checked when the task was chosen
        flat = arranged.reshape(len(rows), shape.channels, -1).argmax(axis=1)
    if shape.channels == 1:
        return (flat > 0).astype(np.float32)
    classes = flat.astype(np.int64)
    if shape.channels <= IGNORED_PIXEL:
        classes[classes == IGNORED_PIXEL] = NO_CLASS
    return classes


def _class_numbers(rows: Array) -> Array:
    flat = rows.reshape(len(rows), -1)
    return (flat[:, 0] if flat.shape[1] == 1 else flat.argmax(axis=1)).astype(np.int64)


def _numbers(rows: Array, shape: Shape, network: Network) -> Array:
    """Return real targets, float32 [n, values]; bytes are converted as the network's input image is."""
    is_bytes = rows.dtype == np.uint8
    source = _format_of_images(network)
    arranged = in_channel_order(rows, shape, channels_last=is_bytes or source.channels_last)
    if arranged is None:
        raise DatasetError(
            f"a target has the shape {list(rows.shape[1:])}; expected that of the network's output, "
            f"{shape.channels} channels of {shape.height} x {shape.width}"
        )
    values = arranged.astype(np.float32)
    if not is_bytes:
        return values
    of_channels = values.reshape(len(rows), shape.channels, -1)
    subtract, multiply = (np.asarray(each, dtype=np.float32) for each in (source.subtract, source.multiply))
    if {subtract.size, multiply.size} - {1, shape.channels}:
        raise DatasetError(
            f"the targets are bytes, and the input's format has {max(subtract.size, multiply.size)} numbers for "
            f"{shape.channels} channels of the output; expected float32 targets in the unit of the output"
        )
    return ((of_channels - subtract[:, None]) * multiply[:, None]).reshape(len(rows), -1)


def _format_of_images(network: Network) -> InputFormat:
    """Return the format of the network's first input that is an image or a sequence; else that of its first input."""
    images = (each for each in network.inputs if each.shape.height * each.shape.width > 1)
    return next(images, network.inputs[0]).format


def _chunks(targets: TargetSource) -> list[Array]:
    if not isinstance(targets, np.ndarray):
        return [targets[: min(8, len(targets))]]
    return [targets[start : start + _ROWS_AT_ONCE] for start in range(0, len(targets), _ROWS_AT_ONCE)]


def without_ones(dims: tuple[int, ...]) -> tuple[int, ...]:
    """Return extents without those of 1."""
    return tuple(extent for extent in dims if extent != 1)
