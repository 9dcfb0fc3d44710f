"""The built-in dataset. Imports no torch."""

from __future__ import annotations

from typing import Final

import numpy as np

from qat.data.dataset import Dataset

DIGITS_TEST_SAMPLES: Final = 360


def digits() -> Dataset:
    """Handwritten digits, scikit-learn's `load_digits`: 1,797 images of 8x8 with values 0 to 16, in 10 classes.

    Returns:
        1,437 training and 360 test images, uint8 [n, 8, 8, 1]; each class in equal shares, always the same split.
    """
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # scikit-learn ships no types
    from sklearn.model_selection import train_test_split  # type: ignore[import-untyped]  # the same

    bunch = load_digits()
    images = bunch.images.astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=DIGITS_TEST_SAMPLES, random_state=0, stratify=labels
    )
    return Dataset("digits", train_x, train_y, test_x, test_y)
