"""The ways of a lane."""

from collections import OrderedDict

import msgspec
import pytest

from gateway.meters import Evidence
from gateway.routing import lane_of
from gateway.ways import MOST_LEFT_OUT, Way, comparable, ways_of
from prediction_log.record import Arm
from rollouts.route import FULL, Route
from tests.gateway.worlds import World
from tests.models import Values, identity, logistic

SHADOWED = Route(model="m", revision=3, stable="1", shadow="2", shadow_share=FULL // 4)
CANARY = msgspec.structs.replace(SHADOWED, candidate="2", weight=1)


async def test_each_arm_has_its_way(here: World) -> None:
    """Beside stable runs the shadow, as evidence; beside a candidate that answers, stable, as nobody's."""
    await here.publish("m", "2", logistic())
    versions = await here.serve(SHADOWED)
    one, two = versions["1"], versions["2"]
    evidence = Evidence(here.slot.counters, "m", "2", Arm.SHADOW, 3)
    (only,) = ways_of(lane_of(SHADOWED, here.fleet.loaded), evidence)
    first, second = ways_of(lane_of(CANARY, here.fleet.loaded), evidence)
    for way in (only, first):
        assert (way.answered, way.beside, way.arm, way.evidence) == (one, two, Arm.STABLE, evidence)
    assert (second.answered, second.beside, second.arm, second.evidence) == (two, one, Arm.CANDIDATE, None)
    assert {(way.revision, way.share) for way in (only, first, second)} == {(3, FULL // 4)}
    assert {way.pair for way in (only, first, second)} == {(one, two)}


@pytest.mark.parametrize(
    "changed", [{"shadow_share": 0}, {"shadow": None, "shadow_share": 0}], ids=["no-share", "no-shadow"]
)
async def test_without_a_shadow_there_are_none(here: World, changed: dict[str, object]) -> None:
    """Where nothing runs beside stable, nothing runs beside the candidate."""
    await here.publish("m", "2", logistic())
    await here.serve(CANARY)
    route = msgspec.structs.replace(CANARY, **changed)
    assert ways_of(lane_of(route, here.fleet.loaded), None) == ()


async def test_a_way_knows_how_many_use_it(here: World) -> None:
    """It is as long of use as somebody holds it, and two that say the same are two."""
    loaded = await here.fleet.load("m", "1")
    way, other = (Way(loaded, loaded, Arm.STABLE, 1, FULL, None, OrderedDict()) for _ in range(2))
    way.hold()
    way.hold()
    way.let_go()
    assert (way.users, other.users, len({way, other})) == (1, 0, 2)


async def test_of_very_many_the_oldest_are_forgotten(here: World) -> None:
    """What is left out is bounded: rows that the log lost never come to be met."""
    loaded = await here.fleet.load("m", "1")
    way = Way(loaded, loaded, Arm.STABLE, 1, FULL, None, OrderedDict())
    for place in range(MOST_LEFT_OUT + 3):
        way.leave_out(place.to_bytes(16, "little"))
    assert len(way.left_out) == MOST_LEFT_OUT
    assert next(iter(way.left_out)) == (3).to_bytes(16, "little")
    way.met([(3).to_bytes(16, "little"), b"elsewhere"])
    assert len(way.left_out) == MOST_LEFT_OUT - 1


@pytest.mark.parametrize(
    ("tensors", "whole"),
    [
        ([("a", "FP32", [None, 3])], True),
        ([("a", "INT64", [None])], True),
        ([("a", "FP32", [None, 3]), ("b", "BYTES", [None])], False),
        ([("a", "FP32", [None, None])], False),
        ([("a", "FP32", [2, 3])], False),
    ],
    ids=["rows", "scalars", "texts", "open", "no-batch"],
)
async def test_rows_of_fixed_widths_are_comparable(here: World, tensors: Values, *, whole: bool) -> None:
    """A frame has a version's tensors as they were where each is rows, of a fixed number of numbers."""
    assert comparable(await here.add("t", identity(tensors))) is whole
