"""Which hosts are out on the internet."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callengine.addresses import is_own_name, is_public, literal_address

PUBLIC = [
    "8.8.8.8",
    "93.184.215.14",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::6810:1",
    "2001:4860:4860::8888",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
]
PRIVATE_IPV4 = [
    "127.0.0.1",
    "127.255.255.254",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
]
PRIVATE_IPV6 = [
    "::",
    "::1",
    "fe80::1",
    "2606:4700::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "64:ff9b:1::808:808",
    "::8.8.8.8",
    "::ffff:0:8.8.8.8",
    "2002:808:808::1",
    "2001:0:808:808:0:0:f7f7:f7f7",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_the_internet_s_addresses_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", [*PRIVATE_IPV4, *PRIVATE_IPV6, "", "example.com", "127.1", "0x7f000001"])
def test_everything_else_is_not(address):
    assert not is_public(address)


@given(st.sampled_from(PRIVATE_IPV4), st.sampled_from(["::ffff:{}", "::{}", "::ffff:0:{}", "64:ff9b::{}"]))
def test_a_private_address_inside_of_ipv6_is_private(address, around):
    assert not is_public(around.format(address))


@given(st.sampled_from(PRIVATE_IPV4).map(IPv4Address), st.integers(0, 2**80 - 1))
def test_tunnels_are_private_whatever_they_hold(address, rest):
    sixtofour = (0x2002 << 112) | (int(address) << 80) | rest
    teredo = (0x20010000 << 96) | (rest >> 48 << 64) | (int(address) ^ 0xFFFFFFFF)

    for number in (sixtofour, teredo):
        assert not is_public(":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16)))


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("[::1]", "::1"),
        ("::FFFF:7f00:1", "::ffff:7f00:1"),
        ("example.com", None),
        ("3com.example", None),
        ("x--y.example", None),
        ("_dmarc.example.com", None),
        ("localhost", None),
    ],
)
def test_a_host_is_an_address_or_a_name(host, address):
    found = literal_address(host)

    assert found == address or is_public(str(found)) == is_public(str(address))
    assert (found is None) == (address is None)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.0.0.1",
        "0x7f.1",
        "0x",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "256.256.256.256",
        "1.2.3.4.5",
        "",
        ".",
        "a..b",
        "-a.example",
        "a-.example",
        "%31%32%37.0.0.1",
        "a b.example",
        "example.com.",
        "x" * 64 + ".example",
        "x." * 127 + "example",
    ],
)
def test_other_spellings_are_neither(host):
    with pytest.raises(ValueError):
        literal_address(host)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("localhost", True),
        ("metadata", True),
        ("api.localhost", True),
        ("printer.local", True),
        ("metadata.google.internal", True),
        ("router.home.arpa", True),
        ("localhost.localdomain", True),
        ("api.twilio.com", False),
        ("notlocalhost.example", False),
        ("mylocal.example", False),
    ],
)
def test_names_that_are_nobody_else_s(name, own):
    assert is_own_name(name) is own
