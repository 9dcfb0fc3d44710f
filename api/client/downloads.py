"""Downloads of a job's files: verified, continued where they were interrupted, and in their folder all at once."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api.client.connection import Connection, path_of
from api.client.errors import DamagedDownload, NoConnection
from api.schemas.reports import Artifact
from deploy.result_folder import STAGING_PREFIX, check_output, publish
from network.errors import RequestError

_PARTIAL: Final = 206
_ID_LETTERS: Final = 16


def download(connection: Connection, job_id: str, artifacts: Sequence[Artifact], folder: Path) -> None:
    """Download the files of a job into a folder, where they appear when all of them are complete.

    If the service cannot be reached any more, what has arrived stays in a hidden folder, and the next download into the
    same folder continues.

    Args:
        connection: Connections to the service.
        job_id: Identifier of the job.
        artifacts: The files of the job.
        folder: The folder: new, empty, or with an earlier result, which is replaced.

    Raises:
        RequestError: If the folder has other files, or cannot be written to.
        DamagedDownload: If a file does not have the SHA-256 that the service states.
        ClientError: If a file cannot be had.
    """
    check_output(folder)
    place = folder if folder.is_dir() else folder.parent
    staged = place / f"{STAGING_PREFIX}{job_id[:_ID_LETTERS]}"
    is_over = True
    try:
        staged.mkdir(exist_ok=True)
        for artifact in artifacts:
            _fetch(connection, job_id, artifact, staged / plain_name(artifact))
        publish(staged, folder)
    except OSError as error:
        raise RequestError(
            f"cannot write into the directory '{place}': {error.strerror}; choose another directory"
        ) from error
    except NoConnection:
        is_over = False
        raise
    finally:
        if is_over:
            shutil.rmtree(staged, ignore_errors=True)


def content_of(connection: Connection, job_id: str, artifact: Artifact) -> bytes:
    """Return the content of a file of a job.

    Args:
        connection: Connections to the service.
        job_id: Identifier of the job.
        artifact: The file.

    Raises:
        DamagedDownload: If the content does not have the SHA-256 that the service states.
        ClientError: If the file cannot be had.
    """
    received = bytearray()
    _receive(connection, job_id, artifact, received)
    if hashlib.sha256(received).hexdigest() != artifact.sha256:
        raise _damaged(artifact)
    return bytes(received)


def plain_name(artifact: Artifact) -> str:
    """Return the name of a file of a job, if it cannot lead out of a folder.

    Raises:
        DamagedDownload: If the name is a path, or that of a hidden file.
    """
    name = artifact.name
    if not name or name != Path(name).name or name.startswith(".") or "\\" in name or not name.isprintable():
        raise DamagedDownload(f"the service names a file {name[:80]!r}; expected the plain name of a file")
    return name


def _fetch(connection: Connection, job_id: str, artifact: Artifact, path: Path) -> None:
    """Write a file of a job to a path, after what an interrupted download has left there."""
    kept = path.read_bytes() if path.is_file() else b""
    received = bytearray(kept if len(kept) <= artifact.size_bytes else b"")
    try:
        if hashlib.sha256(received).hexdigest() != artifact.sha256:
            _receive(connection, job_id, artifact, received)
    finally:
        path.write_bytes(received)
    if hashlib.sha256(received).hexdigest() != artifact.sha256:
        path.unlink()
        raise _damaged(artifact)


def _receive(connection: Connection, job_id: str, artifact: Artifact, received: bytearray) -> None:
    """Append what is missing of a file to what was received of it, over several connections if one is lost."""
    pauses = connection.pauses()
    while True:
        before = len(received)
        try:
            _append(connection, job_id, artifact, received)
        except NoConnection:
            if len(received) > before:  # the service answers: the pauses begin anew
                pauses = connection.pauses()
            if not pauses.wait():
                raise
        else:
            return


def _append(connection: Connection, job_id: str, artifact: Artifact, received: bytearray) -> None:
    headers = {"Accept-Encoding": "identity"}
    if received:
        headers |= {"Range": f"bytes={len(received)}-", "If-Range": f'"{artifact.sha256}"'}
    with connection.stream(path_of("jobs", job_id, "artifacts", artifact.name), headers) as response:
        if response.status_code != _PARTIAL:
            received.clear()
        for chunk in response.iter_bytes():
            received += chunk


def _damaged(artifact: Artifact) -> DamagedDownload:
    return DamagedDownload(
        f"the downloaded file {artifact.name[:80]!r} does not have the SHA-256 that the service states; download it "
        "again, and if it happens again, something between here and the service changes files"
    )
