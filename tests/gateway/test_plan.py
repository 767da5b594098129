"""What a worker loads, serves and lets go of: the pure decision."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.plan import plan, unneeded
from rollouts.route import FULL, Route

VERSIONS = ("1", "2", "3", "4")
HALF = Route(model="m", revision=5, stable="1", candidate="2", weight=FULL // 2, previous="3")


@st.composite
def routes(draw: st.DrawFn) -> Route:
    """Any route over four versions."""
    stable = draw(st.sampled_from(VERSIONS))
    other = st.none() | st.sampled_from([version for version in VERSIONS if version != stable])
    candidate, shadow = draw(other), draw(other)
    return Route(
        model="m",
        revision=draw(st.integers(1, 9)),
        stable=stable,
        candidate=candidate,
        weight=FULL // 4 if candidate else 0,
        shadow=shadow,
        shadow_share=FULL if shadow else 0,
        previous=draw(other),
    )


subsets = st.sets(st.sampled_from(VERSIONS))


@given(routes(), subsets, subsets, st.booleans())
def test_serves_only_what_is_loaded(route: Route, loaded: set[str], failed: set[str], serving: bool) -> None:  # noqa: FBT001  hypothesis passes by position
    """Whatever happens, a lane names no version that must answer and is not in memory."""
    decided = plan(route, loaded - failed, failed, serving=serving)
    if decided.serve is not None:
        asked = {decided.serve.stable, decided.serve.candidate, decided.serve.shadow} - {None}
        assert asked <= loaded - failed
        assert decided.serve.revision == route.revision
    if decided.applied:
        assert decided.serve is not None
        assert decided.serve.candidate == route.candidate
        assert decided.serve.weight == route.weight


@given(routes(), subsets, subsets, st.booleans())
def test_loads_what_is_missing_once(route: Route, loaded: set[str], failed: set[str], serving: bool) -> None:  # noqa: FBT001  hypothesis passes by position
    """What is loaded or has failed is not loaded again; when nothing is missing nothing is loaded."""
    decided = plan(route, loaded - failed, failed, serving=serving)
    assert set(decided.load) <= set(route.versions()) - loaded - failed
    assert bool(decided.load) == bool(set(route.versions()) - loaded - failed)


def test_all_there() -> None:
    """With everything in memory the route is served as it is."""
    decided = plan(HALF, {"1", "2", "3"}, set(), serving=True)
    assert (decided.serve, decided.applied, decided.load) == (HALF, True, ())


def test_stable_is_loaded_before_the_others() -> None:
    """The others are checked against stable, so it comes first."""
    assert plan(HALF, set(), set(), serving=False).load == ("1",)
    assert plan(HALF, {"1"}, set(), serving=False).load == ("2", "3")


def test_previous_is_not_waited_for() -> None:
    """The version before is kept warm, but nobody waits for it."""
    decided = plan(HALF, {"1", "2"}, set(), serving=True)
    assert (decided.applied, decided.load) == (True, ("3",))


def test_failed_candidate_leaves_what_answers() -> None:
    """Where something answers, a candidate that cannot be loaded changes nothing."""
    decided = plan(HALF, {"1", "3"}, {"2"}, serving=True)
    assert (decided.serve, decided.applied) == (None, False)


def test_failed_candidate_after_a_restart() -> None:
    """Where nothing answers yet, stable answers alone, and the route does not count as applied."""
    decided = plan(HALF, {"1", "3"}, {"2"}, serving=False)
    assert decided.serve == msgspec.structs.replace(HALF, candidate=None, weight=0)
    assert not decided.applied


def test_shadow_joins_later() -> None:
    """A shadow that is not in memory yet holds nothing up."""
    route = Route(model="m", revision=2, stable="1", shadow="2", shadow_share=FULL)
    decided = plan(route, {"1"}, set(), serving=True)
    assert decided.serve == Route(model="m", revision=2, stable="1")
    assert (decided.applied, decided.load) == (True, ("2",))


def test_unneeded() -> None:
    """What neither the route nor a pinned request names may go."""
    assert unneeded(HALF, {"1", "2", "3", "4"}, set()) == {"4"}
    assert unneeded(HALF, {"1", "2", "3", "4"}, {"4"}) == set()
    assert unneeded(None, {"1"}, set()) == {"1"}
