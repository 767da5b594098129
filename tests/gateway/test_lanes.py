"""What a worker's requests see."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from gateway.lanes import Lanes
from gateway.routing import Table
from rollouts.route import Route
from tests.gateway.worlds import World

ROUTE = Route(model="m", revision=1, stable="1")


class Seen:
    """What requests read."""

    def __init__(self) -> None:
        self.table: Table = MappingProxyType({})
        self.routed: Collection[str] = ()
        self.unserved: Mapping[str, str] = MappingProxyType({})
        self.dormant: Mapping[str, str] = MappingProxyType({})
        self.stranded: Mapping[str, Route] = MappingProxyType({})


async def test_a_request_keeps_the_table_it_began_with(here: World) -> None:
    """Serving and taking out replace the table; what was read before stays as it was."""
    loaded = await here.fleet.load("m", "1")
    seen = Seen()
    lanes = Lanes(seen)
    before = seen.table
    lanes.serve(ROUTE, {("m", "1"): loaded})
    during = seen.table
    lanes.take_out("m")
    assert (set(before), set(during), set(seen.table)) == (set(), {"m"}, set())


async def test_only_a_model_without_a_lane_has_an_excuse(here: World) -> None:
    """It goes with the first lane, and none is taken for a model that is answered."""
    seen = Seen()
    lanes = Lanes(seen)
    lanes.excuse("m", "version 1 is cut")
    assert seen.unserved == {"m": "version 1 is cut"}
    lanes.serve(ROUTE, {("m", "1"): await here.fleet.load("m", "1")})
    assert seen.unserved == {}
    lanes.excuse("m", "version 2 is cut")
    assert seen.unserved == {}


def test_a_stranded_model_stays_so_while_its_stable_version_is_the_same() -> None:
    """A retry that forgives the version does not end it; another stable version does, or no route."""
    seen = Seen()
    lanes = Lanes(seen)
    lanes.sleep({"sleeper": "7"})
    lanes.strand("m", ROUTE, broken=False)
    assert seen.stranded == {}
    lanes.strand("m", ROUTE, broken=True)
    lanes.strand("m", ROUTE, broken=False)
    assert seen.stranded == {"m": ROUTE}
    assert seen.dormant == {"sleeper": "7", "m": "1"}
    lanes.strand("m", Route(model="m", revision=2, stable="2"), broken=False)
    assert seen.stranded == {}
    assert seen.dormant == {"sleeper": "7"}
    lanes.strand("m", ROUTE, broken=True)
    lanes.strand("m", None, broken=False)
    assert seen.stranded == {}
