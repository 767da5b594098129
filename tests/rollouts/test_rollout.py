"""What people write about a rollout, and the record of one."""

import msgspec
import pytest

from rollouts.errors import SpecError
from rollouts.rollout import DEFAULT_STEPS, Hold, Rollout, RolloutSpec, Step, seconds
from rollouts.route import FULL


@pytest.mark.parametrize(
    ("written", "meant"),
    [("2m", 120), ("1h30m", 5400), ("500ms", 0.5), ("0", 0), (0, 0), (90, 90), (1.5, 1.5)],
)
def test_durations_are_seconds_once_read(written: float | str, meant: float) -> None:
    """A number is seconds, a text has its unit."""
    assert seconds(written) == meant
    assert Hold(for_=written, max=written).shortest == meant


@pytest.mark.parametrize("written", ["soon", "", -1, "-1s", float("nan"), float("inf"), "3"])
def test_what_is_no_duration_is_refused(written: float | str) -> None:
    """The message says what to write."""
    with pytest.raises(SpecError, match="wanted a duration"):
        seconds(written)


def test_percentages_become_shares() -> None:
    """A step speaks percent and the route whole numbers of 2**32."""
    step = Step(weight="0.5%", shadow=100)
    assert (step.weight, step.weight_share, step.shadow_share) == (0.5, 21474836, FULL)
    with pytest.raises(SpecError, match=r"weight: .*wanted a percentage"):
        Step(weight=101)


def test_the_default_is_careful() -> None:
    """With no file: shadow first, then rising weights, proof before promotion, limits everywhere, a bake."""
    spec = RolloutSpec()
    assert [(step.weight, step.shadow) for step in spec.steps] == [(0, 100), (5, 100), (25, 100), (50, 100)]
    assert spec.steps[-1].hold.until == "pass"
    assert all(step.hold.longest > step.hold.shortest > 0 for step in DEFAULT_STEPS)
    assert spec.bake.duration == 3600
    assert [(one.name, one.required) for one in spec.metrics] == [("error-rate", True), ("accuracy", False)]


def test_a_rollout_survives_its_store() -> None:
    """The record, with the whole specification in it, comes back equal."""
    rollout = Rollout("m-2-2", "m", "1", "2", RolloutSpec(steps=(Step(weight="7.5", hold=Hold(for_="2m")),)))
    assert msgspec.json.decode(msgspec.json.encode(rollout), type=Rollout) == rollout


def test_a_rollout_is_live_until_it_has_ended() -> None:
    """Progressing, paused and baking own the route; the others are records."""
    rollout = Rollout("m-2-2", "m", "1", "2", RolloutSpec())
    states = ("progressing", "paused", "baking", "succeeded", "rolled-back")
    live = [state for state in states if msgspec.structs.replace(rollout, state=state).live]
    assert live == ["progressing", "paused", "baking"]
