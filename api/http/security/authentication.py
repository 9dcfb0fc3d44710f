"""Who sends a request: a key of the service, or a token of the company's identity provider, in one header.

    Authorization: Bearer bb_ID_SECRET      a key, which the command `bitbudget keys create` has made
    Authorization: Bearer eyJ...            a token (JWT), if the setting names an issuer (OpenID Connect)

The service needs one as soon as its database has a key, or the setting names an issuer. Revoked keys count, so that
revoking the last key does not open the service. Keys are held in memory and read again every two seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from anyio import to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import ServiceError, Unauthorized, Unavailable, problem_of
from api.http.problem_responses import problem_response
from api.http.security.rate_limits import RateLimits
from api.http.security.scopes import OPEN_PATHS
from api.http.security.tokens import Tokens
from api.services.access import EVERYBODY, Access
from api.services.access_keys import KeyRing, looks_like_key
from api.storage.database import Store

LOG: Final = logging.getLogger("bitbudget.service")

FRESH_SECONDS: Final = 2.0
"""Time in seconds after which the keys are read again: so long a revoked key is still accepted."""
_STALE_SECONDS: Final = 60.0
"""Time in seconds for which the keys are used although the database does not answer."""
_USE_SECONDS: Final = 60.0
"""Time in seconds between two notes of the use of a key."""


class Authenticator:
    """Check of keys and tokens, on the event loop of the service.

    Args:
        store: Database with the keys.
        tokens: Check of the tokens of an issuer; None if the setting names none.
    """

    def __init__(self, store: Store, tokens: Tokens | None) -> None:
        self._store = store
        self._tokens = tokens
        self._ring = KeyRing([])
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._noted: dict[str, float] = {}
        self._used: dict[str, float] = {}

    async def access(self, authorization: str | None) -> Access:
        """Return the rights of the caller of a request.

        Args:
            authorization: `Authorization` header of the request; None if it has none.

        Raises:
            Unauthorized: If the caller has no valid key or token, and the service needs one.
            Unavailable: If the keys or the issuer cannot be asked.
        """
        ring = await self._keys()
        if len(ring) == 0 and self._tokens is None:
            return EVERYBODY
        if authorization is None:
            raise Unauthorized(
                "the request has no key; expected the header 'Authorization: Bearer KEY' with a key that the operator "
                "of the service makes (bitbudget keys create)",
                has_token=False,
            )
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Unauthorized(
                f"the header Authorization has the scheme {scheme[:20]!r}; expected 'Authorization: Bearer KEY'",
                has_token=False,
            )
        if looks_like_key(token) or self._tokens is None:
            now = time.time()
            access = ring.access(token, now)
            if access is None:
                raise Unauthorized(
                    "the key is unknown, was revoked or has expired; expected a key such as 'bb_ID_SECRET': ask the "
                    "operator of the service for a new one",
                    has_token=True,
                )
            self._note(str(access.key_id), now)
            return access
        return await self._tokens.access(token)

    def _note(self, key_id: str, now: float) -> None:
        if now - self._noted.get(key_id, 0.0) >= _USE_SECONDS:
            self._noted[key_id] = self._used[key_id] = now

    async def _keys(self) -> KeyRing:
        """Return the keys, which are read again if they are not fresh; requests wait for one reading together."""
        if time.monotonic() - self._read_at >= FRESH_SECONDS:
            async with self._reading:
                if time.monotonic() - self._read_at >= FRESH_SECONDS:
                    await self._read_again()
        return self._ring

    async def _read_again(self) -> None:
        began = time.monotonic()
        used, self._used = self._used, {}
        try:
            self._ring = await to_thread.run_sync(self._read, used)
        except SQLAlchemyError as error:
            LOG.error("the keys could not be read: %s", error)
            if began - self._read_at > _STALE_SECONDS:
                raise Unavailable("the database of the service does not answer; try again later") from error
        else:
            self._read_at = began

    def _read(self, used: dict[str, float]) -> KeyRing:
        """Note the use of keys, and read all keys; this runs in a thread."""
        for key_id, at in used.items():
            self._store.note_api_key_use(key_id, at)
        return KeyRing(self._store.api_keys_of_all_projects())


class Authentication:
    """ASGI middleware that finds the caller of each request, and refuses callers without a valid key.

    The rights of the caller are in `request.state.access`. What the caller may do is checked by the operation.

    Args:
        app: The application that receives the accepted requests.
        authenticator: Check of keys and tokens.
        limits: Limits on the requests of each caller.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, limits: RateLimits) -> None:
        self._app = app
        self._authenticator = authenticator
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one HTTP request to the application, or answer 401 or 429 (the ASGI protocol)."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = Headers(scope=scope).getlist("authorization")
            try:
                access = await self._authenticator.access(", ".join(given) if given else None)
                self._limits.take(access.key_id or "", time.monotonic())
            except ServiceError as error:
                await problem_response(problem_of(error), error.headers)(scope, receive, send)
                return
            scope.setdefault("state", {})["access"] = access
        await self._app(scope, receive, send)
