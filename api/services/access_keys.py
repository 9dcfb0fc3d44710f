"""Keys for the service: `bb_ID_SECRET`, of which only the SHA-256 of the secret is stored.

A secret has 32 random bytes, so that a fast hash is enough: it cannot be guessed, unlike a password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from api.errors import NotFound
from api.services.access import Access, Scope, checked_project
from api.storage.database import Store
from api.storage.records import ApiKey
from network.errors import RequestError

MAX_NAME_LENGTH: Final = 80

_PREFIX: Final = "bb"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{_PREFIX}_(?P<id>[0-9a-f]{{12}})_(?P<secret>[A-Za-z0-9_-]{{43}})", re.ASCII)
_NO_HASH: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made.

    Attributes:
        record: What is stored of it.
        text: The key in clear text, which is shown once and is not stored.
    """

    record: ApiKey
    text: str


def create_key(
    store: Store, project: str, name: str, scopes: Collection[Scope], lifetime_seconds: float | None
) -> NewKey:
    """Make a key, and store its hash.

    Args:
        store: Database of the service.
        project: Name of the project to which the key gives access; a project exists as soon as something names it.
        name: Name that tells people who uses the key.
        scopes: What the key allows.
        lifetime_seconds: Time in seconds after which the key is refused; None for a key that does not expire.

    Raises:
        RequestError: If the project, the name or the scopes are not valid.
    """
    checked_project(project)
    if not 1 <= len(name) <= MAX_NAME_LENGTH or not name.isprintable():
        raise RequestError(f"the name of the key is not valid; expected 1 to {MAX_NAME_LENGTH} printable characters")
    if not scopes:
        raise RequestError(f"the key has no scope; expected at least one of {', '.join(Scope)}")
    now = time.time()
    return _stored(
        store,
        ApiKey(
            id="",
            project=project,
            name=name,
            hash="",
            scopes=sorted(scopes),
            created_at=now,
            expires_at=None if lifetime_seconds is None else now + lifetime_seconds,
            revoked_at=None,
            last_used_at=None,
        ),
    )


def rotate_key(store: Store, key_id: str, overlap_seconds: float) -> NewKey:
    """Make a key with the project, the name, the scopes and the lifetime of another one, which expires soon.

    Args:
        store: Database of the service.
        key_id: Identifier of the other key.
        overlap_seconds: Time in seconds for which the other key is still accepted.

    Raises:
        NotFound: If the other key does not exist.
        RequestError: If the other key was revoked or has expired.
    """
    key, now = found_key(store, key_id), time.time()
    if not is_valid(key, now):
        raise RequestError(f"the key {key.id} was revoked or has expired; make a new one with bitbudget keys create")
    lifetime_seconds = None if key.expires_at is None else key.expires_at - key.created_at
    new = _stored(
        store,
        replace(
            key,
            created_at=now,
            expires_at=None if lifetime_seconds is None else now + lifetime_seconds,
            last_used_at=None,
        ),
    )
    store.of_project(key.project).limit_api_key(key.id, now + overlap_seconds)
    return new


def revoke_key(store: Store, key_id: str) -> ApiKey:
    """Revoke a key; revoking it again changes nothing.

    Raises:
        NotFound: If the key does not exist.
    """
    key = found_key(store, key_id)
    store.of_project(key.project).revoke_api_key(key.id, time.time())
    return found_key(store, key_id)


def found_key(store: Store, key_id: str) -> ApiKey:
    """Return a key by its identifier, or by its clear text.

    Raises:
        NotFound: If the key does not exist.
    """
    matched = _KEY.fullmatch(key_id)
    found = store.api_key_of_any_project(matched["id"] if matched else key_id)
    if found is None:
        shown = matched["id"] if matched else key_id[:20]
        raise NotFound(f"the key {shown!r} does not exist; bitbudget keys list shows the identifiers of all keys")
    return found


def is_valid(key: ApiKey, now: float) -> bool:
    """Return whether a key may be used at a Unix time."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def looks_like_key(text: str) -> bool:
    """Return whether a text begins like a key of bitbudget, as no other token does."""
    return text.startswith(f"{_PREFIX}_")


class KeyRing:
    """All keys of a service at one moment, in memory.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: list[ApiKey]) -> None:
        self._keys = {key.id: key for key in keys}

    def __len__(self) -> int:
        """Return the number of keys, also of revoked ones and those that have expired."""
        return len(self._keys)

    def access(self, text: str, now: float) -> Access | None:
        """Return the rights of a key in clear text; None if it is unknown, wrong, revoked or has expired.

        The secret is hashed and compared in constant time, also for an unknown identifier.

        Args:
            text: The key.
            now: Unix time.
        """
        matched = _KEY.fullmatch(text)
        if matched is None:
            return None
        key = self._keys.get(matched["id"])
        is_right = hmac.compare_digest(_hash_of(matched["secret"]), _NO_HASH if key is None else key.hash)
        if key is None or not is_right or not is_valid(key, now):
            return None
        return Access(key.project, frozenset(scope for scope in Scope if scope in key.scopes), key.id)


def _stored(store: Store, like: ApiKey) -> NewKey:
    """Store a key with a new identifier and a new secret."""
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    record = replace(like, id=secrets.token_hex(_ID_BYTES), hash=_hash_of(secret))
    if not store.add_api_key(record):  # the identifier exists: once in 2^48
        return _stored(store, like)
    return NewKey(record, f"{_PREFIX}_{record.id}_{secret}")


def _hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
