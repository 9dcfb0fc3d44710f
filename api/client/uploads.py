"""Uploads of networks and datasets, which are stored under a hash of their content and never sent twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from api.client.connection import Call, Connection, path_of
from api.client.errors import ServiceProblem
from api.client.pieces import PIECE_BYTES, send_in_pieces
from api.client.weight_files import WeightFilesBeside
from api.schemas.answer import Answer
from api.schemas.datasets import DatasetAnswer
from api.schemas.networks import NetworkAnswer
from network.content_identity import content_id
from network.errors import DatasetError, UnreadableFile
from network.reading_options import ReadingOptions
from qat.data.dataset import Dataset

Uploaded = TypeVar("Uploaded", bound=Answer)

MAX_NETWORK_BYTES: Final = 2**30
"""Largest size of a network file with its files of weights, in bytes."""

_NO_SUCH_PATH: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


def upload_network(
    connection: Connection,
    source: str | os.PathLike[str] | bytes,
    name: str | None,
    weights: Mapping[str, bytes],
    options: ReadingOptions,
) -> NetworkAnswer:
    """Send a network with its files of weights to the service, unless it has the same content already.

    Args:
        connection: Connections to the service.
        source: Path of the file, or its content.
        name: Name for reports; None for the name of the file.
        weights: Name of each file of weights -> its content; empty for those that lie beside the file.
        options: Options of reading the file.

    Raises:
        UnreadableFile: If the file, or a file of weights, cannot be read.
        ClientError: If the service does not take it.
    """
    if isinstance(source, bytes):
        content, file_name = source, name or "network"
    else:
        path = Path(source)
        content, file_name = _content(path), path.name
        weights = weights or weights_beside(path, content)
    digests = [(each, hashlib.sha256(given).hexdigest()) for each, given in weights.items()]
    network_id = options.identity(content_id(hashlib.sha256(content).hexdigest(), digests))
    parts = [("file", file_name, content), *(("weights", each, given) for each, given in weights.items())]
    kept = _kept(connection, NetworkAnswer, "networks", network_id)
    if kept is not None:
        return kept
    query = _reading_query(options) | _name_query(name)
    sent = Call(method="POST", path=path_of("networks"), query=query, files=parts, computes=True)
    return connection.ask(NetworkAnswer, sent)


def upload_dataset(connection: Connection, source: str | os.PathLike[str] | Dataset) -> DatasetAnswer:
    """Send a dataset to the service, unless it has the same content already.

    Args:
        connection: Connections to the service.
        source: Path of a file or a directory, or a dataset of arrays.

    Raises:
        DatasetError: If there is no valid dataset, or it cannot be packed into one file.
        ClientError: If the service does not take it.
    """
    if not isinstance(source, Dataset) and not Path(source).is_dir():
        return _send_dataset(connection, Path(source), None)
    from api.client.packing import packed_arrays, packed_folder  # a program that sends files does not need the readers

    with TemporaryDirectory(prefix="bitbudget-") as folder:
        if isinstance(source, Dataset):
            return _send_dataset(connection, packed_arrays(source, Path(folder)), source.name)
        path = packed_folder(Path(source), Path(folder))
        return _send_dataset(connection, path, Path(source).resolve().name)


def _send_dataset(connection: Connection, path: Path, name: str | None) -> DatasetAnswer:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size_bytes = path.stat().st_size
    except OSError as error:
        raise DatasetError(f"cannot read the dataset '{path}': {error.strerror}") from None
    kept = _kept(connection, DatasetAnswer, "datasets", digest)
    if kept is not None:
        return kept
    if size_bytes > PIECE_BYTES:
        try:
            return send_in_pieces(connection, path, size_bytes, name or path.name, PIECE_BYTES)
        except ServiceProblem as problem:
            if problem.status not in _NO_SUCH_PATH:  # a service of an earlier version takes no pieces
                raise
    parts = [("file", path.name, path)]
    sent = Call(method="POST", path=path_of("datasets"), query=_name_query(name), files=parts, computes=True)
    return connection.ask(DatasetAnswer, sent)


def _kept(connection: Connection, kind: type[Uploaded], collection: str, identity: str) -> Uploaded | None:
    """Return the description of a content that the service has; None if it does not have it."""
    try:
        return connection.ask(kind, Call(method="GET", path=path_of(collection, identity)))
    except ServiceProblem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        return None


def _name_query(name: str | None) -> dict[str, str | Sequence[str]]:
    return {} if name is None else {"name": name}


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_NETWORK_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(f"cannot read the network file '{path}': {error.strerror}") from None
    if len(content) > MAX_NETWORK_BYTES:
        raise UnreadableFile(
            f"the network file '{path}' has more than {MAX_NETWORK_BYTES} bytes; expected a smaller network"
        )
    return content


def weights_beside(path: Path, content: bytes) -> dict[str, bytes]:
    """Return the files of weights beside an ONNX file to which it refers, by name.

    Args:
        path: Path of the network file.
        content: Its content, in any format.

    Raises:
        UnreadableFile: If such a file does not exist or cannot be read.
    """
    if content[:64].lstrip()[:1] == b"{":  # a JSON description; loading the onnx library takes 0.1 s
        return {}
    from network.onnx_reading.external_weights import files_of_weights

    beside = WeightFilesBeside(path.parent, MAX_NETWORK_BYTES - len(content))
    return {name: beside(name) for name in files_of_weights(content)}


def _reading_query(options: ReadingOptions) -> dict[str, str | Sequence[str]]:
    shapes, outputs = options.texts()
    query: dict[str, str | Sequence[str]] = {"input_shape": shapes, "output": outputs}
    if options.declared.changes_samples:
        query["input_mean"] = ",".join(map(repr, options.declared.mean))
        query["input_scale"] = ",".join(map(repr, options.declared.scale))
    return {name: value for name, value in query.items() if value}
