"""What is measured of rollouts: where each model stands, how long it has stood there, and how long it may.

Rules: the store knows it, so however many workers there are, it is told once.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Protocol, get_args

from groundwork.metrics import Instrument
from groundwork.series import SeriesKey
from groundwork.steady import UNKNOWN, Steady
from rollouts.rollout import LIVE, Rollout, State
from rollouts.route import Route

STATE: Final = "driftgate_rollout_state"
STEP: Final = "driftgate_rollout_step_seconds"
SHORTEST: Final = "driftgate_rollout_step_shortest_seconds"
LONGEST: Final = "driftgate_rollout_step_longest_seconds"
MONITOR_SILENCE: Final = "driftgate_monitor_silence_seconds"

STEADY: Final = "steady"
STATES: Final = (STEADY, *get_args(State))
"""What a model's rollout can be in; steady is a model that never had one."""

INSTRUMENTS: Final = (
    Instrument(
        name=STATE,
        help="1 for the state that a model's latest rollout is in, 0 for the others.",
        kind="gauge",
        labels=("model", "state"),
    ),
    Instrument(
        name=STEP,
        help="Time that a live rollout has spent in its step, since it was resumed if it was paused.",
        kind="gauge",
        labels=("model",),
        scale=1e-3,
    ),
    Instrument(
        name=SHORTEST,
        help="Time that a rollout stays in its step at least: `for` of its hold or bake; absent when paused.",
        kind="gauge",
        labels=("model",),
        scale=1e-3,
    ),
    Instrument(
        name=LONGEST,
        help="Time after which a step ends: `max` of its hold, `for` of its bake; absent where none is.",
        kind="gauge",
        labels=("model",),
        scale=1e-3,
    ),
    Instrument(
        name=MONITOR_SILENCE,
        help="Time since the monitor last told the rollouts that it is alive; absent before the first time.",
        kind="gauge",
        scale=1e-3,
    ),
)


class Store(Protocol):
    """What is read of the rollouts store."""

    def routes(self) -> Mapping[str, Route]:
        """Every route by model name."""
        ...

    def latest_rollouts(self) -> list[Rollout]:
        """Each model's most recent rollout."""
        ...

    def last_beat(self, name: str) -> int | None:
        """When a program was last noted alive (unix ns)."""
        ...


def series(
    routes: Iterable[str], latest: Iterable[Rollout], now: int, steady: Steady = UNKNOWN
) -> dict[SeriesKey, int]:
    """Where each model with a route stands at `now` (unix ns), and how long: a gauge per model and state."""
    states = dict.fromkeys(routes, STEADY)
    found: dict[SeriesKey, int] = {}
    for rollout in latest:
        states[rollout.model] = rollout.state
        for name, seconds in _times(rollout, now, steady).items():
            found[SeriesKey(name, (("model", rollout.model),), "gauge")] = round(seconds * 1000)
    for model, current in states.items():
        for state in STATES:
            labels = (("model", model), ("state", state))
            found[SeriesKey(STATE, labels, "gauge")] = int(state == current)
    return found


def _times(rollout: Rollout, now: int, steady: Steady) -> dict[str, float]:
    """How long a live rollout has been in its step, and between which bounds it ends; seconds."""
    if rollout.state not in LIVE:
        return {}
    found = {STEP: rollout.waited(now, steady)}
    if rollout.state == "paused":
        return found
    hold, bake = rollout.current.hold, rollout.spec.bake.duration
    baking = rollout.state == "baking"
    shortest, longest = (bake, bake) if baking else (hold.shortest, hold.longest)
    found[SHORTEST] = shortest
    if baking or longest:
        found[LONGEST] = longest
    return found


def looked_up(store: Store, now: int, steady: Steady) -> dict[SeriesKey, int]:
    """What the store knows at `now` (unix ns), however many workers look at it.

    Raises what reading the store raises.
    """
    found = series(store.routes(), store.latest_rollouts(), now, steady)
    beat = store.last_beat("monitor")
    if beat is not None:
        found[SeriesKey(MONITOR_SILENCE, (), "gauge")] = abs(now - beat) // 1_000_000
    return found
