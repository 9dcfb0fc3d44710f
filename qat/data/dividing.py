"""Split of a store of images into training set and test set. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from network.errors import DatasetError
from qat.data.dataset import Dataset, Indices, Labels
from qat.data.encoded_store import EncodedStore, StorePart
from qat.data.holding_out import hold_out
from qat.data.images import EncodedImages
from qat.data.parts import TEST


def split_train_test(store: EncodedStore, labels: Labels | None, parts: Sequence[str | None], name: str) -> Dataset:
    """Split images into training set and test set by the parts that file names state.

    If no image belongs to a named test set, some images are held out by a fixed rule (`holding_out`).

    Args:
        store: All n images.
        labels: Class of each image, int64 [n], or None. A test set whose labels are all -1 counts as unlabelled.
        parts: Part that each image's file name states, n items (`parts.part_of_name`); None if it states none.
        name: Name of the dataset in reports.

    Raises:
        DatasetError: if there is a test set without a training set, or if there are too few images to hold some out.
    """
    named = np.array([each or "train" for each in parts])
    tests = [np.flatnonzero(named == each) for each in TEST if each in set(parts)]
    if not tests:
        train, test = hold_out(len(store), store.name_of, labels, name)
    else:
        train = np.flatnonzero(named == "train")
        test = next((each for each in tests if _labels(labels, each) is not None), tests[0])
        if not train.size:
            raise DatasetError(
                f"'{name}' holds only a test set ('{named[0]}'); expected a training set too: add files with 'train' "
                "in their names"
            )
    return Dataset(
        name,
        EncodedImages(StorePart(store, train)),
        _labels(labels, train),
        EncodedImages(StorePart(store, test)),
        _labels(labels, test),
    )


def _labels(labels: Labels | None, indices: Indices) -> Labels | None:
    """Return the labels of a part, or None if all are -1, as in a test set whose labels a hub does not publish."""
    if labels is None or not indices.size or labels[indices].max() < 0:
        return None
    return labels[indices]
