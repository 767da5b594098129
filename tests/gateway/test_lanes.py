"""What a worker's requests see."""

from gateway.lanes import Lanes
from rollouts.route import Route
from tests.gateway.worlds import World

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
