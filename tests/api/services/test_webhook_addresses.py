"""Addresses that webhooks may reach; Python's ipaddress is the oracle."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.services.webhook_addresses import Reach, is_public

REFUSED = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",  # noqa: S104
    "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255", "240.0.0.1", "198.18.0.1",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fc00::1",
    "fd00:ec2::254", "ff02::1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::7f00:1", "100::1", "2001:db8::1", "3fff::1", "fe80::1%eth0",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "93.184.215.14", "2606:4700::1111", "2a00:1450:4001::200e", "::ffff:8.8.8.8",
          "64:ff9b::808:808"]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_special_addresses_are_refused(text: str) -> None:
    assert not Reach().reaches(ip_address(text), encrypted=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_reached_with_encryption_alone(text: str) -> None:
    assert Reach().reaches(ip_address(text), encrypted=True)
    assert not Reach().reaches(ip_address(text), encrypted=False)
    assert Reach.of(text if ":" not in text else f"{text},8.8.8.8/32").is_allowed(ip_address(text)) or "64:" in text


@given(st.ip_addresses(v=4))
def test_what_is_public_is_global_for_ipaddress(address: IPv4Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not any((address.is_multicast, address.is_private, address.is_reserved, address.is_loopback))
    elif address.is_global:
        differs = map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"))
        assert address.is_multicast or any(address in network for network in differs)


@given(st.ip_addresses(v=6))
def test_what_is_public_is_global_for_ipaddress_too(address: IPv6Address) -> None:
    if is_public(address) and address.ipv4_mapped is None and address not in ip_network("64:ff9b::/96"):
        assert address.is_global
        assert not any((address.is_multicast, address.is_reserved, address.is_link_local, address.is_site_local))
        assert address.sixtofour is None
        assert address.teredo is None


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_one_is_as_public_as_it_is_alone(address: IPv4Address) -> None:
    assert is_public(IPv6Address(f"::ffff:{address}")) is is_public(address)
    assert is_public(IPv6Address(int(ip_address("64:ff9b::")) + int(address))) is is_public(address)
    assert not is_public(IPv6Address((0x2002 << 112) | (int(address) << 80)))


@given(st.ip_addresses(), st.integers(0, 32))
def test_a_network_is_allowed_with_all_of_its_addresses(address: IPv4Address | IPv6Address, length: int) -> None:
    network = ip_network(f"{address}/{length}", strict=False)
    reach = Reach.of(f" {network} ,192.0.2.0/31")
    for each in (address, network[0], network[-1]):
        if isinstance(each, IPv6Address) and each.ipv4_mapped is not None:
            continue  # it means an IPv4 address, and belongs to networks of IPv4
        assert reach.reaches(each, encrypted=False)
        if each.version == 4:
            assert reach.reaches(IPv6Address(f"::ffff:{each}"), encrypted=False)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "example.com", "10.0.0.0/33", "1"])
def test_what_is_not_a_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"IPv|host bits"):
        Reach.of(text)
