"""What kind of machine an IP address leads to. Pure; the table is ours, so it does not change with the Python version.

The table follows the IANA registries of special-purpose addresses; what is in no row and not in the one block of IPv6
that is handed out (2000::/3) is reserved.
"""

from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network


class Kind(StrEnum):
    """Where an address leads; the value is how a sentence says it."""

    PUBLIC = "a public address"
    LOOPBACK = "this machine itself"
    PRIVATE = "a private network"
    SHARED = "the inner network of a provider"
    LINK_LOCAL = "the local link"
    METADATA = "a metadata service"
    MULTICAST = "a multicast group"
    UNSPECIFIED = "no address at all"
    RESERVED = "a reserved range"
    EMBEDDED = "an IPv4 address wrapped in an IPv6 one"


NEVER = frozenset({Kind.METADATA, Kind.MULTICAST, Kind.UNSPECIFIED, Kind.EMBEDDED})  # whatever the operator allows
INSIDE = frozenset({Kind.LOOPBACK, Kind.PRIVATE, Kind.SHARED})  # what `--allow-private` opens

# The first row that holds an address decides. Some rows of metadata services lie inside others, one in public space.
_V4: tuple[tuple[str, Kind], ...] = (
    ("169.254.169.0/24", Kind.METADATA),  # AWS, Azure, Google Cloud, OpenStack, Oracle
    ("169.254.170.0/24", Kind.METADATA),  # credentials of AWS containers
    ("169.254.0.23/32", Kind.METADATA),  # Tencent
    ("169.254.42.42/32", Kind.METADATA),  # Scaleway
    ("168.63.129.16/32", Kind.METADATA),  # Azure's wire server
    ("100.100.100.200/32", Kind.METADATA),  # Alibaba
    ("192.0.0.192/32", Kind.METADATA),  # Oracle, older
    ("0.0.0.0/8", Kind.UNSPECIFIED),
    ("127.0.0.0/8", Kind.LOOPBACK),
    ("10.0.0.0/8", Kind.PRIVATE),
    ("172.16.0.0/12", Kind.PRIVATE),
    ("192.168.0.0/16", Kind.PRIVATE),
    ("100.64.0.0/10", Kind.SHARED),
    ("169.254.0.0/16", Kind.LINK_LOCAL),
    ("192.0.0.0/24", Kind.RESERVED),
    ("192.0.2.0/24", Kind.RESERVED),
    ("192.88.99.0/24", Kind.RESERVED),
    ("198.18.0.0/15", Kind.RESERVED),
    ("198.51.100.0/24", Kind.RESERVED),
    ("203.0.113.0/24", Kind.RESERVED),
    ("224.0.0.0/4", Kind.MULTICAST),
    ("240.0.0.0/4", Kind.RESERVED),
)
_V6: tuple[tuple[str, Kind], ...] = (
    ("fd00:ec2::/32", Kind.METADATA),  # AWS
    ("fd20:ce::/32", Kind.METADATA),  # Google Cloud
    ("::/128", Kind.UNSPECIFIED),
    ("::1/128", Kind.LOOPBACK),
    ("::/96", Kind.EMBEDDED),  # IPv4-compatible
    ("::ffff:0:0/96", Kind.EMBEDDED),  # IPv4-mapped
    ("::ffff:0:0:0/96", Kind.EMBEDDED),  # IPv4-translated
    ("64:ff9b::/32", Kind.EMBEDDED),  # NAT64, the global prefix and the local ones
    ("2002::/16", Kind.EMBEDDED),  # 6to4
    ("2001::/32", Kind.EMBEDDED),  # Teredo
    ("fc00::/7", Kind.PRIVATE),
    ("fec0::/10", Kind.PRIVATE),
    ("fe80::/10", Kind.LINK_LOCAL),
    ("ff00::/8", Kind.MULTICAST),
    ("2001::/23", Kind.RESERVED),
    ("2001:db8::/32", Kind.RESERVED),
    ("3fff::/20", Kind.RESERVED),
    ("2000::/3", Kind.PUBLIC),
)
_V4_ROWS = tuple((IPv4Network(text), kind) for text, kind in _V4)
_V6_ROWS = tuple((IPv6Network(text), kind) for text, kind in _V6)
_NAT64 = IPv6Network("64:ff9b::/96")
_LOW_32 = 0xFFFF_FFFF
_ISATAP_MASK, _ISATAP = 0xFDFF_FFFF, 0x0000_5EFE


def kind_of(address: Address) -> Kind:
    """Where an address leads.

    An address that a NAT64 gateway translates is as good as the IPv4 address in it if that one is public: there is
    where the connection ends. All other wrapped addresses are `EMBEDDED`.
    """
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in _V4_ROWS if address in network), Kind.PUBLIC)
    number = int(address)
    if address in _NAT64 and kind_of(IPv4Address(number & _LOW_32)) is Kind.PUBLIC:
        return Kind.PUBLIC
    if (number >> 32) & _ISATAP_MASK == _ISATAP:
        return Kind.EMBEDDED
    return next((kind for network, kind in _V6_ROWS if address in network), Kind.RESERVED)
