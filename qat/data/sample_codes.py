"""Input codes of a few samples of a dataset, which are kept with an integer-only network. Imports no torch."""

from __future__ import annotations

import numpy as np

from deploy.arithmetic import CodeArray
from deploy.integer_network import IntegerNetwork
from deploy.sample_codes import fitting_samples
from qat.data.dataset import Dataset
from qat.data.integer_input import input_codes


def sample_codes(network: IntegerNetwork, dataset: Dataset) -> dict[str, CodeArray]:
    """Return the input codes of samples at equal distances in the test set, or in the training set without one.

    Args:
        network: The integer-only network.
        dataset: The samples.

    Returns:
        The codes of each input by its name, uint8 [n, height, width, channels]; n is at most
        `deploy.sample_codes.MAX_SAMPLES`.

    Raises:
        DatasetError: if a sample cannot be read.
    """
    samples = dataset.test_x if len(dataset.test_x) else dataset.train_x
    count = min(fitting_samples(network), len(samples))
    return input_codes(network, samples[np.arange(count, dtype=np.int64) * len(samples) // count])
