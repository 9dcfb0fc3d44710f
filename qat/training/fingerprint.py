"""Fingerprint of a training run: one SHA-256 hash of all inputs on which its result depends."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from network.options import Options


def fingerprint_of(*values: object) -> str:
    """Compute one SHA-256 hash of the given values, as 64 hexadecimal digits.

    Args:
        values: Plain values, arrays, and nested mappings, sequences, dataclasses and options of them.
    """
    digest = hashlib.sha256()
    for value in values:
        _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, value: object) -> None:
    digest.update(type(value).__name__.encode())
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).data)
    elif isinstance(value, Options):
        _feed_fields(digest, value, type(value).model_fields)
    elif dataclasses.is_dataclass(value):
        _feed_fields(digest, value, [each.name for each in dataclasses.fields(value)])
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


def _feed_fields(digest: hashlib._Hash, value: object, names: Iterable[str]) -> None:
    for name in names:
        digest.update(name.encode())
        _feed(digest, getattr(value, name))
