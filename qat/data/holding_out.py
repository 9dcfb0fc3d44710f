"""Choice of the test set for a dataset that is not split into training set and test set. Imports no torch.

Samples are sorted by the SHA-256 of their names. The first tenth of each class (of all samples, if there are no labels)
becomes the test set, but at least one sample of a class that has two or more. The only sample of a class is used for
training. The choice depends on the names only, not on a seed or on the order in which the file system lists the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Indices, Labels

TEST_SHARE: Final = 0.1
"""Share of each class that is held out as the test set."""


def hold_out(count: int, name_of: Callable[[int], str], labels: Labels | None, name: str) -> tuple[Indices, Indices]:
    """Choose the test samples by the hash of their names.

    Args:
        count: Number of samples.
        name_of: Function that returns the name of the sample with a given index, from 0.
        labels: Class of each sample, int64 [count], or None.
        name: Name of the dataset in errors.

    Returns:
        The indices of the training samples and of the test samples, two ascending int64 arrays.

    Raises:
        DatasetError: if no class has two samples.
    """
    keys = np.array(
        [hashlib.sha256(name_of(index).encode("utf-8", "surrogateescape")).digest()[:8] for index in range(count)],
        dtype="S8",
    )
    classes = np.zeros(count, dtype=np.int64) if labels is None else labels
    order = np.lexsort((np.arange(count), keys, classes))
    is_test = np.zeros(count, dtype=bool)
    starts = np.flatnonzero(np.diff(classes[order], prepend=classes.min(initial=0) - 1))
    for start, end in zip(starts, [*starts[1:], count], strict=True):
        share = 0 if end - start < 2 else max(1, round((end - start) * TEST_SHARE))
        is_test[order[start : start + share]] = True
    if not is_test.any():
        raise DatasetError(
            f"'{name}' holds {count} samples and no test set; expected at least two samples of a class, to hold one "
            "out as the test set: add samples or give a test set"
        )
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
