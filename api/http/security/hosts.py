"""Hosts under which a service may be addressed (the `Host` header of a request).

A page whose domain name suddenly means 127.0.0.1 (DNS rebinding) is of the same origin as the service for the browser.
Its requests have that name as `Host`. An address as `Host` is harmless: the browser asked for this address itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Self

from api.settings import Settings
from network.errors import RequestError

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.%]+\]|[^\[\]:/?#@\s]+)(?::(?P<port>\d{1,5}))?", re.ASCII)
_LOOPBACK_NAME: Final = "localhost"
_ANY_NAME: Final = "*"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class HostAndPort:
    """Host of a URL or of a `Host` header.

    Attributes:
        name: Name in lower-case letters without a final dot, or address; an IPv6 address has no brackets.
        port: Port number; None if the text has none.
    """

    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the host in a text such as `localhost:8000` or `[::1]`; None if the text is not a host."""
        matched = _HOST.fullmatch(text.strip().lower())
        if matched is None:
            return None
        name = matched["name"].strip("[]").removesuffix(".")
        return cls(name, int(matched["port"]) if matched["port"] else None) if name else None

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address, not a name."""
        try:
            ip_address(self.name)
        except ValueError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """Host names under which the service answers.

    Attributes:
        names: Names in lower-case letters; "*" allows every name.
    """

    names: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> AllowedHosts:
        """Return the allowed hosts of a service: `localhost`, the host on which it listens, and those of the setting.

        Raises:
            RequestError: If the setting has an entry that is not a host name.
        """
        names = {_LOOPBACK_NAME, settings.host.lower()}
        for entry in filter(None, map(str.strip, (settings.allowed_hosts or "").split(","))):
            host = HostAndPort.parse(entry)
            if host is None or host.port is not None:
                raise RequestError(
                    f"the allowed host '{entry[:80]}' is not a host name; expected names without scheme and port, with "
                    "commas between them, such as fit.example.com,bitbudget"
                )
            names.add(host.name)
        return cls(frozenset(names))

    def allows(self, host: HostAndPort) -> bool:
        """Return whether a request for this host may be answered."""
        return host.is_address or host.name in self.names or self.allows_every_name

    @property
    def allows_every_name(self) -> bool:
        """Whether a request for any host may be answered."""
        return _ANY_NAME in self.names


def is_same_origin(origin: str, host: HostAndPort) -> bool:
    """Return whether the page that sends a request was loaded from the host to which it sends the request.

    Args:
        origin: `Origin` header, such as `http://localhost:8000`; "null" is the origin of a page without one.
        host: `Host` of the request. Its scheme is unknown, because a proxy may have ended TLS.
    """
    scheme, _, rest = origin.strip().lower().partition("://")
    page = HostAndPort.parse(rest)
    if page is None or scheme not in _DEFAULT_PORTS:
        return False
    default = _DEFAULT_PORTS[scheme]
    return page.name == host.name and (page.port or default) == (host.port or default)
