"""What a worker shows of itself, and who is behind."""

from pathlib import Path

from gateway.presence import Presence, lagging
from groundwork.slot_readings import SlotsReader
from groundwork.slots import Slot


def test_lagging_names_those_who_answer_by_an_older_route(tmp_path: Path) -> None:
    """A worker that answers and has not applied the revision is named by place and slot."""
    first, second = Slot.create(tmp_path, place=0), Slot.create(tmp_path, place=1)
    for slot, revision in ((first, 4), (second, 3)):
        presence = Presence(slot.counters)
        presence.following(now=True)
        presence.applied("m", revision)
    assert lagging(SlotsReader(tmp_path), "m", 4) == [f"worker 1 (slot {second.incarnation})"]
    assert lagging(SlotsReader(tmp_path), "m", 3) == []
    assert len(lagging(SlotsReader(tmp_path), "other", 1)) == 2
    first.close()
    second.close()


def test_who_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    """A worker that starts, drains or is dead holds no verb up."""
    starting, draining, dead = (Slot.create(tmp_path, place=place) for place in range(3))
    Presence(starting.counters)
    leaving = Presence(draining.counters)
    leaving.following(now=True)
    leaving.following(now=False)
    Presence(dead.counters).following(now=True)
    dead.close()
    assert lagging(SlotsReader(tmp_path), "m", 1) == []
    starting.close()
    draining.close()


def test_failed_versions_and_connections_are_shown(tmp_path: Path) -> None:
    """Gauges say which versions cannot be loaded and how many connections are open."""
    slot = Slot.create(tmp_path, place=0)
    presence = Presence(slot.counters)
    presence.failed("m", "3", now=True)
    presence.connections(7)
    shown = {key.name: value for key, value in slot.counters.read().items()}
    assert (shown["driftgate_version_failed"], shown["driftgate_connections"]) == (1, 7)
    presence.failed("m", "3", now=False)
    shown = {key.name: value for key, value in slot.counters.read().items()}
    assert shown["driftgate_version_failed"] == 0
    slot.close()
