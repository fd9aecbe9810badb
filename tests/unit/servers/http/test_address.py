"""Where an address leads: the rows of the registries, and agreement with the standard library's opinion."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.servers.http.address import Kind, kind_of

KINDS = {
    "93.184.216.34": Kind.PUBLIC,
    "8.8.8.8": Kind.PUBLIC,
    "2606:4700:4700::1111": Kind.PUBLIC,
    "127.0.0.1": Kind.LOOPBACK,
    "127.255.255.254": Kind.LOOPBACK,
    "::1": Kind.LOOPBACK,
    "10.0.0.1": Kind.PRIVATE,
    "172.16.0.1": Kind.PRIVATE,
    "172.31.255.255": Kind.PRIVATE,
    "172.32.0.1": Kind.PUBLIC,
    "192.168.1.1": Kind.PRIVATE,
    "fd12:3456::1": Kind.PRIVATE,
    "fec0::1": Kind.PRIVATE,
    "100.64.0.1": Kind.SHARED,
    "100.127.255.255": Kind.SHARED,
    "100.128.0.1": Kind.PUBLIC,
    "169.254.1.1": Kind.LINK_LOCAL,
    "fe80::1": Kind.LINK_LOCAL,
    "169.254.169.254": Kind.METADATA,
    "169.254.170.2": Kind.METADATA,
    "100.100.100.200": Kind.METADATA,
    "168.63.129.16": Kind.METADATA,
    "192.0.0.192": Kind.METADATA,
    "fd00:ec2::254": Kind.METADATA,
    "fd20:ce::254": Kind.METADATA,
    "0.0.0.0": Kind.UNSPECIFIED,
    "0.1.2.3": Kind.UNSPECIFIED,
    "::": Kind.UNSPECIFIED,
    "224.0.0.1": Kind.MULTICAST,
    "239.255.255.250": Kind.MULTICAST,
    "ff02::1": Kind.MULTICAST,
    "240.0.0.1": Kind.RESERVED,
    "255.255.255.255": Kind.RESERVED,
    "198.18.0.1": Kind.RESERVED,
    "192.0.2.1": Kind.RESERVED,
    "2001:db8::1": Kind.RESERVED,
    "3fff::1": Kind.RESERVED,
    "100::1": Kind.RESERVED,
    "4000::1": Kind.RESERVED,
    "::ffff:127.0.0.1": Kind.EMBEDDED,
    "::ffff:8.8.8.8": Kind.EMBEDDED,
    "::ffff:0:8.8.8.8": Kind.EMBEDDED,
    "::127.0.0.1": Kind.EMBEDDED,
    "::8.8.8.8": Kind.EMBEDDED,
    "2002:7f00:1::": Kind.EMBEDDED,
    "2002:808:808::": Kind.EMBEDDED,
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": Kind.EMBEDDED,
    "64:ff9b::7f00:1": Kind.EMBEDDED,
    "64:ff9b::a9fe:a9fe": Kind.EMBEDDED,
    "64:ff9b::a00:1": Kind.EMBEDDED,
    "64:ff9b::808:808": Kind.PUBLIC,
    "64:ff9b:1::808:808": Kind.EMBEDDED,
    "2606:4700::5efe:7f00:1": Kind.EMBEDDED,
    "2606:4700::200:5efe:7f00:1": Kind.EMBEDDED,
}


@pytest.mark.parametrize("text", KINDS)
def test_an_address_is_of_its_kind(text: str) -> None:
    assert kind_of(ip_address(text)) is KINDS[text]


NAT64 = IPv6Network("64:ff9b::/96")


def _near(text: str, distance: int) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return type(address)(min(int(address) + distance, 2**address.max_prefixlen - 1))


NUMBERS = st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address))
NEAR = st.tuples(st.sampled_from([*KINDS]), st.integers(0, 3)).map(lambda pair: _near(*pair))


@given(NUMBERS | NEAR)
@example(IPv4Address("192.88.99.1"))
def test_what_is_public_is_public_for_the_standard_library_too(address: IPv4Address | IPv6Address) -> None:
    if kind_of(address) is Kind.PUBLIC:
        if address in NAT64:
            address = IPv4Address(int(address) & 0xFFFF_FFFF)
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved
