"""Datasets without any samples: what is known of the values, and the samples that are made instead. Imports no torch.

A user who has no samples gives one of these names in place of a dataset (docs/post-training.md):

    none             nothing is known of the values
    none:bytes       the samples are bytes, 0 to 255
    none:LOW:HIGH    the samples are real numbers from LOW to HIGH, such as none:-1:1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from network.errors import DatasetError, RequestError
from network.names import shown
from qat.data.dataset import Dataset, Indices, NoSamples, Samples

NO_DATA: Final = "none"
"""Name of the dataset without samples; `none:` is followed by what is known of their values."""

_BYTES: Final = "bytes"
_TOP_BYTE: Final = 255.0


@dataclass(frozen=True, slots=True)
class UnseenSamples:
    """Source of samples that do not exist; only something about their values is known.

    Attributes:
        are_bytes: Whether the samples are bytes, 0 to 255.
        bounds: Smallest and largest value of a sample, before the normalisation of the input; None if unknown.
    """

    are_bytes: bool = False
    bounds: tuple[float, float] | None = None

    @classmethod
    def of(cls, name: str) -> UnseenSamples | None:
        """Return what the name of a dataset without samples states; None if it is the name of another dataset.

        Args:
            name: Name of a dataset, such as 'none:bytes'.

        Raises:
            RequestError: If the name begins with `none:`, and what follows is neither 'bytes' nor two numbers.
        """
        kind, colon, known = name.partition(":")
        if kind != NO_DATA:
            return None
        if not colon:
            return cls()
        if known == _BYTES:
            return cls(are_bytes=True, bounds=(0.0, _TOP_BYTE))
        low, _, high = known.partition(":")
        try:
            bounds = float(low), float(high)
        except ValueError:
            bounds = math.nan, math.nan
        if not (math.isfinite(bounds[0]) and math.isfinite(bounds[1]) and bounds[0] < bounds[1]):
            raise RequestError(
                f"{shown(name)} is not a dataset without samples; expected '{NO_DATA}', '{NO_DATA}:{_BYTES}' for "
                f"samples that are bytes, or '{NO_DATA}:LOW:HIGH' with the smallest and the largest value of a sample, "
                f"such as '{NO_DATA}:-1:1'"
            )
        return cls(bounds=bounds)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the samples that are made: uint8 or float32."""
        return np.dtype(np.uint8 if self.are_bytes else np.float32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all samples together: there are 0."""
        return (0,)

    def __len__(self) -> int:
        return 0

    def __getitem__(self, selected: slice | Indices, /) -> Samples:
        raise DatasetError("there are no samples; expected samples that are made for the network first")


@dataclass(frozen=True, eq=False)
class MadeDataset(Dataset):
    """Dataset whose samples are made from a network. It has no targets and no test set.

    Attributes:
        notes: Warnings that come first in the report of what is done with the samples.
    """

    notes: tuple[str, ...] = ()


def without_samples(name: str) -> Dataset | None:
    """Return the dataset without samples of the given name; None if it is the name of another dataset.

    Args:
        name: Name of a dataset.

    Raises:
        RequestError: If the name begins with `none:`, and what follows is not known.
    """
    unseen = UnseenSamples.of(name)
    if unseen is None:
        return None
    return Dataset(name, unseen, None, NoSamples(unseen.dtype, ()), None)
