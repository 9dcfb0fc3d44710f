"""Addresses that webhooks may reach: public ones, and those of networks that the operator allows.

A host name is resolved for each attempt, and the connection goes to an address that was checked, so that a name whose
answer changes between the check and the connection (DNS rebinding) reaches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "168.63.129.16/32",  # a public address at which Azure serves metadata to its machines
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
        ),
    )
)
"""IPv4 networks of special use (IANA), and of metadata of cloud machines, which are within them but for one."""

_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
"""Addresses that IANA gives out to the public internet; all other ones are local, multicast or reserved."""
_NOT_PUBLIC_IPV6: Final = tuple(map(IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))
"""Networks of special use within them: tunnels, which lead to an IPv4 address inside them, and documentation."""
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
"""Addresses by which a machine without IPv4 reaches an IPv4 address, their last 32 bits (NAT64)."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Addresses that webhooks may reach.

    Attributes:
        allowed: Networks that are allowed although they may not be public.
    """

    allowed: tuple[Network, ...] = ()

    @classmethod
    def of(cls, networks: str | None) -> Reach:
        """Return what a setting allows.

        Args:
            networks: Networks such as "10.1.0.0/16,fd00::/8"; None for none.

        Raises:
            ValueError: If one of them is not a network.
        """
        return cls(tuple(ip_network(each.strip()) for each in (networks or "").split(",") if each.strip()))

    def is_allowed(self, address: Address) -> bool:
        """Return whether an address is in a network that is allowed by name."""
        plain = _plain(address)
        return any(plain.version == network.version and plain in network for network in self.allowed)

    def reaches(self, address: Address, *, encrypted: bool) -> bool:
        """Return whether a webhook may be posted to an address.

        Args:
            address: The address.
            encrypted: Whether it is posted over TLS; without it, only addresses of allowed networks are reached.
        """
        return self.is_allowed(address) or (encrypted and is_public(address))


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet."""
    if isinstance(address, IPv6Address) and address in _TRANSLATED:
        address = IPv4Address(int(address) & 0xFFFFFFFF)
    plain = _plain(address)
    if isinstance(plain, IPv4Address):
        return not any(plain in network for network in _NOT_PUBLIC)
    return plain in _PUBLIC_IPV6 and not any(plain in network for network in _NOT_PUBLIC_IPV6)


def address_of(host: str) -> Address | None:
    """Return the address that a host is, if it is one in its usual form, and not a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped IPv6 address means; other addresses as they are."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
