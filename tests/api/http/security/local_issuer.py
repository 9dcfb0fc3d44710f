"""An identity provider on this machine: its description, its public keys, and tokens that it signs."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "bitbudget"


class Issuer:
    """An issuer that serves OpenID Connect Discovery and a set of keys over HTTP.

    Attributes:
        requests: Paths that were asked for.
        answers: Answer by path, as a JSON value, bytes, or the address to which it redirects (a tuple).
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.keys: dict[str, Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                answer = outer.answers.get(self.path)
                if isinstance(answer, tuple):
                    self.send_response(302)
                    self.send_header("Location", answer[0])
                    self.end_headers()
                    return
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(404 if answer is None else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.answers: dict[str, Any] = {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": []},
        }
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add_key(self, name: str, algorithm: str = "RS256") -> None:
        """Make a key pair, and publish its public key under a name."""
        if algorithm.startswith(("RS", "PS")):
            private: Any = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            public = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
        elif algorithm == "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
            public = OKPAlgorithm.to_jwk(private.public_key(), as_dict=True)
        else:
            private = ec.generate_private_key(ec.SECP256R1())
            public = ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
        self.keys[name] = private
        self.answers["/keys"]["keys"].append({**public, "kid": name, "use": "sig", "alg": algorithm})

    def token(self, name: str = "first", algorithm: str = "RS256", key: Any = None, **changes: Any) -> str:
        """Return a signed token with usual claims.

        Args:
            name: Name of the key, as the head of the token says it.
            algorithm: Algorithm of the signature.
            key: Key that signs; None for the one with the name.
            changes: Other values of claims; None leaves a claim out.
        """
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "nina",
            "iat": now,
            "exp": now + 300,
            "bitbudget_project": "phones",
            "scope": "openid bitbudget:read bitbudget:solve",
        } | changes
        given = {claim: value for claim, value in claims.items() if value is not None}
        return jwt.encode(given, self.keys[name] if key is None else key, algorithm, headers={"kid": name})
