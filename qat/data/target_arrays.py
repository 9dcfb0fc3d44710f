"""Targets in arrays: the types that are accepted, and the type in which they are kept. Imports no torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from network.errors import DatasetError


def check_target_type(name: str, dtype: np.dtype[Any]) -> None:
    """Reject targets that are neither whole numbers, nor booleans, nor floating-point numbers of at most 64 bits.

    Args:
        name: Name of the array in errors.
        dtype: Type of the targets.

    Raises:
        DatasetError: if targets of this type are not accepted; the message states how to convert them.
    """
    if dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize <= 8):
        return
    if dtype.kind in "OSUT":
        advice = "number the classes, e.g. with numpy.unique(names, return_inverse=True)[1]"
        if dtype.kind == "O":
            advice += "; give all samples targets of one shape, e.g. with numpy.stack"
    else:
        advice = "convert them, e.g. with .astype(numpy.float32)"
    raise DatasetError(
        f"'{name}' holds {dtype}; expected targets that are whole numbers (classes, labels, masks), float32 or "
        f"float64: {advice}"
    )


def check_target_shape(name: str, shape: tuple[int, ...]) -> None:
    """Reject targets without a first extent, or with an extent of 0 behind it.

    Args:
        name: Name of the array in errors.
        shape: Shape of all targets together.

    Raises:
        DatasetError: if the shape is [] or a target has no values.
    """
    if not shape or 0 in shape[1:]:
        raise DatasetError(f"'{name}' has the shape {list(shape)}; expected [n, ...]: one target for each sample")


def has_one_value(shape: tuple[int, ...]) -> bool:
    """Return whether targets of this shape, [n, ...], have one value for each sample."""
    return math.prod(shape[1:]) == 1


def kept_type(dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.dtype[Any]:
    """Return the type in which targets are kept, in the byte order of the machine.

    One whole number or boolean for each sample is kept as int64. Masks and images keep their integer or boolean type,
    so that they need one byte for each value. Floating-point numbers are kept as float32.

    Args:
        dtype: Type of the targets in the file.
        shape: Shape of all targets together, [n, ...].
    """
    if dtype.kind == "f":
        return np.dtype(np.float32)
    return np.dtype(np.int64) if has_one_value(shape) else dtype.newbyteorder("=")


def kept(targets: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return targets in the type in which they are kept (`kept_type`), contiguous.

    Args:
        targets: Targets as a file stores them, [n, ...].
    """
    with np.errstate(over="ignore"):  # a float64 that float32 cannot hold becomes infinity, which is rejected later
        return np.ascontiguousarray(targets, dtype=kept_type(targets.dtype, targets.shape))
