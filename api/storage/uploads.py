"""Description of an upload that has arrived and is not stored yet, and the identity of its content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class WeightPart:
    """Uploaded file of weights that belongs to an ONNX file, in a temporary place.

    Attributes:
        path: Path of the file until it is stored or deleted.
        digest: SHA-256 of the file, in lower-case hexadecimal.
        size_bytes: Size of the file, in bytes.
        name: Name that the caller gave; it is compared with the names in the ONNX file and never used as a path.
    """

    path: Path
    digest: str
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class Upload:
    """Uploaded file in a temporary place, before it is stored or deleted, with its files of weights.

    Attributes:
        path: Where the file is until it is kept or deleted.
        digest: Identity of the content, in lower-case hexadecimal: see `content_id`.
        size_bytes: Size of all files, in bytes.
        name: What the caller calls it, made printable; neither a path nor a key.
        weights: Files of weights of a network, with different names.
    """

    path: Path
    digest: str
    size_bytes: int
    name: str
    weights: tuple[WeightPart, ...] = ()
