"""Signatures of webhooks: the vector of the specification, and an independent check."""

from __future__ import annotations

import base64

from api.services.webhook_signatures import new_secret, signed_headers
from tests.api.webhook_receiver import Arrived, is_signed


def test_the_vector_of_the_specification() -> None:
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_receiver_accepts_what_is_signed_and_nothing_else() -> None:
    secret = new_secret()
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    assert secret != new_secret()
    headers = signed_headers(secret, "msg_1", 1000, b"body")
    assert is_signed(Arrived("/", headers, b"body"), secret, now=1100)
    assert not is_signed(Arrived("/", headers, b"body"), secret, now=1500), "a replay"
    assert not is_signed(Arrived("/", headers, b"body."), secret, now=1000)
    assert not is_signed(Arrived("/", headers | {"webhook-id": "msg_2"}, b"body"), secret, now=1000)
    assert not is_signed(Arrived("/", headers | {"webhook-timestamp": "1001"}, b"body"), secret, now=1000)
    assert not is_signed(Arrived("/", headers, b"body"), new_secret(), now=1000)
