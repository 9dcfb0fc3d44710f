"""Uploads of large datasets in pieces, by the protocol tus 1.0: a lost connection costs one piece."""

from __future__ import annotations

import base64
import hashlib
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final

from api.client.connection import Call, Connection, path_of
from api.client.errors import NoConnection, ServiceProblem
from api.schemas.datasets import DatasetAnswer
from api.schemas.uploads import PartialUploadAnswer

PIECE_BYTES: Final = 8 * 2**20
"""Size of a piece; a smaller file is sent in one request."""

_OF_TUS: Final = {"Tus-Resumable": "1.0.0"}


def send_in_pieces(connection: Connection, path: Path, size_bytes: int, name: str, piece_bytes: int) -> DatasetAnswer:
    """Send a dataset to the service in pieces, and return its description.

    Args:
        connection: Connections to the service.
        path: Path of the file.
        size_bytes: Size of the file, in bytes.
        name: Name of the dataset in reports.
        piece_bytes: Size of a piece.

    Raises:
        OSError: If the file cannot be read.
        ServiceProblem: If the service refuses the dataset.
        ClientError: If there is no answer.
    """
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    beginning = _OF_TUS | {"Upload-Length": str(size_bytes), "Upload-Metadata": metadata}
    upload = connection.ask(
        PartialUploadAnswer, Call(method="POST", path=path_of("uploads"), headers=beginning, computes=True)
    )
    with path.open("rb") as file:
        while upload.dataset_id is None:
            upload = _with_next_piece(connection, file, upload, piece_bytes)
    return connection.ask(DatasetAnswer, Call(method="GET", path=path_of("datasets", upload.dataset_id)))


def _with_next_piece(
    connection: Connection, file: BinaryIO, upload: PartialUploadAnswer, piece_bytes: int
) -> PartialUploadAnswer:
    """Send the next piece, again if its connection is lost, and return the state of the upload after it."""
    pauses = connection.pauses()
    is_sent = False
    while not is_sent:
        try:
            connection.send(_call_of(file, upload, piece_bytes))
            is_sent = True
        except NoConnection:
            if not pauses.wait():
                raise
        except ServiceProblem as problem:  # a piece whose answer was lost may have arrived
            state = _state(connection, upload)
            if problem.status != HTTPStatus.CONFLICT or state.received_bytes == upload.received_bytes:
                raise
            return state
        state = _state(connection, upload)
        if state.received_bytes != upload.received_bytes or state.dataset_id is not None:
            return state
    raise NoConnection("the service has taken a piece of the dataset, and does not have it; upload the dataset again")


def _call_of(file: BinaryIO, upload: PartialUploadAnswer, piece_bytes: int) -> Call:
    file.seek(upload.received_bytes)
    piece = file.read(piece_bytes)
    checksum = base64.b64encode(hashlib.sha256(piece).digest()).decode()
    headers = _OF_TUS | {
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(upload.received_bytes),
        "Upload-Checksum": f"sha256 {checksum}",
    }
    # Not repeatable as it is: after a lost connection, the service says where it goes on.
    path = path_of("uploads", upload.id)
    return Call(method="PATCH", path=path, document=piece, headers=headers, is_repeatable=False, computes=True)


def _state(connection: Connection, upload: PartialUploadAnswer) -> PartialUploadAnswer:
    return connection.ask(PartialUploadAnswer, Call(method="GET", path=path_of("uploads", upload.id)))
