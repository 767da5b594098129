"""What may leave a worker's memory to make room."""

from typing import cast

from gateway.budget import Resident
from gateway.model import LoadedModel
from gateway.residents import may_leave
from gateway.routing import Lane
from rollouts.route import Route

NOW = 9


class Held:
    """A version in memory: a size, and when it was last used."""

    def __init__(self, size: int, used: int) -> None:
        self.size = size
        self._used = used

    def used(self, now: int) -> int:
        """When it was last used."""
        return min(self._used, now)


def held(**versions: tuple[int, int]) -> dict[str, LoadedModel]:
    """Version to what it is; the names are v and the version."""
    return {name[1:]: cast("LoadedModel", Held(*given)) for name, given in versions.items()}


def lane(route: Route, versions: dict[str, LoadedModel]) -> Lane:
    """The lane of a route."""
    return Lane(route, versions[route.stable])


def test_a_model_at_rest_leaves_whole_and_strangers_one_by_one() -> None:
    """What answers goes together, used when one of it was last; what no route names goes by itself."""
    versions = held(v1=(5, 3), v2=(7, 2), v3=(1, 8))
    route = Route(model="m", revision=1, stable="1", previous="2")
    stranger, together = may_leave({"m": versions}, {"m": lane(route, versions)}, {"m": route}, (), NOW)
    assert stranger == Resident("m", ("3",), 1, 8, whole=False)
    assert (set(together.versions), together.size, together.used) == ({"1", "2"}, 12, 3)
    assert together.whole


def test_who_is_rolled_out_or_busy_or_answers_still_stays() -> None:
    """A rollout's versions, a busy model's, and those of a lane that answers until its route is followed."""
    versions = held(v1=(5, 3), v2=(7, 2))
    rolled = Route(model="m", revision=2, stable="1", candidate="2", rollout="r")
    assert may_leave({"m": versions}, {}, {"m": rolled}, (), NOW) == []
    quiet = Route(model="m", revision=1, stable="1")
    later = Route(model="m", revision=2, stable="2")
    assert may_leave({"m": held(v1=(5, 3))}, {}, {"m": quiet}, {"m"}, NOW) == []
    found = may_leave({"m": versions}, {"m": lane(quiet, versions)}, {"m": later}, {"m"}, NOW)
    assert found == []
