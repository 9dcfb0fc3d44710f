"""The functions that read networks and datasets, and the names that identify networks in results."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from api.cli.files import read_dataset, read_network_file
from api.schemas.answer import NetworkName
from api.schemas.keywords import reading_options_of
from deploy.result_folder import write_text
from network.errors import DatasetError, RequestError
from network.json_reading.description import write_json
from network.network import Network
from network.reading import read_network
from qat.data.dataset import Dataset

if TYPE_CHECKING:
    from bitbudget._budgets import DatasetLike

_ids: Final[WeakKeyDictionary[Network, str]] = WeakKeyDictionary()
"""SHA-256 of the content that each network was read from."""


def read(
    source: str | os.PathLike[str] | bytes,
    name: str | None = None,
    *,
    input_shape: Sequence[int] | Mapping[str, Sequence[int]] = (),
    outputs: Sequence[str] = (),
    input_mean: float | Sequence[float] | None = None,
    input_scale: float | Sequence[float] | None = None,
) -> Network:
    """Read a network from an ONNX file, a TFLite file or a JSON description.

    Args:
        source: Path of the file, or its content as bytes.
        name: Name of the network in reports. None uses the name in a JSON description, else the name of the file
            without its suffix, or "network" for bytes.
        input_shape: Extents of the input, if the file leaves its image size or length open, without the batch or with 1
            as the batch, e.g. (1, 40, 98); for several inputs, a mapping from their names to extents.
        outputs: Names of the tensors of the file at which the network ends; what is behind them is not read. Empty for
            the outputs of the file.
        input_mean: Number to subtract from each sample, or one for each channel, if the file does not contain the
            normalisation of the samples: its input is (sample - input_mean) * input_scale. None subtracts nothing.
        input_scale: Number to multiply the difference with, not 0, or one for each channel. None multiplies by 1.

    Raises:
        RequestError: If an extent contradicts the file, or an input or a tensor does not exist.
        UnreadableFile: If the file does not exist, cannot be read, or is neither ONNX, TFLite nor JSON.
        UnsupportedOperator: If the network has an operator, or a form of an operator, that is not supported.
        InvalidNetwork: If the network is inconsistent.
        RequestError: If input_mean or input_scale is not finite, or does not fit the channels of the input.
    """
    options = reading_options_of(input_shape, outputs, input_mean, input_scale)
    if isinstance(source, bytes):
        network = read_network(source, name or "network", options=options)
        _ids[network] = options.identity(hashlib.sha256(source).hexdigest())
        return network
    path = Path(source)
    # A file whose name is "-" must not be taken for the standard input.
    network, found = read_network_file(f".{os.sep}-" if str(path) == "-" else str(path), options)
    if name is not None:
        network = _renamed(network, name)
    _ids[network] = found.id
    return network


def write(network: Network, path: str | os.PathLike[str], *, with_weights: bool = True) -> None:
    """Write a network to a file as a JSON description, which `read`, the command line and the service can read.

    Args:
        network: The network.
        path: The file, which is replaced if it exists.
        with_weights: Whether the weights are written. A description without them is enough to choose bits.

    Raises:
        RequestError: If the file cannot be written.
    """
    write_text(Path(path), write_json(network, with_weights=with_weights))


def dataset(source: str | os.PathLike[str], *, label_offset: int = 0) -> Dataset:
    """Open a dataset from a file or a folder, or the built-in dataset.

    Args:
        source: Path of a file or a folder in one of the formats of docs/datasets.md, or "digits" for the built-in
            dataset of handwritten digits.
        label_offset: Number that is added to each label, such as 1 for a network whose output 0 is a background.

    Returns:
        The training set and the test set. Samples in files are read when they are used.

    Raises:
        DatasetError: If there is no such file or folder, its format is not supported, or a label becomes negative.
    """
    return read_dataset(os.fspath(source), label_offset)


def dataset_of(data: DatasetLike) -> Dataset:
    """Return a dataset unchanged, or open the dataset at a path.

    Raises:
        DatasetError: If it cannot be opened, or is not a dataset.
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, str | os.PathLike):
        return dataset(data)
    raise DatasetError(
        f"the argument data is a {type(data).__name__}; expected a path, 'digits', or bitbudget.Dataset(name, "
        "train_x, train_y, test_x, test_y)"
    )


def name_of(network: Network) -> NetworkName:
    """Return the name and the SHA-256 identifier of a network for results.

    The id is the SHA-256 of the file that the network was read from, or of the file and the options of reading. For
    other networks, such as torch modules, it is the SHA-256 of the JSON description without weights, followed by the
    weights.

    Raises:
        RequestError: If the argument is not a network.
    """
    if not isinstance(network, Network):
        raise RequestError(
            f"the argument network is a {type(network).__name__}; expected a Network, as bitbudget.read(path) and "
            "bitbudget.read_module(module, example_input) return it"
        )
    if network not in _ids:
        _ids[network] = _content_id(network)
    return NetworkName(id=_ids[network], name=network.name)


def _content_id(network: Network) -> str:
    digest = hashlib.sha256(write_json(network, with_weights=False).encode())
    for layer in network.weight_layers:
        if layer.weight is not None:
            digest.update(layer.weight.tobytes())
    return digest.hexdigest()


def _renamed(network: Network, name: str) -> Network:
    return replace(network, name=name)
