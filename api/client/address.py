"""The URL of a service and the key of its caller, from arguments or from environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from network.errors import RequestError

SERVER_VARIABLE: Final = "BITBUDGET_SERVER"
"""Environment variable with the URL of the service."""

KEY_VARIABLE: Final = "BITBUDGET_API_KEY"
"""Environment variable with the key of the caller."""

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Address:
    """Where a service is, and by which key a caller uses it.

    Attributes:
        url: URL of the service, without a slash at its end.
        key: Key of the caller; None without one.
    """

    url: str
    key: str | None = field(repr=False)

    @classmethod
    def of(cls, url: str | None, key: str | None) -> Address:
        """Return the address that arguments give, or environment variables where an argument is None.

        Args:
            url: URL of the service; None for that of `BITBUDGET_SERVER`.
            key: Key of the caller; None for that of `BITBUDGET_API_KEY`, if it is set.

        Raises:
            RequestError: If there is no URL, or the URL or the key cannot be one.
        """
        given = url or os.environ.get(SERVER_VARIABLE, "")
        if not given:
            raise RequestError(
                f"the URL of the service is missing; give it, such as http://127.0.0.1:8000, or set {SERVER_VARIABLE}"
            )
        try:
            parts = urlsplit(given)
            has_port = parts.port != 0
        except ValueError:
            parts, has_port = urlsplit(""), False
        if parts.scheme not in {"http", "https"} or not parts.hostname or not has_port or parts.query or parts.fragment:
            raise RequestError(
                f"the URL of the service is {given[:200]!r}; expected http://HOST:PORT or https://HOST, such as "
                "http://127.0.0.1:8000"
            )
        if parts.username is not None or parts.password is not None:
            raise RequestError(
                f"the URL of the service contains a user or a password; give the key of the service by {KEY_VARIABLE}"
            )
        secret = os.environ.get(KEY_VARIABLE) if key is None else key
        if secret and not (secret.isascii() and secret.isprintable() and " " not in secret):
            raise RequestError(
                f"the key of the service (the argument key, or {KEY_VARIABLE}) has characters that a key cannot have; "
                "expected the whole key as it was printed when it was made: bb_..."
            )
        return cls(given.rstrip("/"), secret or None)

    @property
    def is_here(self) -> bool:
        """Whether the service is on this machine, which a proxy cannot reach."""
        return urlsplit(self.url).hostname in _LOOPBACK
