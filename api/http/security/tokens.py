"""Tokens of an identity provider (OpenID Connect): signed JSON with the project and the scopes of the caller.

Only asymmetric algorithms are accepted, and only those that are listed here, whatever a token says: neither "none" nor
HMAC, with which a public key would be taken for a secret.
"""

from __future__ import annotations

import re
from typing import Any, Final

from api.errors import Unauthorized
from api.http.security.key_sets import KeySet
from api.services.access import Access, Scope, checked_project
from api.settings import Settings
from network.errors import RequestError

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Accepted algorithms of signatures."""

SCOPE_PREFIX: Final = "bitbudget:"
"""Beginning of a scope of this service in a token, such as bitbudget:solve; other scopes are not ours."""

_LEEWAY_SECONDS: Final = 30
_MAX_TOKEN_LENGTH: Final = 8192
_REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")
_SEPARATORS: Final = re.compile(r"[\s,]+")


class Tokens:
    """Check of the tokens of one issuer, on the event loop of the service.

    Args:
        key_set: Public keys of the issuer.
        issuer: URL of the issuer.
        audience: Name of the service in tokens.
        project_claim: Claim with the project of the caller.
        scopes_claim: Claim with the scopes of the caller.
    """

    def __init__(self, key_set: KeySet, issuer: str, audience: str, project_claim: str, scopes_claim: str) -> None:
        self._key_set = key_set
        self._issuer = issuer
        self._audience = audience
        self._project_claim = project_claim
        self._scopes_claim = scopes_claim

    @classmethod
    def of(cls, settings: Settings) -> Tokens | None:
        """Return the check of tokens that the settings name; None if they name no issuer.

        Raises:
            RequestError: If the settings name an issuer without an audience, or PyJWT is not installed.
        """
        if settings.oidc_issuer is None:
            return None
        if settings.oidc_audience is None:
            raise RequestError(
                "the setting --oidc-issuer needs --oidc-audience, the name of this service in tokens: without it, a "
                "token that was made for another service would be accepted"
            )
        try:
            import jwt  # noqa: F401  # an extra
        except ImportError:
            raise RequestError(
                "the setting --oidc-issuer needs the package PyJWT; install it with pip install 'bitbudget[oidc]'"
            ) from None
        key_set = KeySet(settings.oidc_issuer)
        claims = settings.oidc_project_claim, settings.oidc_scopes_claim
        return cls(key_set, settings.oidc_issuer, settings.oidc_audience, *claims)

    async def access(self, token: str) -> Access:
        """Return the rights that a token gives.

        Raises:
            Unauthorized: If the token is not valid, or has no project.
            Unavailable: If the issuer cannot be asked for its keys.
        """
        import jwt

        try:
            if len(token) > _MAX_TOKEN_LENGTH:
                raise jwt.InvalidTokenError(f"it is longer than {_MAX_TOKEN_LENGTH} characters")
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in ALGORITHMS:
                raise jwt.InvalidAlgorithmError(f"expected one of the algorithms {', '.join(ALGORITHMS)}")
            key = await self._key_set.key(header.get("kid"))
            if key is None:
                raise jwt.InvalidKeyError("its key is not one of the issuer's")
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": list(_REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthorized(
                f"the token is not valid: {str(error)[:200]}; expected a token of {self._issuer} for {self._audience}",
                has_token=True,
            ) from error
        return Access(self._project(claims), self._scopes(claims), f"{self._issuer}#{claims['sub']}")

    def _project(self, claims: dict[str, Any]) -> str:
        project = claims.get(self._project_claim)
        if not isinstance(project, str):
            raise Unauthorized(
                f"the token has no text in the claim {self._project_claim}; expected the name of a project there",
                has_token=True,
            )
        try:
            return checked_project(project)
        except RequestError as error:
            raise Unauthorized(f"the claim {self._project_claim} of the token: {error}", has_token=True) from error

    def _scopes(self, claims: dict[str, Any]) -> frozenset[Scope]:
        """Return the scopes in a claim, which is a list, or text with blanks or commas between the scopes."""
        value = claims.get(self._scopes_claim)
        names = _SEPARATORS.split(value) if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(scope for scope in Scope if f"{SCOPE_PREFIX}{scope}" in names)
