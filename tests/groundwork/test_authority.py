"""Which version a request speaks, and whom it is for."""

import pytest

from groundwork.authority import fault, is_host

NAMED = [
    b"a",
    b"a.example:8080",
    b"my_service",
    b"127.0.0.1:80",
    b"[::1]",
    b"[fe80::1%25eth0]:80",
    b"xn--p1ai",
    b"",
]
ODD = [
    b"a b",
    b"a/b",
    b"a?b",
    b"user@a",
    b"a:b",
    b"[::1",
    b"a:80:80",
    b"\xc3\xa9.example",
    b"a\tb",
    b"http://a",
    b"a\\b",
]


@pytest.mark.parametrize("host", NAMED)
def test_names_and_addresses_are_hosts(host: bytes) -> None:
    """Whatever a name server, a cluster or a URL without an authority may have, with a port or without."""
    assert is_host(host)


@pytest.mark.parametrize("host", ODD)
def test_what_two_readers_may_read_in_two_ways_is_no_host(host: bytes) -> None:
    """Spaces, paths, users, second ports, and bytes that are no name."""
    assert not is_host(host)


@pytest.mark.parametrize(
    ("version", "hosts", "wanted"),
    [
        ("1.1", [b"a"], ""),
        ("1.1", [], "no-host"),
        ("1.1", [b"a", b"a"], "no-host"),
        ("1.1", [b"a b"], "no-host"),
        ("1.0", [], ""),
        ("1.0", [b"a"], ""),
        ("1.0", [b"a", b"b"], "no-host"),
        ("0.9", [b"a"], "not-http"),
        ("2.0", [b"a"], "not-http"),
    ],
)
def test_a_request_names_one_host_in_a_version_that_is_spoken(
    version: str, hosts: list[bytes], wanted: str
) -> None:
    """HTTP/1.1 has one Host, HTTP/1.0 at most one, and nothing else is spoken."""
    assert fault(version, hosts) == wanted
