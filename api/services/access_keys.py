"""Keys for the service: `bb_ID_SECRET`, of which only the SHA-256 of the secret is stored.

A secret has 32 random bytes, so that a fast hash is enough: it cannot be guessed, unlike a password.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final, Protocol

from api.services.access import Access, Scope

_PREFIX: Final = "bb"
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32
_KEY: Final = re.compile(rf"{_PREFIX}_(?P<id>[0-9a-f]{{12}})_(?P<secret>[A-Za-z0-9_-]{{43}})", re.ASCII)
_NO_HASH: Final = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """Stored key.

    Attributes:
        id: Identifier, 12 hexadecimal digits.
        project: Name of the project to which the key gives access.
        name: Name that tells people who uses the key.
        hash: SHA-256 of the secret, in hexadecimal.
        scopes: What the key allows.
        created_at: Unix time of its creation.
        expires_at: Unix time from which it is refused; None if it does not expire.
        revoked_at: Unix time at which it was revoked; None if it was not.
        last_used_at: Unix time of its last use, to a minute; None if it was not used.
    """

    id: str
    project: str
    name: str
    hash: str
    scopes: frozenset[Scope]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None

    def is_valid(self, now: float) -> bool:
        """Return whether the key may be used at a Unix time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeySource(Protocol):
    """Storage of keys."""

    def api_keys(self) -> list[ApiKey]:
        """Return all keys, also revoked ones and those that have expired."""

    def note_use(self, used: dict[str, float]) -> None:
        """Store the Unix time of the last use of keys, by the identifier of the key."""


def new_secret() -> tuple[str, str]:
    """Return a new identifier of a key and a new secret."""
    return secrets.token_hex(_ID_BYTES), secrets.token_urlsafe(_SECRET_BYTES)


def key_text(key_id: str, secret: str) -> str:
    """Return a key in clear text, as a caller sends it."""
    return f"{_PREFIX}_{key_id}_{secret}"


def hash_of(secret: str) -> str:
    """Return the SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


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

        The comparison takes the same time for each of these.

        Args:
            text: The key.
            now: Unix time.
        """
        matched = _KEY.fullmatch(text)
        if matched is None:
            return None
        key = self._keys.get(matched["id"])
        is_right = hmac.compare_digest(hash_of(matched["secret"]), _NO_HASH if key is None else key.hash)
        if key is None or not is_right or not key.is_valid(now):
            return None
        return Access(key.project, key.scopes, key.id)
