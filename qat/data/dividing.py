"""A store of images that are in one row -> training set and test set. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, Indices, Labels
from qat.data.holding_out import held_out
from qat.data.images import EncodedImages, EncodedStore, StorePart
from qat.data.parts import TEST


def divided(store: EncodedStore, labels: Labels | None, parts: Sequence[str | None], name: str) -> Dataset:
    """The dataset, divided as the names of its parts say, or by a rule where they say nothing.

    Args:
        store: all images.
        labels: int64 [n], or None.
        parts: of each image, `parts.part_of_name`.
        name: what reports call it.

    Raises:
        DatasetError: a test set without a training set, or too few images.
    """
    named = np.array([each or "train" for each in parts])
    tests = [np.flatnonzero(named == each) for each in TEST if each in set(parts)]
    if not tests:
        train, test = held_out(len(store), store.name_of, labels, name)
    else:
        train = np.flatnonzero(named == "train")
        test = next((each for each in tests if _labels(labels, each) is not None), tests[0])
        if not train.size:
            raise DatasetError(f"'{name}' holds a test set ('{named[0]}') alone; expected a training set beside it")
    return Dataset(
        name,
        EncodedImages(StorePart(store, train)),
        _labels(labels, train),
        EncodedImages(StorePart(store, test)),
        _labels(labels, test),
    )


def _labels(labels: Labels | None, indices: Indices) -> Labels | None:
    """Of a part; None where all are -1, as hubs publish a test set whose labels they keep."""
    if labels is None or not indices.size or labels[indices].max() < 0:
        return None
    return labels[indices]
