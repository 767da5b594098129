"""The registry that hands out no barred version."""

from pathlib import Path

import pytest

from gateway.barring import BarringRegistry
from gateway.errors import LoadError
from gateway.quarantine import TRIAL_SECONDS, Barred
from groundwork.clock import FakeClock
from registry_client.memory import MemoryRegistry
from tests import models


def test_a_barred_version_is_refused_until_its_time_is_over(tmp_path: Path) -> None:
    """The refusal says until when and why; other versions, and this one later, are handed out."""
    registry, clock = MemoryRegistry(cache=tmp_path), FakeClock()
    for version in ("1", "2"):
        models.publish(registry, "m", version, models.logistic(2))
    until = clock.now() + 60 * 10**9
    barring = BarringRegistry(registry, [Barred("m", "2", until, "it crashed")], clock)
    with pytest.raises(LoadError, match=r"m version 2 is not loaded before .*Z: it crashed"):
        barring.manifest("m", "2")
    manifest = barring.manifest("m", "1")
    assert barring.artifact(manifest) == registry.artifact(manifest)
    assert barring.profile(manifest) == registry.profile(manifest)
    assert (barring.models(), barring.versions("m")) == (["m"], ["1", "2"])
    clock.advance(60)
    assert barring.manifest("m", "2").version == "2"


def test_workers_try_one_after_another(tmp_path: Path) -> None:
    """When the time is over the first place tries, and another waits for its turn, or for what it is told."""
    registry, clock = MemoryRegistry(cache=tmp_path), FakeClock()
    models.publish(registry, "m", "2", models.logistic(2))
    barred = [Barred("m", "2", clock.now() + 60 * 10**9, "it crashed")]
    first, second = (BarringRegistry(registry, barred, clock, place) for place in (0, 1))
    clock.advance(60)
    assert first.manifest("m", "2").version == "2"
    with pytest.raises(LoadError):
        second.manifest("m", "2")
    second.bar([Barred("m", "2", clock.now() + 120 * 10**9, "it crashed again")])
    clock.advance(TRIAL_SECONDS)
    with pytest.raises(LoadError, match="it crashed again"):
        second.manifest("m", "2")
    second.bar([])
    assert second.manifest("m", "2").version == "2"


def test_a_clock_that_was_set_back_refuses_nothing(tmp_path: Path) -> None:
    """A time further ahead than anything is ever barred for is of a clock that was wrong."""
    registry, clock = MemoryRegistry(cache=tmp_path), FakeClock()
    models.publish(registry, "m", "2", models.logistic(2))
    barred = [Barred("m", "2", clock.now() + 3_600 * 10**9, "it crashed")]
    assert BarringRegistry(registry, barred, clock, 1).manifest("m", "2").version == "2"
