"""Tests of groundwork.heads."""

import contextlib

import httptools
import pytest

from groundwork import heads

ASKS = b"POST /a HTTP/1.1\r\nhost: t\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
HEADERS = ((b"host", b"t"), (b"connection", b"upgrade"), (b"upgrade", b"h2c"))


def parsed(head: bytes) -> httptools.HttpRequestParser:
    """What has read this head."""
    parser = httptools.HttpRequestParser(object())
    with contextlib.suppress(httptools.HttpParserUpgrade):
        parser.feed_data(head)
    return parser


@pytest.mark.parametrize(
    ("head", "asks"),
    [
        (ASKS, True),
        (b"GET / HTTP/1.1\r\nhost: t\r\n\r\n", False),
        (b"CONNECT t:1 HTTP/1.1\r\nhost: t\r\n\r\n", False),
    ],
)
def test_who_asks_for_an_upgrade_is_known_by_its_head(head: bytes, *, asks: bool) -> None:
    """CONNECT does not, though the parser stops behind it as well."""
    assert heads.asks_upgrade(parsed(head)) is asks


def test_a_head_without_its_upgrade_is_otherwise_the_same() -> None:
    """Another parser reads it as a plain request."""
    again = heads.without_upgrade(parsed(ASKS), b"/a", HEADERS)
    assert again == ASKS.replace(b"upgrade: h2c\r\n", b"")
    assert not heads.asks_upgrade(parsed(again))


def test_the_size_of_a_head_is_that_of_what_it_says() -> None:
    """The URL, and each header with what stands between its name, its value and the next one."""
    whole = b"/a" + b"".join(b"%b: %b\r\n" % header for header in HEADERS)
    assert heads.size(b"/a", HEADERS) == len(whole)
