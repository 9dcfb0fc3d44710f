"""Conversion of samples of a dataset to the input codes of an integer-only network. Imports no torch."""

from __future__ import annotations

import numpy as np

from deploy.arithmetic import CodeArray
from deploy.input_codes import MAX_TABLE_ROWS, codes_of_samples, rows_of
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_input
from qat.data.dataset import Samples, sample_dims


def input_codes(network: IntegerNetwork, samples: Samples) -> CodeArray:
    """Convert samples of a dataset to the integer codes of a network's input tensor.

    Bytes become codes by the exact table, other samples by rounding their real values (`deploy.input_codes`).

    Args:
        network: The integer-only network.
        samples: Samples in the layout of the dataset, [n, *dims].

    Returns:
        The codes, uint8 [n, height, width, channels].

    Raises:
        DatasetError: if the samples have another shape, or contain NaN or infinite values.
    """
    given, tensor = network.input_format, network.tensors[network.input]
    if sample_dims(given, samples.dtype) != given.dims:
        samples = samples.transpose(0, 3, 1, 2)
    if samples.dtype == np.uint8 and rows_of(given) <= MAX_TABLE_ROWS:
        return codes_of_samples(samples.astype(np.uint8, copy=False), given, tensor)
    return quantize_input(network, given.to_input_tensor(samples, tensor.shape))
