"""The built-in dataset of handwritten digits. Imports no torch."""

from __future__ import annotations

from typing import Final

import numpy as np

from qat.data.dataset import Dataset

DIGITS_TEST_SAMPLES: Final = 360


def digits() -> Dataset:
    """Return scikit-learn's `load_digits`: 1,797 images of handwritten digits, 8x8 pixels from 0 to 16, 10 classes.

    Returns:
        A dataset of 1,437 training and 360 test images, uint8 [n, 8, 8, 1]. The split is stratified by class and is
        the same at every call.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # scikit-learn ships no types
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]  # scikit-learn ships no types

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=DIGITS_TEST_SAMPLES, random_state=0, stratify=labels
    )
    return Dataset("digits", train_x, train_y, test_x, test_y)
