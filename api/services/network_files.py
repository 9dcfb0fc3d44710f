"""Files of a stored network, and reading it from them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from api.services.upload_parsing import UploadedWeights
from network.network import Network
from network.reading import read_network
from network.reading_options import ReadingOptions


class NetworkFiles(BaseModel):
    """Files of a stored network, and the options with which it is read from them.

    Attributes:
        path: The network file.
        weights: Path of each file of weights, by the name that the network gives it.
        name: Name of the network in reports.
        reading: Options with which the network is read.
    """

    path: Path
    weights: dict[str, Path]
    name: str
    reading: ReadingOptions


def read_files(files: NetworkFiles) -> Network:
    """Read a stored network with its weights from its files."""
    weights = UploadedWeights(files.weights, files.name)
    return read_network(files.path.read_bytes(), files.name, weights, files.reading)
