"""Tokens of an issuer that runs here, with real key pairs."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.errors import Unauthorized, Unavailable
from api.http.security import key_sets
from api.http.security.key_sets import KeySet
from api.http.security.tokens import Tokens
from api.services.access import Access, Scope
from api.services.access_keys import create_key
from api.settings import Settings
from api.storage.database import Store
from network.errors import RequestError
from tests.api.http.security.local_issuer import AUDIENCE, Issuer
from tests.api.http.test_uploads import assert_problem
from tests.api.live_service import LiveService
from tests.api.small_files import tiny_json


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        running.add_key("first")
        running.add_key("padded", "PS512")
        running.add_key("curve", "ES256")
        running.add_key("edwards", "EdDSA")
        yield running


def tokens_of(issuer: Issuer) -> Tokens:
    found = Tokens.of(Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE))
    assert found is not None
    return found


def access(issuer: Issuer, token: str) -> Access:
    return asyncio.run(tokens_of(issuer).access(token))


@pytest.mark.parametrize(
    ("name", "algorithm"), [("first", "RS256"), ("padded", "PS512"), ("curve", "ES256"), ("edwards", "EdDSA")]
)
def test_a_token_gives_project_and_scopes(issuer: Issuer, name: str, algorithm: str) -> None:
    found = access(issuer, issuer.token(name, algorithm))
    assert found == Access("phones", frozenset({Scope.READ, Scope.SOLVE}), f"{issuer.url}#nina")


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (["bitbudget:train", "x"], {Scope.TRAIN}),
        ("bitbudget:read,bitbudget:admin", {Scope.READ, Scope.ADMIN}),
        ("read solve admin", set()),
        ("bitbudget:readx xbitbudget:read", set()),
        (None, set()),
        (7, set()),
        ([["bitbudget:read"]], set()),
    ],
)
def test_only_scopes_with_our_prefix_count(issuer: Issuer, scope: Any, expected: set[Scope]) -> None:
    assert access(issuer, issuer.token(scope=scope)).scopes == expected


def from_now(seconds: int) -> int:
    """Return a Unix time; it is that of the test, not of its collection, which may be minutes earlier."""
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": -60}, "expired"),
        ({"exp": None}, "exp"),
        ({"nbf": 600}, "not yet valid"),
        ({"iat": 600}, "not yet valid"),
        ({"aud": "another service"}, "Audience"),
        ({"aud": None}, "aud"),
        ({"iss": "https://evil.example"}, "issuer"),
        ({"sub": None}, "sub"),
        ({"bitbudget_project": None}, "has no text in the claim bitbudget_project"),
        ({"bitbudget_project": "../phones"}, "is not a valid name"),
        ({"bitbudget_project": ["phones"]}, "has no text in the claim bitbudget_project"),
    ],
    ids=str,
)
def test_wrong_claims_are_refused(issuer: Issuer, changes: dict[str, Any], message: str) -> None:
    claims: dict[str, Any] = {
        name: from_now(value) if isinstance(value, int) else value for name, value in changes.items()
    }
    with pytest.raises(Unauthorized, match=message):
        access(issuer, issuer.token(**claims))


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_forged_signatures_are_refused(issuer: Issuer) -> None:
    good = issuer.token()
    head, claims, signature = good.split(".")
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = issuer.keys["first"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = f"{part({'alg': 'HS256', 'kid': 'first', 'typ': 'JWT'})}.{claims}"
    mac = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), hashlib.sha256)).rstrip(b"=").decode()
    admin = part(
        {
            "iss": issuer.url,
            "aud": AUDIENCE,
            "sub": "x",
            "iat": from_now(0),
            "exp": from_now(300),
            "bitbudget_project": "p",
        }
    )
    forged = {
        "signed by a stranger": issuer.token(key=stranger),
        "without a signature": f"{part({'alg': 'none', 'kid': 'first'})}.{claims}.",
        "HMAC with the public key": f"{confused}.{mac}",
        "other claims": f"{head}.{admin}.{signature}",
        "cut off": good[:-4],
        "another algorithm": issuer.token("first", "RS512"),
        "key of another kind": issuer.token("first", "ES256", issuer.keys["curve"]),
        "unknown key": issuer.token("third", key=stranger),
        "no token": "eyJ",
        "empty": "..",
        "too long": good + "A" * 9000,
    }
    for name, token in forged.items():
        with pytest.raises(Unauthorized, match="the token is not valid"):
            access(issuer, token)
        assert name


def test_keys_are_fetched_once_and_again_for_a_new_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with Issuer() as issuer:
        issuer.add_key("first")
        tokens = tokens_of(issuer)

        async def use() -> None:
            for _ in range(5):
                await tokens.access(issuer.token())
            assert issuer.requests == ["/.well-known/openid-configuration", "/keys"]
            issuer.add_key("second")
            with pytest.raises(Unauthorized, match="its key is not one of the issuer's"):
                await tokens.access(issuer.token("second"))  # too soon: anybody can invent names of keys
            monkeypatch.setattr(key_sets, "_PAUSE_SECONDS", 0.0)
            await asyncio.gather(*(tokens.access(issuer.token("second")) for _ in range(5)))
            assert issuer.requests.count("/keys") == 2
            issuer.answers.clear()
            with pytest.raises(Unauthorized, match="its key is not one of the issuer's"):
                await tokens.access(issuer.token("third", key=issuer.keys["first"]))
            await tokens.access(issuer.token("second"))  # while the issuer does not answer, its keys are kept

        asyncio.run(use())


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/.well-known/openid-configuration", None),
        ("/.well-known/openid-configuration", b"<html>"),
        ("/.well-known/openid-configuration", []),
        ("/.well-known/openid-configuration", {"issuer": "https://evil.example", "jwks_uri": "http://127.0.0.1/keys"}),
        ("/.well-known/openid-configuration", ("http://127.0.0.1:1/",)),
        ("/keys", {"keys": []}),
        ("/keys", {"keys": [{"kty": "oct", "k": "AAAA", "kid": "first"}]}),
        ("/keys", {"keys": "x"}),
        ("/keys", b" " * 300_000),
    ],
)
def test_an_issuer_that_answers_something_else_is_unavailable(path: str, answer: Any) -> None:
    with Issuer() as issuer:
        issuer.add_key("first")
        token = issuer.token()
        issuer.answers[path] = answer
        with pytest.raises(Unavailable, match=r"the keys of http://127\.0\.0\.1:\d+ cannot be fetched"):
            access(issuer, token)


def test_the_settings_are_checked() -> None:
    assert Tokens.of(Settings()) is None
    with pytest.raises(RequestError, match="needs --oidc-audience"):
        Tokens.of(Settings(oidc_issuer="https://login.example.com"))
    for url in ("http://login.example.com", "login.example.com", "file:///etc/passwd", "https://"):
        with pytest.raises(RequestError, match="expected https://HOST/"):
            KeySet(url)


def test_a_service_takes_tokens_and_keys(issuer: Issuer, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    store = Store(data / "bitbudget.sqlite")
    key = create_key(store, "watches", "build", list(Scope), None).text
    store.close()
    options = (f"--oidc-issuer={issuer.url}", f"--oidc-audience={AUDIENCE}")
    with LiveService(data, *options) as service:

        def send(token: str, method: str = "GET", content: bytes | None = None) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            return service.http.request(method, "/v1/networks", headers=headers, content=content)

        stored = send(issuer.token(), "POST", tiny_json())
        assert stored.status_code == 201, stored.text
        assert stored.json()["id"] in send(issuer.token()).text
        assert stored.json()["id"] not in send(issuer.token(bitbudget_project="cars")).text
        assert stored.json()["id"] not in send(key).text
        refused = send(issuer.token(scope="bitbudget:read"), "POST", tiny_json())
        assert_problem(refused, 403, "forbidden")
        assert_problem(send(issuer.token(exp=from_now(-60))), 401, "unauthorized")
        assert_problem(send("bb_" + issuer.token()), 401, "unauthorized")
        assert_problem(service.http.get("/v1/networks"), 401, "unauthorized")
