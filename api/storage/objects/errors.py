"""Errors of a store of objects."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from api.errors import Unavailable
from network.errors import BitbudgetError

RETRY_AFTER_SECONDS: Final = 10
"""Time in seconds after which a caller may try again when the store did not answer."""


class StoreUnavailable(Unavailable):
    """Error: the store does not answer, or refuses to do what it did at the start of the service."""

    headers = MappingProxyType({"Retry-After": str(RETRY_AFTER_SECONDS)})


class ObjectMissing(BitbudgetError):
    """Error: the store answers, and has no object of this name."""


class DamagedObject(BitbudgetError):
    """Error: an object does not have the SHA-256 that it should have, or its manifest cannot be read."""
