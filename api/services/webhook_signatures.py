"""Signatures of deliveries by the specification Standard Webhooks (https://www.standardwebhooks.com), version 1."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


def new_secret() -> str:
    """Return a new secret in the text form of the specification."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(secret: str, delivery_id: str, moment: int, payload: bytes) -> dict[str, str]:
    """Return the headers with which a receiver checks a delivery.

    Args:
        secret: Secret of the webhook in its text form.
        delivery_id: Identifier of the delivery.
        moment: Unix time of the attempt in whole seconds; a receiver refuses an old one, which may be a replay.
        payload: Body of the request.
    """
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    digest = hmac.new(key, f"{delivery_id}.{moment}.".encode() + payload, hashlib.sha256).digest()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(moment),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
