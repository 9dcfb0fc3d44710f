"""Reading what a command names: the network, JSON tables, samples."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from api.schemas.answer import NetworkName
from api.schemas.jobs import DIGITS
from network.errors import RequestError, UnreadableFile
from network.network import Network
from network.reading import read_network
from qat.data.dataset import Dataset

MAX_NETWORK_BYTES: Final = 2**30
NETWORK_FORMATS: Final = "an ONNX file, a TFLite file or a JSON description"
MAX_TABLE_BYTES: Final = 64 * 2**20
STDIN: Final = "-"


def read_network_file(network_file: str) -> tuple[Network, NetworkName]:
    """The network in a file (`-` is the standard input), and how answers call it.

    Raises:
        UnreadableFile: no such file, or one that cannot be read or is too large.
        NetworkError: no network.
    """
    path = Path(network_file)
    try:
        if network_file == STDIN:
            content = sys.stdin.buffer.read(MAX_NETWORK_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MAX_NETWORK_BYTES + 1)
    except FileNotFoundError:
        raise UnreadableFile(f"there is no file '{network_file}'; expected {NETWORK_FORMATS}") from None
    except IsADirectoryError:
        raise UnreadableFile(f"'{network_file}' is a directory; expected {NETWORK_FORMATS}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableFile(f"cannot read '{network_file}': {reason}") from None
    if len(content) > MAX_NETWORK_BYTES:
        raise UnreadableFile(f"'{network_file}' has more than {MAX_NETWORK_BYTES} bytes; no microcontroller takes it")
    network = read_network(content, "stdin" if network_file == STDIN else path.stem)
    return network, NetworkName(id=hashlib.sha256(content).hexdigest(), name=network.name)


def read_text(path: Path, what: str) -> str:
    """A text file of bounded size.

    Raises:
        RequestError: it cannot be read, or is too large, or no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TABLE_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise RequestError(f"cannot read '{path}' as {what}: {error.strerror}") from None
    except ValueError as error:
        raise RequestError(f"cannot read '{path}' as {what}: {str(error)[:100]}") from None
    if len(content) > MAX_TABLE_BYTES:
        raise RequestError(f"'{path}' has more than {MAX_TABLE_BYTES} bytes; expected {what}")
    return text


def read_json(path: Path, what: str) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        RequestError: it cannot be read, is no JSON, or holds something else.
    """
    try:
        value = json.loads(read_text(path, what))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"'{path}' is no JSON: {str(error)[:100]}") from None
    if not isinstance(value, dict):
        raise RequestError(f"'{path}' holds no JSON object; expected {what}")
    return value


def read_dataset(data: str) -> Dataset:
    """The samples at a place, in any form that is taken, or the built-in ones.

    Raises:
        DatasetError: there are none.
    """
    # Those who bring no data need not wait for the readers of images.
    from qat.data.digits import digits
    from qat.data.opening import open_dataset

    return digits() if data == DIGITS else open_dataset(Path(data))
