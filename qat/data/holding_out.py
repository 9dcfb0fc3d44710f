"""Which samples are the test set where nobody has divided them. Imports no torch.

The rule: samples are ordered by the SHA-256 of their names, and the first tenth of every class (of all, without
labels) is the test set; a class of fewer than ten keeps out one, a single sample is trained on. It depends on the names
alone: neither on a seed, nor on the order in which a file system lists them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Indices, Labels

TEST_SHARE: Final = 0.1


def held_out(count: int, name_of: Callable[[int], str], labels: Labels | None, name: str) -> tuple[Indices, Indices]:
    """The indices of training samples and of test samples, each ascending.

    Args:
        count: of all samples.
        name_of: a sample's name within the dataset.
        labels: int64 [count], or None.
        name: what errors call the dataset.

    Raises:
        DatasetError: too few samples.
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
            f"'{name}' holds {count} samples and no test set; expected two or more of a class, to hold some out"
        )
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
