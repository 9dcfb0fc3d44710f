"""Description of an uploaded file that has arrived and is not stored yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from network.declared_input import DeclaredInput


@dataclass(frozen=True, slots=True)
class Upload:
    """Uploaded file in a temporary place, before it is stored or deleted.

    Attributes:
        path: Where the file is until it is kept or deleted.
        digest: SHA-256 of the file, in lower-case hexadecimal. For a network with a declared normalisation: of both.
        size_bytes: Size of the file.
        name: What the caller calls it, made printable; neither a path nor a key.
        declared: Normalisation of the samples that the caller declares for a network.
    """

    path: Path
    digest: str
    size_bytes: int
    name: str
    declared: DeclaredInput = DeclaredInput()
