"""Tests of monitor.retries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.retries import DELAYS, Response, in_time, judge

NOW = 1_793_874_131 * 10**9


def after(
    status: int, *, attempt: int = 1, retry_after: str = "", expires: int | None = None, draw: float = 0.5
) -> tuple[str, float]:
    """What follows, and after how many seconds."""
    response = Response(status, "", retry_after)
    found = judge(response, attempt=attempt, now=NOW, expires=expires, draw=draw)
    return found.kind, found.delay


@pytest.mark.parametrize(
    ("status", "attempt", "kind"),
    [
        (200, 1, "delivered"),
        (202, 9, "delivered"),
        (301, 1, "retry"),
        (304, 1, "retry"),
        (400, 2, "retry"),
        (400, 3, "dead"),
        (404, 3, "dead"),
        (408, 3, "retry"),
        (409, 3, "retry"),
        (425, 3, "retry"),
        (429, 9, "retry"),
        (410, 1, "disable"),
        (500, 9, "retry"),
        (503, 10, "dead"),
        (0, 1, "retry"),
        (0, 10, "dead"),
    ],
)
def test_what_follows_from_a_response(status: int, attempt: int, kind: str) -> None:
    """Success delivers, Gone switches off, a lasting refusal ends after three, the rest is retried."""
    assert after(status, attempt=attempt)[0] == kind


def test_the_schedule() -> None:
    """Delays follow the schedule, give or take a fifth."""
    assert [after(500, attempt=attempt)[1] for attempt in range(1, 10)] == list(DELAYS)
    assert after(500, draw=0.0)[1] == pytest.approx(4.0)
    assert after(500, draw=1.0)[1] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        ("120", 120.0),
        ("0", 5.0),
        ("999999999", 86_400.0),
        ("soon", 5.0),
        ("-3", 5.0),
        ("1e400", 5.0),
        ("1" + 30 * "0", 86_400.0),
        ("-1" + 30 * "0", 5.0),
        ("Mon, 20 Nov 999999999999999999 19:12:08 GMT", 5.0),
        ("Mon, 20 Nov 2026 19:12:08 +99999999999999999999", 5.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86_400.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 5.0),
        ("Thu, 05 Nov 2026 10:32:11 GMT", 600.0),
        ("Thu, 05 Nov 1999 10:32:11 GMT", 5.0),
    ],
)
def test_retry_after_may_ask_for_more(retry_after: str, delay: float) -> None:
    """A number of seconds or a date is honoured up to a day; nonsense is ignored."""
    assert after(503, retry_after=retry_after) == ("retry", delay)


def test_what_expires_is_not_tried_too_late() -> None:
    """A delivery whose next attempt would come after its expiry is dead now."""
    assert after(500, expires=NOW + 4 * 10**9)[0] == "dead"
    assert after(500, expires=NOW + 6 * 10**9)[0] == "retry"


_NUMBERS = st.integers(-(10**30), 10**30)
_DATES = st.builds(
    "Mon, {} Nov {} {}:12:08 {}".format,
    st.integers(1, 30) | _NUMBERS,
    st.integers(1, 9999) | _NUMBERS,
    st.integers(0, 23) | _NUMBERS,
    st.sampled_from(("GMT", "-0000", "")) | _NUMBERS.map("{:+}".format),
)


@given(
    st.integers(0, 999),
    st.integers(1, 20),
    st.text(max_size=40) | _NUMBERS.map(str) | st.floats().map(str) | _DATES,
    st.floats(0, 1, exclude_max=True),
)
def test_every_response_has_a_consequence(status: int, attempt: int, retry_after: str, draw: float) -> None:
    """Whatever a receiver sends, something follows, within a day and a fifth, and never an exception."""
    assert 0 <= after(status, attempt=attempt, retry_after=retry_after, draw=draw)[1] <= 86_400 * 1.2


@given(
    put_off=st.integers(0, 4 * NOW),
    wait=st.integers(0, 103_680 * 10**9),
    now=st.integers(0, 4 * NOW),
)
def test_no_clock_that_is_set_back_makes_a_wait_longer(put_off: int, wait: int, now: int) -> None:
    """A clock that went on changes nothing; one that was set back leaves at most what was to be waited."""
    found = in_time(put_off + wait, put_off, now)
    assert found <= min(put_off, now) + wait
    if now >= put_off:
        assert found == put_off + wait


@given(next_at=st.integers(0, 4 * NOW), put_off=st.integers(0, 4 * NOW), now=st.integers(0, 4 * NOW))
def test_no_wait_is_longer_than_the_longest(next_at: int, put_off: int, now: int) -> None:
    """Whatever the clock said when it was planned, the next attempt is a day and a fifth away at most."""
    assert in_time(next_at, put_off, now) <= min(next_at, now + 103_680 * 10**9)
