"""The rule that a service without keys listens on the loopback interface alone."""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import Final

from api.http.security.hosts import AllowedHosts
from api.settings import Settings
from network.errors import RequestError

LOG: Final = logging.getLogger("bitbudget.service")


def check_exposure(settings: Settings, address: str, *, has_keys: bool) -> None:
    """Refuse to listen on an address that other machines can reach if every caller could use the service.

    Args:
        settings: Settings of the service.
        address: IP address on which the service listens.
        has_keys: Whether callers need a key or a token.

    Raises:
        RequestError: If other machines or web pages could use the service without a key.
    """
    if not has_keys and AllowedHosts.of(settings).allows_every_name:
        raise RequestError(
            "the service has no keys, and --allowed-hosts allows every name: a web page whose name is pointed at this "
            "machine could use it. Make a key (bitbudget keys create NAME), or name the hosts"
        )
    if has_keys or ip_address(address.partition("%")[0]).is_loopback:
        return
    if not settings.allow_unauthenticated:
        raise RequestError(
            f"the service has no keys, and other machines may reach {address}: everybody who reaches the port could "
            "use it. Make a key (bitbudget keys create NAME), listen on 127.0.0.1, or allow this with "
            "--allow-unauthenticated (BITBUDGET_ALLOW_UNAUTHENTICATED=true)"
        )
    LOG.warning("the service listens on %s without keys: everybody who reaches the port can use it", address)
