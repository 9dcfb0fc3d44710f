"""Read the files that a command line names: neural networks, JSON tables and datasets."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from api.client.weight_files import WeightFilesBeside
from api.schemas.answer import NetworkName
from network.content_identity import content_id
from network.errors import RequestError, UnreadableFile
from network.network import Network
from network.reading import read_network
from network.reading_options import AS_IN_FILE, ReadingOptions
from qat.data.dataset import Dataset

NETWORK_FORMATS: Final = "an ONNX file, a TFLite file or a JSON description"
"""Formats of a network file, for error messages."""

MAX_NETWORK_BYTES: Final = 2**30
"""Largest size of a network file, in bytes."""

MAX_TABLE_BYTES: Final = 64 * 2**20
"""Largest size of a table or of another text file, in bytes."""


STDIN: Final = "-"
"""Name that stands for the standard input."""


def read_network_file(network_file: str, options: ReadingOptions = AS_IN_FILE) -> tuple[Network, NetworkName]:
    """Read a neural network from a file or from the standard input, and return it with its name in reports.

    Args:
        network_file: Path of an ONNX file or of a JSON description; `-` is the standard input.
        options: Extents of open dimensions, the tensors at which the network ends, and the normalisation of the samples
            that the file does not contain.

    Raises:
        RequestError: If the options contradict the file or do not fit the network's input.
        UnreadableFile: If the file does not exist, cannot be read or is too large.
        NetworkError: If the file does not contain a valid network.
    """
    path, content = Path(network_file), network_content(network_file)
    weight_files = WeightFilesBeside(path.parent, MAX_NETWORK_BYTES - len(content))
    if network_file == STDIN:
        network = read_network(content, "stdin", options=options)
    else:
        network = read_network(content, path.stem, weight_files, options)
    weights = [(name, hashlib.sha256(each).hexdigest()) for name, each in weight_files.contents.items()]
    network_id = options.identity(content_id(hashlib.sha256(content).hexdigest(), weights))
    return network, NetworkName(id=network_id, name=network.name)


def network_content(network_file: str) -> bytes:
    """Return the content of a network file, or of the standard input.

    Args:
        network_file: Path of the file; `-` is the standard input.

    Raises:
        UnreadableFile: If the file does not exist, cannot be read or is too large.
    """
    try:
        if network_file == STDIN:
            content = sys.stdin.buffer.read(MAX_NETWORK_BYTES + 1)
        else:
            with Path(network_file).open("rb") as file:
                content = file.read(MAX_NETWORK_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFile(f"the network file '{network_file}' does not exist; expected {NETWORK_FORMATS}") from None
    except IsADirectoryError:
        raise UnreadableFile(f"the network file '{network_file}' is a directory; expected {NETWORK_FORMATS}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFile(f"cannot read the network file '{network_file}': {reason}") from None
    if len(content) > MAX_NETWORK_BYTES:
        raise UnreadableFile(
            f"the network file '{network_file}' has more than {MAX_NETWORK_BYTES} bytes; expected a smaller network"
        )
    return content


def read_text(path: Path, what: str, max_bytes: int = MAX_TABLE_BYTES) -> str:
    """Read a UTF-8 text file of a bounded size.

    Args:
        path: Path of the file.
        what: Name of the expected content, for error messages.
        max_bytes: Largest size of the file, in bytes.

    Raises:
        RequestError: If the file cannot be read, is too large or is not UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise RequestError(f"cannot read '{path}' as {what}: {error.strerror}") from None
    except ValueError as error:
        raise RequestError(f"cannot read '{path}' as {what}: {str(error)[:100]}") from None
    if len(content) > max_bytes:
        raise RequestError(f"the file '{path}' has more than {max_bytes} bytes; expected {what}")
    return text


def read_json(path: Path, what: str, max_bytes: int = MAX_TABLE_BYTES) -> dict[str, Any]:
    """Read a JSON file whose top-level value is an object.

    Args:
        path: Path of the file.
        what: Name of the expected content, for error messages.
        max_bytes: Largest size of the file, in bytes.

    Raises:
        RequestError: If the file cannot be read, is not valid JSON or does not contain an object.
    """
    try:
        value = json.loads(read_text(path, what, max_bytes))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the file '{path}' is not valid JSON: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        raise RequestError(f"the file '{path}' does not contain a JSON object; expected {what}")
    return value


def read_dataset(data: str, label_offset: int = 0) -> Dataset:
    """Open the dataset of samples at a path, or the built-in dataset by its name.

    Args:
        data: Path of a dataset in any supported form, the name of the built-in dataset, or that of a dataset without
            samples (`qat.data.unseen`).
        label_offset: Number that is added to each label.

    Raises:
        DatasetError: If there is no valid dataset, or a label becomes negative.
        RequestError: If the name of a dataset without samples is not valid.
    """
    # A command without a dataset does not wait for these imports.
    from api.schemas.jobs import DIGITS
    from qat.data.digits import digits
    from qat.data.label_offset import with_label_offset
    from qat.data.opening import open_dataset
    from qat.data.unseen import without_samples

    dataset = digits() if data == DIGITS else without_samples(data) or open_dataset(Path(data))
    return with_label_offset(dataset, label_offset)
