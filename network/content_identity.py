"""The identity of a network in one or more files: a hash of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def content_id(digest: str, weights: Iterable[tuple[str, str]]) -> str:
    """Return the identity of a network in one or more files.

    Args:
        digest: SHA-256 of the network file, in lower-case hexadecimal.
        weights: Name of each file of weights, and its SHA-256 in lower-case hexadecimal; the order does not matter.

    Returns:
        The SHA-256 of the network file if it is the only file. Otherwise the SHA-256 of a text: the digest of the
        network file and a line break, then for each file of weights, sorted by name, its digest, a space, its name and
        a line break.
    """
    lines = [f"{each} {name}\n" for name, each in sorted(weights)]
    return hashlib.sha256("".join([f"{digest}\n", *lines]).encode()).hexdigest() if lines else digest
