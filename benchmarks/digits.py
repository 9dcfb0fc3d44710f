"""Spoken digits (the Free Spoken Digit Dataset) as features of 49 time steps; see `../shared/README.md`."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks import cifar10
from qat.data.dataset import Dataset

FILE: Final = cifar10.SHARED / "data" / "fsdd_mfcc.npz"
FEATURES: Final = (1, 49, 10)
"""Shape of the features of a recording: channels, time steps, frequencies (MFCC)."""


def load() -> Dataset:
    """Read 2,700 training and 300 test recordings, float32 [n, 1, 49, 10].

    Raises:
        FileNotFoundError: if the data is missing.
    """
    with np.load(FILE) as arrays:
        return Dataset(
            "fsdd",
            arrays["train_mfcc"],
            arrays["train_labels"].astype(np.int64),
            arrays["test_mfcc"],
            arrays["test_labels"].astype(np.int64),
        )
