"""What the gateway measures."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway import metrics
from gateway.meters import ModelMeters
from groundwork.counters import Counters
from groundwork.metrics import render
from groundwork.retiring import retire
from groundwork.series import SeriesKey
from groundwork.slot_readings import SlotsReader
from groundwork.slots import Slot
from prediction_log.record import Arm


@pytest.fixture
def counters(tmp_path: Path) -> Iterator[Counters]:
    """A table of one worker."""
    table = Counters.create(tmp_path / "counters")
    yield table
    table.close()


def shown(series: dict[SeriesKey, int]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What a scraper reads: name and labels to value."""
    text = render(metrics.INSTRUMENTS, series).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_scrapes_say_what_one_look_says(tmp_path: Path) -> None:
    """A reader that remembers names tells the same as one that reads all, slots that come and go included."""
    folder = tmp_path / "slots"
    facts = {SeriesKey(metrics.DISK_FREE, (), "gauge"): 7}
    scrapes = metrics.Scrapes(SlotsReader(folder), lambda: facts)
    for place in range(3):
        slot = Slot.create(folder, place=place)
        ModelMeters(slot.counters, "m", str(place)).observe[Arm.PINNED](30)
        assert scrapes() == metrics.exposition(folder, lambda: facts)
        incarnation = slot.incarnation
        slot.close()
        if place:
            retire(folder, incarnation)
        assert scrapes() == metrics.exposition(folder, lambda: facts)
    assert b'version="2"' in scrapes()


def test_latency_is_told_by_arm_and_outcome(counters: Counters) -> None:
    """Answers, failures and reruns of each arm have a histogram of their own, made when it is needed."""
    meters = ModelMeters(counters, "m", "1")
    meters.observe[Arm.STABLE](30)
    meters.observe[Arm.CANDIDATE](30)
    meters.observe_failed(Arm.STABLE, 30, rerun=False)
    meters.observe_failed(Arm.CANDIDATE, 30, rerun=True)
    found = shown(counters.read())
    counts = {
        (dict(labels)["arm"], dict(labels)["outcome"]): value
        for (name, labels), value in found.items()
        if name == "driftgate_request_seconds_count"
    }
    assert counts == {
        ("stable", "ok"): 1.0,
        ("candidate", "ok"): 1.0,
        ("stable", "failed"): 1.0,
        ("candidate", "rerun"): 1.0,
    }
