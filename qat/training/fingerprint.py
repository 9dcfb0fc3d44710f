"""What a training run's result depends on, as one short text: equal inputs, equal fingerprints."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np


def fingerprint_of(*values: object) -> str:
    """SHA-256 over plain values, arrays, mappings, sequences and dataclasses of them, in 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, value: object) -> None:
    digest.update(type(value).__name__.encode())
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif dataclasses.is_dataclass(value):
        for each in dataclasses.fields(value):
            digest.update(each.name.encode())
            _feed(digest, getattr(value, each.name))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _feed(digest, key)
            _feed(digest, item)
    elif isinstance(value, tuple | list):
        digest.update(str(len(value)).encode())
        for item in value:
            _feed(digest, item)
    else:
        digest.update(f"{value!r};".encode())
