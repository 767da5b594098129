"""The route document: shares, percentages, and who answers."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollouts.errors import RouteError
from rollouts.route import FULL, Route, arm, bucket, check, percent, weight_from_percent

WEIGHTS = st.integers(0, FULL)


@given(WEIGHTS)
def test_every_weight_has_a_percentage_that_gives_it_back(weight: int) -> None:
    """What a screen shows for a weight is, typed in again, the same weight."""
    assert weight_from_percent(percent(weight)) == weight


@pytest.mark.parametrize(
    ("written", "weight", "shown"),
    [
        ("0", 0, "0"),
        ("100", FULL, "100"),
        (100.0, FULL, "100"),
        ("0.5%", 21474836, "0.5"),
        (50, FULL // 2, "50"),
        ("7.5", 322122547, "7.5"),
        (1e-12, 1, "0.00000002"),
        ("99.999999999999", FULL - 1, "99.99999998"),
    ],
)
def test_a_percentage_is_its_share_of_two_to_the_thirty_two(
    written: float | str, weight: int, shown: str
) -> None:
    """Half a percent is 0.5; only 0 is nobody and only 100 is everybody."""
    assert weight_from_percent(written) == weight
    assert percent(weight) == shown


@pytest.mark.parametrize("written", ["", "five", "-1", "100.1", "nan", float("nan"), float("inf"), "1e400"])
def test_what_is_no_percentage_is_refused(written: float | str) -> None:
    """The message says what was wanted and what was found."""
    with pytest.raises(RouteError, match="wanted a percentage"):
        weight_from_percent(written)


@given(st.integers(0, FULL - 1))
def test_weight_nought_sends_nobody_and_full_sends_all(place: int) -> None:
    """No bucket is the candidate's at 0 %, every one is at 100 %."""
    assert arm(Route("m", 1, "1", candidate="2", weight=0), place) == "stable"
    assert arm(Route("m", 1, "1", candidate="2", weight=FULL), place) == "candidate"


@given(WEIGHTS, WEIGHTS, st.integers(0, FULL - 1))
def test_raising_a_weight_only_adds(one: int, other: int, place: int) -> None:
    """A key that the candidate answers at some weight is its at every higher weight."""
    low, high = sorted((one, other))
    if arm(Route("m", 1, "1", candidate="2", weight=low), place) == "candidate":
        assert arm(Route("m", 1, "1", candidate="2", weight=high), place) == "candidate"


def test_buckets_are_the_same_for_ever() -> None:
    """Sticky clients stay where they are through every release: the hash is frozen."""
    assert bucket("fraud-43-7", b"client-1") == 2581100311
    assert bucket("", b"") == 634351890


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (Route("", 1, "1"), "no model"),
        (Route("m", 1, ""), "nobody would answer"),
        (Route("m", 0, "1"), "count from 1"),
        (Route("m", 1, "1", weight=5), "no candidate"),
        (Route("m", 1, "1", candidate="1"), "stable already"),
        (Route("m", 1, "1", candidate="2", weight=FULL + 1), "not within"),
        (Route("m", 1, "1", candidate="2", weight=-1), "not within"),
        (Route("m", 1, "1", shadow_share=1), "no shadow version"),
        (Route("m", 1, "1", shadow="1", shadow_share=1), "stable already"),
        (Route("m", 1, "1", previous="1"), "stable already"),
        (Route("m", 1, "1", key="cookie"), "header:NAME"),
        (Route("m", 1, "1", key="header:"), "header:NAME"),
    ],
)
def test_a_route_that_may_not_stand_is_refused(route: Route, said: str) -> None:
    """Every rule of a route has its own sentence."""
    with pytest.raises(RouteError, match=said):
        check(route)


def test_the_document_is_frozen() -> None:
    """The bytes of a route are part of the store's format; new fields come last, with defaults."""
    route = Route("m", 3, "1", "2", 21474836, "2", FULL, "0", "m-2-3", 0, "m-2-3", "header:X-User")
    golden = (
        b'{"model":"m","revision":3,"stable":"1","candidate":"2","weight":21474836,"shadow":"2",'
        b'"shadow_share":4294967296,"previous":"0","rollout":"m-2-3","step":0,"salt":"m-2-3","key":"header:X-User"}'
    )
    assert msgspec.json.encode(route) == golden.removesuffix(b"}") + b',"unloaded":false}'
    assert msgspec.json.decode(golden, type=Route) == route
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"model":"m","revision":1,"stable":"1","wieght":1}', type=Route)


def test_versions_to_keep_are_named_once_with_stable_first() -> None:
    """Whoever loads versions sees stable, candidate, shadow and previous without repeats."""
    assert Route("m", 1, "3", candidate="4", shadow="4", previous="2").versions() == ("3", "4", "2")
