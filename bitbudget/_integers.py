"""The functions that read and write an integer-only network, and that convert samples to its input."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deploy import files
from deploy.arithmetic import CodeArray
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import real_values, run
from network.errors import DatasetError
from network.joined_samples import joined_dims
from network.layers import Float32Array
from network.network import Network
from network.network_input import NetworkInput
from qat.data import integer_input
from qat.data.dataset import Samples, sample_dims, to_input_tensor
from qat.data.input_arrays import InputArrays

__all__ = ["codes_of_inputs", "input_codes", "input_values", "load", "real_values", "run", "save"]

InputSamples = Samples | Mapping[str, Samples] | Sequence[Samples]
"""Samples of the only input; or those of each input, by its name, in the order of the inputs, or joined."""


def load(folder: str | os.PathLike[str]) -> IntegerNetwork:
    """Load the integer-only network that `train` or `save` has written into a folder.

    Raises:
        IntegerFileError: If a file is missing, damaged, inconsistent or of an unknown version.
    """
    return files.load(Path(folder))


def save(network: IntegerNetwork, folder: str | os.PathLike[str]) -> Sequence[str]:
    """Write an integer-only network into a folder; create the folder, or replace an earlier network in it.

    Args:
        network: The network, from `convert`.
        folder: The folder.

    Returns:
        Names of the written files; docs/integer-network.md describes them.

    Raises:
        ConversionError: If the network is inconsistent, or one of its sums could overflow; nothing is written.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    return files.save(network, Path(folder))


def input_values(network: Network, samples: InputSamples) -> Float32Array:
    """Convert samples of a dataset to the normalised input of a float or fake-quantized network.

    Args:
        network: The float network.
        samples: Samples as a dataset stores them: uint8 [n, height, width, channels], or float32 [n, ...] in the
            network's layout. For several inputs, such an array for each of them, by its name or in the order of the
            inputs, or all of them flattened and joined, float32 [n, elements].

    Returns:
        The input, float32 [n, channels, height, width]; several inputs joined, float32 [n, elements].

    Raises:
        DatasetError: If the samples have another shape.
    """
    return to_input_tensor(_joined_samples(network.inputs, samples), network)


def input_codes(network: IntegerNetwork, samples: Samples) -> CodeArray:
    """Convert samples of a dataset to the integer codes that a device writes into the network's only input buffer.

    Args:
        network: The integer-only network with one input, from `load` or `convert`.
        samples: Samples as a dataset stores them: uint8 [n, height, width, channels], or float32 [n, ...] in the
            network's layout.

    Returns:
        The codes of the network's input, uint8 [n, height, width, channels].

    Raises:
        ConversionError: If the network has several inputs, for which there is `codes_of_inputs`.
        DatasetError: If the samples have another shape, or contain NaN or infinite values.
    """
    return codes_of_inputs(network, samples)[network.only_input.name]


def codes_of_inputs(network: IntegerNetwork, samples: InputSamples) -> dict[str, CodeArray]:
    """Convert samples of a dataset to the integer codes that a device writes into each of the network's input buffers.

    Args:
        network: The integer-only network, from `load` or `convert`.
        samples: Samples of each input, by its name or in the order of the inputs, or flattened and joined, as for
            `input_values`.

    Returns:
        The codes of each input by its name, uint8 [n, height, width, channels]: what `run` reads.

    Raises:
        DatasetError: If the samples have another shape, or contain NaN or infinite values.
    """
    return integer_input.input_codes(network, _joined_samples(network.inputs, samples))


def _joined_samples(inputs: tuple[NetworkInput, ...], samples: InputSamples) -> Samples:
    """Return samples as a dataset stores them, joined if there are several inputs."""
    if not isinstance(samples, np.ndarray):
        named = samples if isinstance(samples, Mapping) else {str(key): each for key, each in enumerate(samples)}
        fitted = InputArrays(named).of_inputs(inputs, "input")
        if len(inputs) > 1:
            return fitted[:]
        (samples,) = named.values()
    dims = joined_dims(inputs) if len(inputs) > 1 else sample_dims(inputs[0].format, samples.dtype)
    if samples.shape[1:] != dims:
        raise DatasetError(
            f"the samples have shape {list(samples.shape)}; expected [n, {', '.join(map(str, dims))}] for "
            f"{samples.dtype} samples"
        )
    return samples
