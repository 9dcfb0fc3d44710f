"""Damaged copies of JSON descriptions of networks: bytes, and any part of what the JSON contains.

bytes      any bytes are overwritten, inserted, removed or cut off
values     numbers, texts, lists and objects are replaced by others, also of another type
names      names and references of layers, tensors and members are exchanged, removed or doubled
counts     elements of lists are repeated or removed, and values are nested
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from tests.network.mutants import EXTREMES, Damage, damaged_bytes, one_of

Place = tuple[Any, Any]
"""An object or a list, and the key or the index of a value in it."""

_OTHERS: Final[tuple[Any, ...]] = (
    None, True, False, "", "input", "\x00", "\ud800", "x" * 100_000, [], {}, [[]], [0], [None], {"": None}, 0.5, -0.0,
    1e308, float("inf"), float("nan"), 10**400, *EXTREMES,
)  # fmt: skip


def json_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage any bytes, but keep the first one, without which the file is not taken for JSON."""
    return b"{" + damaged_bytes(content, rng)[1:]


def json_values(content: bytes, rng: np.random.Generator) -> bytes:
    """Replace values by extreme ones, by those of another type, or by values of other places."""
    document = json.loads(content)
    for _ in range(int(rng.integers(1, 3))):
        places = list(_places(document))
        parent, key = one_of(rng, places)
        if rng.integers(0, 3) == 0:
            other, name = one_of(rng, places)
            parent[key] = json.loads(json.dumps(other[name]))  # a copy: a value must not contain itself
        else:
            parent[key] = one_of(rng, _OTHERS)
    return _text(document)


def json_names(content: bytes, rng: np.random.Generator) -> bytes:
    """Exchange, remove or double texts and names of members."""
    document = json.loads(content)
    for _ in range(int(rng.integers(1, 3))):
        places = list(_places(document))
        texts = [(parent, key) for parent, key in places if isinstance(parent[key], str)]
        names = [*(parent[key] for parent, key in texts), "", "nowhere", "input", "*"]
        members = [(parent, key) for parent, key in places if isinstance(parent, dict)]
        kind = int(rng.integers(0, 3))
        if kind == 0 and texts:
            parent, key = one_of(rng, texts)
            parent[key] = one_of(rng, names)
        elif kind == 1 and members:
            parent, key = one_of(rng, members)
            del parent[key]
        elif members:
            (parent, key), (_, other) = one_of(rng, members), one_of(rng, members)
            parent[one_of(rng, [other, key.upper(), f"{key}s"])] = parent[key]
    text = _text(document)
    # A parser of JSON keeps only one of two members with one name.
    return text.replace(b'"kind": ', b'"name": "twice", "kind": ', 1) if rng.integers(0, 8) == 0 else text


def json_counts(content: bytes, rng: np.random.Generator) -> bytes:
    """Repeat and remove elements of lists, and nest values."""
    document = json.loads(content)
    for _ in range(int(rng.integers(1, 3))):
        lists = [parent[key] for parent, key in _places(document) if isinstance(parent[key], list) and parent[key]]
        parent, key = one_of(rng, list(_places(document)))
        kind = int(rng.integers(0, 4))
        if kind == 0:
            value = parent[key]
            for _ in range(one_of(rng, (1, 2, 30, 900))):
                value = [value] if rng.integers(0, 2) else {"layers": value}
            parent[key] = value
        elif lists:
            values = one_of(rng, lists)
            if kind == 1:
                del values[int(rng.integers(0, len(values))) :]
            else:
                values.extend([one_of(rng, values)] * one_of(rng, (1, 2, 30, 1000)))
    return _text(document)


def _places(part: Any) -> Iterator[Place]:
    """Yield the places of all values in parsed JSON."""
    keys: Any = part if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for key in list(keys):
        yield part, key
        yield from _places(part[key])


def _text(document: Any) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogatepass")


JSON_DAMAGES: Final[dict[str, Damage]] = {
    "bytes": json_bytes,
    "values": json_values,
    "names": json_names,
    "counts": json_counts,
}
"""Kind of damage -> function that makes a damaged copy of a JSON description."""
