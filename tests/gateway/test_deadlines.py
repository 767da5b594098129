"""What a request says of its hurry."""

import re

import pytest

from gateway.deadlines import MIDDLE, TIMEOUT, Hurry, hurry_of
from gateway.errors import InvalidInputError, MalformedError


def test_nothing_said_is_no_hurry() -> None:
    """Without a word there is no deadline, and the priority is the middle one; 0 and null say nothing."""
    assert hurry_of(None, 0, {}, {}) == Hurry(None, MIDDLE)
    assert hurry_of(None, 0, {}, {"timeout": 0, "priority": 0}) == Hurry(None, MIDDLE)
    assert hurry_of(None, 0, {}, {"timeout": None, "priority": None}) == Hurry(None, MIDDLE)


def test_the_shortest_time_counts() -> None:
    """The header is in seconds, the parameter in microseconds, the edge's own in seconds: the least holds."""
    assert hurry_of(None, 0, {TIMEOUT: b"0.25"}, {}).timeout == 0.25
    assert hurry_of(None, 0, {TIMEOUT: b"1"}, {"timeout": 250_000}).timeout == 0.25
    assert hurry_of(0.1, 0, {TIMEOUT: b"1"}, {"timeout": 250_000}).timeout == 0.1


def test_a_timeout_may_be_any_whole_number() -> None:
    """However many digits it has, a time is a time; beyond thirty years it is thirty years."""
    assert [hurry_of(None, 0, {}, {"timeout": n}).timeout for n in (2**63, 10**400)] == [1e9, 1e9]


def test_priorities_are_nine() -> None:
    """1 to 9 are taken as they are, larger ones as the last; what the edge says comes before the body."""
    assert [hurry_of(None, 0, {}, {"priority": n}).priority for n in (1, 9, 10, 2**63)] == [1, 9, 9, 9]
    assert hurry_of(None, 2, {}, {"priority": 7}).priority == 2


@pytest.mark.parametrize("value", [b"", b"0", b"-1", b"abc", b"1e3", b"nan", b"inf", b"1_0", b"0.0", b" 1"])
def test_a_header_that_cannot_be_read_is_refused(value: bytes) -> None:
    """A deadline that is no number above 0 is refused and named, not passed over."""
    with pytest.raises(MalformedError, match="X-Request-Timeout"):
        hurry_of(None, 0, {TIMEOUT: value}, {})


@pytest.mark.parametrize(("value", "told"), [(b"soon", "'soon'"), (b"\xc3\xa9\x1b", r"'\xc3\xa9\x1b'")])
def test_a_header_is_told_as_it_was_sent(value: bytes, told: str) -> None:
    """The message shows what the client wrote, and of what is no ASCII its bytes."""
    with pytest.raises(MalformedError, match=f"^X-Request-Timeout is {re.escape(told)}, wanted"):
        hurry_of(None, 0, {TIMEOUT: value}, {})


@pytest.mark.parametrize("name", ["timeout", "priority"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "5"])
def test_a_parameter_that_cannot_be_read_is_refused(name: str, value: object) -> None:
    """Both parameters are whole numbers from 0."""
    with pytest.raises(InvalidInputError, match=name):
        hurry_of(None, 0, {}, {name: value})
