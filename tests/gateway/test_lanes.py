"""What a worker's requests see."""

import msgspec

from gateway.lanes import Lanes
from gateway.meters import Evidence
from gateway.routing import Lane
from gateway.ways import Way, ways_of
from rollouts.route import FULL, Route
from tests.gateway.worlds import World
from tests.models import logistic

ROUTE = Route(model="m", revision=1, stable="1")


async def test_a_request_keeps_the_table_it_began_with(here: World) -> None:
    """Serving and taking out replace the table; what was read before stays as it was."""
    loaded = await here.fleet.load("m", "1")
    lanes = Lanes(here.slot.counters)
    before = lanes.table
    lanes.serve(ROUTE, {("m", "1"): loaded})
    during = lanes.table
    lanes.take_out("m")
    assert (set(before), set(during), set(lanes.table)) == (set(), {"m"}, set())


async def test_only_a_model_without_a_lane_has_an_excuse(here: World) -> None:
    """It goes with the first lane, and none is taken for a model that is answered."""
    lanes = Lanes(here.slot.counters)
    lanes.excuse("m", "version 1 is cut")
    assert lanes.unserved == {"m": "version 1 is cut"}
    lanes.serve(ROUTE, {("m", "1"): await here.fleet.load("m", "1")})
    assert lanes.unserved == {}
    lanes.excuse("m", "version 2 is cut")
    assert lanes.unserved == {}


async def test_a_stranded_model_stays_so_while_its_stable_version_is_the_same(here: World) -> None:
    """A retry that forgives the version does not end it; another stable version does, or no route."""
    lanes = Lanes(here.slot.counters)
    lanes.sleep({"sleeper": "7"})
    lanes.strand("m", ROUTE, broken=False)
    assert lanes.stranded == {}
    lanes.strand("m", ROUTE, broken=True)
    lanes.strand("m", ROUTE, broken=False)
    assert lanes.stranded == {"m": ROUTE}
    assert lanes.dormant == {"sleeper": "7", "m": "1"}
    lanes.strand("m", Route(model="m", revision=2, stable="2"), broken=False)
    assert lanes.stranded == {}
    assert lanes.dormant == {"sleeper": "7"}
    lanes.strand("m", ROUTE, broken=True)
    lanes.strand("m", None, broken=False)
    assert lanes.stranded == {}


async def test_a_lane_that_stays_keeps_its_places(here: World) -> None:
    """A swap looks up the places of evidence for the lanes that it changes, and for no other."""
    lanes, versions = here.core.lanes, here.fleet.loaded
    before = lanes.bound["m"]
    lanes.table = dict(lanes.table)
    assert lanes.bound["m"] is before
    lanes.serve(Route(model="m", revision=2, stable="1"), versions)
    assert lanes.bound["m"] is not before


async def test_who_has_no_lane_is_told_why(here: World) -> None:
    """A model that is known says what is wrong with it; one that nobody knows is unknown."""
    lanes = Lanes(here.slot.counters)
    lanes.excuse("m", "version 1 is cut")
    assert (lanes.absent("m").code, lanes.absent("x").code) == ("not-ready", "unknown-model")


SHADOWED = Route(model="m", revision=2, stable="1", shadow="2", shadow_share=FULL)


class Follows:
    """A follower that takes every lane, or none."""

    def __init__(self, *, takes: bool) -> None:
        self.takes = takes
        self.ways: list[Way] = []

    def follow(self, lane: Lane, evidence: Evidence | None) -> tuple[Way, ...]:
        """Its ways, each new."""
        ways = ways_of(lane, evidence) if self.takes else ()
        for way in ways:
            way.hold()
        self.ways += ways
        return ways


async def test_a_lane_that_is_followed_offers_nothing(here: World) -> None:
    """Its requests see no shadow and draw nothing; it holds its ways until it is replaced, or taken out."""
    await here.publish("m", "2", logistic())
    await here.serve(SHADOWED)
    lanes, follower = Lanes(here.slot.counters), Follows(takes=True)
    lanes.follower = follower
    lanes.serve(SHADOWED, here.fleet.loaded)
    bound, (first,) = lanes.bound["m"], follower.ways
    assert (bound.plain, bound.lane.shadow, bound.lane.shadow_share, bound.ways) == (True, None, 0, (first,))
    assert lanes.table["m"].shadow is first.beside
    lanes.table = dict(lanes.table)
    assert first.users == 1
    lanes.serve(msgspec.structs.replace(SHADOWED, revision=3), here.fleet.loaded)
    assert [way.users for way in follower.ways] == [0, 1]
    lanes.take_out("m")
    assert [way.users for way in follower.ways] == [0, 0]


async def test_a_revision_that_is_offered_is_not_followed_later(here: World) -> None:
    """Whether its requests are offered is decided once for each revision, with a shadow or without one."""
    await here.publish("m", "2", logistic())
    await here.serve(SHADOWED)
    lanes, follower = Lanes(here.slot.counters), Follows(takes=False)
    lanes.follower = follower
    lanes.serve(SHADOWED, here.fleet.loaded)
    follower.takes = True
    lanes.serve(SHADOWED, here.fleet.loaded)
    assert lanes.bound["m"].lane.shadow is not None
    unshadowed = msgspec.structs.replace(SHADOWED, revision=3, shadow=None, shadow_share=0)
    lanes.serve(unshadowed, here.fleet.loaded)
    lanes.serve(msgspec.structs.replace(SHADOWED, revision=3), here.fleet.loaded)
    assert lanes.bound["m"].ways == tuple(follower.ways)
