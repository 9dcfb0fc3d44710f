"""JSON schema of the answer of `bitbudget emit`."""

from __future__ import annotations

from pydantic import Field

from api.schemas.answer import Answer, Bytes, Count, Sha256
from api.schemas.reports import Artifact


class EmissionAnswer(Answer):
    """Description of a network in C: its bytes on the chip, and the written files."""

    name: str = Field(description="name of the C files, and prefix of all that they define")
    network_sha256: Sha256 = Field(
        description="SHA-256 of network.json, in hexadecimal, as in the header of the network"
    )
    flash_bytes: Bytes = Field(description="flash of the network: weights, constants, tables and kernels")
    ram_bytes: Bytes = Field(description="RAM of the network: the arena and what else the memory report counts")
    arena_bytes: Count = Field(description="bytes of the arena, which the caller provides")
    test_samples: Count = Field(description="number of real samples in the self-test; 0: it has pseudo-random codes")
    files: list[Artifact] = Field(description="written files, by their path in the directory")
