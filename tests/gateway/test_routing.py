"""Who answers: lanes, draws and arms."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.meters import ModelMeters
from gateway.model import LoadedModel
from gateway.routing import (
    Lane,
    RoutingError,
    assign,
    draw_for_key,
    draw_for_request,
    header_key,
    lane_of,
)
from gateway.session import Session
from gateway.warmup import UNKNOWN
from groundwork.counters import Counters
from prediction_log.record import Arm
from registry_client.manifest import Manifest, digest_of
from rollouts.route import FULL, Route
from tests.models import logistic

Loaded = dict[tuple[str, str], LoadedModel]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Versions 1, 2 and 3 of model m."""
    folder = tmp_path_factory.mktemp("routing")
    path: Path = folder / "model.onnx"
    path.write_bytes(logistic())
    session = Session.open(path, title="m")
    counters = Counters.create(folder / "counters")
    return {
        ("m", version): LoadedModel(
            Manifest(name="m", version=version, digest=digest_of(b""), size=0),
            session,
            ModelMeters(counters, "m", version),
            UNKNOWN,
            -1,
        )
        for version in ("1", "2", "3")
    }


def lane(loaded: Loaded, weight: int = 0, shadow_share: int = 0, salt: str = "") -> Lane:
    """Stable 1, candidate 2 at this weight, shadow 2 at this share."""
    route = Route(model="m", revision=4, stable="1", candidate="2", weight=weight, salt=salt)
    route = replace(route, shadow="2", shadow_share=shadow_share, previous="3")
    return lane_of(route, loaded)


draws = st.integers(0, 2**64 - 1)
shares = st.integers(0, FULL)


@given(draw=draws, weight=shares, share=shares)
def test_a_draw_decides_arm_and_shadow(loaded: Loaded, draw: int, weight: int, share: int) -> None:
    """The upper half of a draw chooses the arm, the lower half whether the other version runs beside."""
    chosen = assign(lane(loaded, weight, share), draw)
    assert chosen.arm is (Arm.CANDIDATE if draw >> 32 < weight else Arm.STABLE)
    assert chosen.model.version == ("2" if chosen.arm is Arm.CANDIDATE else "1")
    beside = None if chosen.shadow is None else chosen.shadow.version
    shadowed = (draw & (FULL - 1)) < share
    assert beside == (("1" if chosen.arm is Arm.CANDIDATE else "2") if shadowed else None)


@given(draw=draws, lower=shares, upper=shares)
def test_raising_a_weight_takes_nobody_off_the_candidate(
    loaded: Loaded, draw: int, lower: int, upper: int
) -> None:
    """Whoever the candidate answers at one weight it answers at every greater one."""
    lower, upper = sorted((lower, upper))
    if assign(lane(loaded, lower), draw).arm is Arm.CANDIDATE:
        assert assign(lane(loaded, upper), draw).arm is Arm.CANDIDATE


@given(key=st.binary(max_size=40), one=st.integers(0, 2**50), other=st.integers(0, 2**50))
def test_a_key_sticks(loaded: Loaded, key: bytes, one: int, other: int) -> None:
    """The same key has the same arm whatever request it comes with."""
    half = lane(loaded, FULL // 2, FULL // 2, "r7")
    first, second = (assign(half, draw_for_key(half, key, number)) for number in (one, other))
    assert first.arm is second.arm


def test_shares_are_honoured(loaded: Loaded) -> None:
    """Of 20 000 requests about as many go to the candidate, and are shadowed, as the shares say."""
    part = lane(loaded, FULL // 20, FULL // 4, "r1")
    chosen = [assign(part, draw_for_request(part, number)) for number in range(20_000)]
    assert 850 < sum(one.arm is Arm.CANDIDATE for one in chosen) < 1150
    assert 4600 < sum(one.shadow is not None for one in chosen) < 5400


def test_the_ends_of_a_share_are_exact(loaded: Loaded) -> None:
    """Nothing sends nobody, everything sends everybody."""
    for number in range(1000):
        for weight, arm in ((0, Arm.STABLE), (FULL, Arm.CANDIDATE)):
            part = lane(loaded, weight)
            assert assign(part, draw_for_request(part, number)).arm is arm


def test_a_lane_needs_its_versions(loaded: Loaded) -> None:
    """A route whose version is not loaded makes no lane, and the error names the version."""
    route = Route(model="m", revision=1, stable="1", candidate="9", weight=1)
    with pytest.raises(RoutingError, match="version 9, which is not loaded"):
        lane_of(route, loaded)


def test_a_previous_version_may_be_missing(loaded: Loaded) -> None:
    """What is only kept warm is not needed for an answer."""
    route = Route(model="m", revision=1, stable="1", previous="9")
    built = lane_of(route, loaded)
    assert set(built.versions) == {"1", "2", "3"}


def test_the_key_of_a_route_is_a_header(loaded: Loaded) -> None:
    """A sticky route names the header in any case; the wire's is lower."""
    assert header_key("header:User-Id") == b"user-id"
    assert header_key("request") is None
    sticky = replace(lane(loaded).route, key="header:User-Id")
    assert lane_of(sticky, loaded).key_header == b"user-id"
