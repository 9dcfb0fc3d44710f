"""Fixed random order of a training set of which benchmarks with small sets use the first samples."""

from __future__ import annotations

from typing import Final

import numpy as np

from qat.data.dataset import Indices, Labels

_SEED: Final = 13


def balanced_order(labels: Labels) -> Indices:
    """Return a random order of samples whose beginning has equally many samples of each class, whatever its length.

    The samples of each class are shuffled, and dealt in rounds: one sample of each class that has samples left, in
    random order. A small set is therefore a part of each larger one.

    Args:
        labels: The class of each sample, int64 [n].

    Returns:
        The indices of all samples, int64 [n]. They depend on the labels alone.
    """
    generator = np.random.default_rng(_SEED)
    shuffled = generator.permutation(len(labels))
    rounds = np.empty(len(labels), dtype=np.int64)
    for each in np.unique(labels):
        of_class = shuffled[labels[shuffled] == each]
        rounds[of_class] = np.arange(len(of_class))
    return shuffled[np.argsort(rounds[shuffled], kind="stable")]
