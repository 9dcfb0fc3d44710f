"""The functions that read and write an integer-only network, and that convert samples to its input."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from deploy import files, interpreter
from deploy.arithmetic import CodeArray
from deploy.integer_network import IntegerNetwork
from deploy.interpreter import real_values, run
from network.errors import DatasetError
from network.layers import Float32Array, Shape
from network.network import InputFormat, Network
from qat.data.dataset import Samples, sample_dims

__all__ = ["input_codes", "input_values", "load", "real_values", "run", "save"]


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


def input_values(network: Network, samples: Samples) -> Float32Array:
    """Convert samples of a dataset to the normalised input of a float or fake-quantized network.

    Args:
        network: The float network.
        samples: Samples as a dataset stores them: uint8 [n, height, width, channels], or float32 [n, ...] in the
            network's layout.

    Returns:
        The input, float32 [n, channels, height, width].

    Raises:
        DatasetError: If the samples have another shape.
    """
    return _to_input(samples, network.only_input.format, network.only_input.shape)


def input_codes(network: IntegerNetwork, samples: Samples) -> CodeArray:
    """Convert samples of a dataset to the integer codes that a device writes into the network's input buffer.

    Args:
        network: The integer-only network, from `load` or `convert`.
        samples: Samples as a dataset stores them: uint8 [n, height, width, channels], or float32 [n, ...] in the
            network's layout.

    Returns:
        The codes of the network's input, uint8 [n, height, width, channels].

    Raises:
        DatasetError: If the samples have another shape, or contain NaN or infinite values.
    """
    shape = network.tensors[network.only_input.name].shape
    return interpreter.quantize_input(network, _to_input(samples, network.only_input.format, shape))


def _to_input(samples: Samples, input_format: InputFormat, shape: Shape) -> Float32Array:
    dims = sample_dims(input_format, samples.dtype)
    if samples.shape[1:] != dims:
        raise DatasetError(
            f"the samples have shape {list(samples.shape)}; expected [n, {', '.join(map(str, dims))}] for "
            f"{samples.dtype} samples"
        )
    if dims != input_format.dims:
        samples = samples.transpose(0, 3, 1, 2)
    return input_format.to_input_tensor(samples, shape)
