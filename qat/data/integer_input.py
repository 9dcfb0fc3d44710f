"""Conversion of samples of a dataset to the input codes of an integer-only network. Imports no torch."""

from __future__ import annotations

import numpy as np

from deploy.arithmetic import CodeArray
from deploy.input_codes import MAX_TABLE_ROWS, codes_of_samples, rows_of
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import quantize_input, quantize_inputs
from network.joined_samples import joined_input
from qat.data.dataset import Samples, in_layout_of


def input_codes(network: IntegerNetwork, samples: Samples) -> dict[str, CodeArray]:
    """Convert samples of a dataset to the integer codes of each of a network's input tensors.

    Bytes become codes by the exact table, other samples by rounding their real values (`deploy.input_codes`). Samples
    of several inputs are real values, because they are joined.

    Args:
        network: The integer-only network.
        samples: Samples in the layout of the dataset, [n, *dims]; joined if the network has several inputs.

    Returns:
        The codes of each input by its name, uint8 [n, height, width, channels].

    Raises:
        DatasetError: if the samples have another shape, or contain NaN or infinite values.
    """
    if len(network.inputs) > 1:
        return quantize_inputs(network, joined_input(samples, network.inputs))
    given = network.only_input
    samples = in_layout_of(samples, given)
    if samples.dtype == np.uint8 and rows_of(given.format) <= MAX_TABLE_ROWS:
        codes = codes_of_samples(samples.astype(np.uint8, copy=False), given.format, network.tensors[given.name])
    else:
        codes = quantize_input(network, given.format.to_input_tensor(samples, given.shape))
    return {given.name: codes}
