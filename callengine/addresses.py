"""Which hosts are out on the internet, and which are somebody's own: names and addresses. No I/O.

Sources: the special-purpose address registries of IANA (https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry) as Python's `ipaddress` knows them, and what it leaves out;
of the clouds' metadata services, their own pages, named below.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)

_OWN_DOMAINS = (
    "localhost",  # RFC 6761
    "local",  # RFC 6762
    "internal",  # reserved by ICANN for private use; also metadata.google.internal
    "home.arpa",  # RFC 8375
    "localdomain",  # what many systems call themselves
)

_OWN_IPV4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "this network": 0.0.0.0 is this machine
            "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); also the metadata service of Alibaba Cloud
            "168.63.129.16/32",  # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
            "192.0.0.0/24",  # protocol assignments; also the metadata service of Oracle's first cloud (192.0.0.192)
            "192.88.99.0/24",  # 6to4 relays, withdrawn by RFC 7526
        ),
    )
)

_WORLD_IPV6 = IPv6Network("2000::/3")
"""The only part of IPv6 that IANA gives out as global unicast addresses."""

_OWN_IPV6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo (2001::/32) among them: it holds an IPv4 address of anybody
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which holds an IPv4 address of anybody; withdrawn by RFC 7526
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)

_NAT64 = IPv6Network("64:ff9b::/96")
"""IPv4 as hosts without IPv4 see it (RFC 6052): what it holds decides."""


def is_public(address: str) -> bool:
    """Whether this IP address is one of the internet's; False where it is none.

    It is not, where it is private, this machine's, the link's, shared (100.64.0.0/10), reserved, multicast, for
    documentation, or a cloud's metadata service. Of IPv6 that holds IPv4: mapped (``::ffff:``) and NAT64 addresses are
    what they hold; compatible, translated, 6to4 and Teredo ones are never public.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return _is_public_ipv4(parsed)
    if parsed.scope_id is not None:
        return False
    if parsed.ipv4_mapped is not None:
        return _is_public_ipv4(parsed.ipv4_mapped)
    if parsed in _NAT64:
        return _is_public_ipv4(IPv4Address(int(parsed) & 0xFFFFFFFF))
    return _is_public_ipv6(parsed)


def literal_address(host: str) -> str | None:
    """The IP address that a URL's host spells out, without brackets; None where it is a name.

    Raises `ValueError` for what is neither as it should be written: numbers that some resolvers take for IPv4 (decimal,
    octal, hexadecimal, short forms: https://url.spec.whatwg.org/#concept-ipv4-parser), and what is no host name.
    """
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    if _NAME.fullmatch(host) is None:
        raise ValueError("not a host name")
    last = host.rpartition(".")[2]
    if last.isdecimal() or re.fullmatch("0x[0-9a-f]*", last):
        raise ValueError("an IP address in another spelling than the usual one")
    return None


def is_own_name(name: str) -> bool:
    """Whether a host name (in lower case) is by definition not one of the internet's."""
    return "." not in name or any(name == own or name.endswith(f".{own}") for own in _OWN_DOMAINS)


def _is_public_ipv4(address: IPv4Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in network for network in _OWN_IPV4)


def _is_public_ipv6(address: IPv6Address) -> bool:
    return address in _WORLD_IPV6 and address.is_global and not any(address in network for network in _OWN_IPV6)
