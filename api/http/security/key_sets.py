"""Public keys of an identity provider (JWKS), which are fetched in a thread and kept.

Keys are fetched at the first token, once an hour, and for a token with an unknown key, which is how an issuer changes
its keys; for such tokens at most every ten seconds, because anybody can invent them.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from anyio import to_thread

from api.errors import Unavailable
from api.http.security.hosts import HostAndPort
from network.errors import RequestError

if TYPE_CHECKING:
    from jwt import PyJWK

LOG: Final = logging.getLogger("bitbudget.service")

_DISCOVERY: Final = "/.well-known/openid-configuration"
_KEEP_SECONDS: Final = 3600.0
_PAUSE_SECONDS: Final = 10.0
"""Shortest time in seconds between two attempts to fetch."""
_TIMEOUT_SECONDS: Final = 5.0
_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100


class KeySet:
    """Public keys of an issuer, for the event loop of the service.

    Args:
        issuer: URL of the issuer, which has a description of itself (OpenID Connect Discovery).

    Raises:
        RequestError: If the URL is not https; http is allowed for this machine alone.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = _checked(issuer)
        self._keys: dict[str | None, PyJWK] = {}
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str | None) -> PyJWK | None:
        """Return the public key with an identifier; None if the issuer has no such key.

        Args:
            key_id: Identifier of the key; None for the only key of an issuer.

        Raises:
            Unavailable: If the keys cannot be fetched, and none are kept.
        """
        async with self._fetching:
            now = time.monotonic()
            is_wanted = key_id not in self._keys or now - self._fetched_at > _KEEP_SECONDS
            if is_wanted and now - self._tried_at > _PAUSE_SECONDS:
                self._tried_at = now
                try:
                    self._keys = await to_thread.run_sync(self._fetch)
                    self._fetched_at = now
                except (OSError, HTTPException, ValueError, RequestError) as error:
                    LOG.error("the keys of %s could not be fetched: %s", self._issuer, error)
        if not self._keys:
            raise Unavailable(f"the keys of {self._issuer} cannot be fetched; try again later")
        return self._keys.get(key_id)

    def _fetch(self) -> dict[str | None, PyJWK]:
        """Fetch the keys of the issuer; this runs in a thread.

        Raises:
            OSError, HTTPException: If the issuer does not answer.
            ValueError, RequestError: If it answers something else.
        """
        from jwt import PyJWKError, PyJWKSet, PyJWTError

        document = _json(self._issuer.rstrip("/") + _DISCOVERY)
        if document.get("issuer") != self._issuer:
            raise ValueError(f"the document of {self._issuer} is of the issuer {document.get('issuer')!r}")
        try:
            found = PyJWKSet.from_dict(_json(_checked(str(document.get("jwks_uri")))))
        except (PyJWKError, PyJWTError) as error:
            raise ValueError(str(error)) from error
        usable = [key for key in found.keys if key.public_key_use in {None, "sig"} and key.key_type != "oct"][
            :_MAX_KEYS
        ]
        keys: dict[str | None, PyJWK] = {key.key_id: key for key in usable}
        return keys | ({None: usable[0]} if len(usable) == 1 else {})


class _NoRedirects(HTTPRedirectHandler):
    """Refusal to follow an issuer to another address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return no further request, so that the redirection is an error."""


_OPENER: Final = build_opener(_NoRedirects)


def _json(url: str) -> dict[str, Any]:
    request = Request(url, headers={"Accept": "application/json"})  # noqa: S310  # the URL is checked
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as response:
            content = response.read(_MAX_BYTES + 1)
    except HTTPError as error:
        error.close()
        raise
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{url} has more than {_MAX_BYTES} bytes")
    document = json.loads(content)
    if not isinstance(document, dict):
        raise ValueError(f"{url} is not a JSON object")  # a wrong answer, not a wrong type of ours
    return document


def _checked(url: str) -> str:
    """Return a URL that protects against forged keys: https, or http on this machine.

    Raises:
        RequestError: If it does not.
    """
    parts = urlsplit(url)
    host = HostAndPort.parse(parts.netloc)
    is_here = host is not None and host.name in {"localhost", "127.0.0.1", "::1"}
    if host is None or not (parts.scheme == "https" or (parts.scheme == "http" and is_here)):
        raise RequestError(f"the issuer's address {url[:200]!r} is not valid; expected https://HOST/...")
    return url
