"""What people write about a rollout, and the record of one.

`RolloutSpec` is the file: durations and percentages are normalised as it is read, unknown fields are errors
(see `rollouts.spec_file` for reading one and for what makes a good one). `Rollout` is one attempt: which
step, since when, and how it ended. All values are immutable; no clock, no store, no statistics here.
"""

import math
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from groundwork.errors import SettingsError
from groundwork.quantities import parse_duration
from groundwork.steady import UNKNOWN, Steady, passed
from rollouts.errors import RouteError, SpecError
from rollouts.route import REQUEST_KEY, weight_from_percent

Until = Literal["no-regression", "pass", "duration"]
OnMax = Literal["pause", "continue", "abort"]
State = Literal["progressing", "paused", "baking", "succeeded", "rolled-back"]

LIVE: Final[frozenset[str]] = frozenset({"progressing", "paused", "baking"})
"""States in which a rollout still owns its model's route."""


def seconds(written: float | str) -> float:
    """Return a duration in seconds; a bare number is seconds already.

    Raises:
        SpecError: It is no duration, or a negative one.
    """
    if isinstance(written, int | float) and math.isfinite(written) and written >= 0:
        return float(written)
    try:
        return parse_duration(str(written))
    except SettingsError as error:
        raise SpecError(str(error)) from None


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """When a step may be left.

    All of `for_` (written `for`), `samples`, `pairs` and `until` must be met. After `max` the wait is over
    and `on_max` says what happens then. Durations are seconds once read; a `max` of 0 waits for ever.
    """

    for_: Annotated[float | str, Meta(description="shortest stay in the step")] = 120.0
    samples: Annotated[int, Meta(ge=0, description="requests the candidate answered in the step")] = 200
    pairs: Annotated[int, Meta(ge=0, description="labelled pairs of requests of the step")] = 0
    until: Annotated[Until, Meta(description="what the judge must have said")] = "no-regression"
    max: Annotated[float | str, Meta(description="longest stay; 0 = no limit")] = 0.0
    on_max: Annotated[OnMax, Meta(description="what happens after `max`")] = "pause"

    def __post_init__(self) -> None:
        """Normalise the durations to seconds."""
        force_setattr(self, "for_", seconds(self.for_))
        force_setattr(self, "max", seconds(self.max))

    @property
    def shortest(self) -> float:
        """`for`, seconds."""
        return float(self.for_)

    @property
    def longest(self) -> float:
        """`max`, seconds; 0 is no limit."""
        return float(self.max)


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rung: shares in percent, and when to leave it."""

    weight: Annotated[float | str, Meta(description="percent of requests the candidate answers")] = 0.0
    shadow: Annotated[float | str, Meta(description="percent of requests run by both versions")] = 0.0
    hold: Hold = Hold()

    def __post_init__(self) -> None:
        """Normalise the percentages to numbers."""
        for name in ("weight", "shadow"):
            given = getattr(self, name)
            try:
                weight_from_percent(given)
            except RouteError as error:
                raise SpecError(f"{name}: {error}") from None
            force_setattr(self, name, float(str(given).strip().removesuffix("%")))

    @property
    def weight_share(self) -> int:
        """`weight` in whole numbers of FULL."""
        return weight_from_percent(self.weight)

    @property
    def shadow_share(self) -> int:
        """`shadow` in whole numbers of FULL."""
        return weight_from_percent(self.shadow)


class Bake(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"for_": "for"}):
    """How long the promoted version is watched, with the previous one warm, before the rollout is over."""

    for_: Annotated[float | str, Meta(description="time after promotion before the rollout is over")] = 3600.0

    def __post_init__(self) -> None:
        """Normalise the duration to seconds."""
        force_setattr(self, "for_", seconds(self.for_))

    @property
    def duration(self) -> float:
        """`for`, seconds."""
        return float(self.for_)


class Errors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The error rates of the decisions themselves."""

    rollback_alpha: Annotated[
        float,
        Meta(gt=0, lt=0.5, description="chance, over the whole rollout, of rolling back a good candidate"),
    ] = 0.05
    promote_beta: Annotated[
        float, Meta(gt=0, lt=0.5, description="chance, per metric, of passing a candidate beyond its margin")
    ] = 0.05


Positive = Annotated[float, Meta(gt=0)]
Rate = Annotated[float, Meta(ge=0, lt=0.5)]


class MetricSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One metric of the judge; the metric says which numbers apply and what None means."""

    name: Annotated[str, Meta(description="an entry of the judge's table: error-rate, accuracy")]
    margin: Annotated[Positive | None, Meta(description="tolerated ratio of rates, or loss of accuracy")] = (
        None
    )
    floor: Annotated[Rate | None, Meta(description="error rate below which nobody is rolled back")] = None
    cap: Annotated[Rate | None, Meta(description="error rate; proven to be under it is PASS")] = None
    required: Annotated[bool, Meta(description="must PASS where a hold says until: pass")] = True
    weight: Annotated[Positive, Meta(description="share in the combined rollback evidence")] = 1.0


class Guards(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fuses that need no statistics; 0 takes one out."""

    consecutive_errors: Annotated[int, Meta(ge=0, description="candidate errors in a row in one worker")] = 20
    max_exposed_errors: Annotated[
        int, Meta(ge=0, description="answers users lost beyond what stable loses")
    ] = 200
    crashes: Annotated[
        int, Meta(ge=0, description="worker deaths while the candidate was executing or being loaded")
    ] = 2


DEFAULT_STEPS: Final = (
    Step(shadow=100, hold=Hold(for_="2m", samples=200, max="30m")),
    Step(weight=5, shadow=100, hold=Hold(for_="2m", samples=200, max="1h")),
    Step(weight=25, shadow=100, hold=Hold(for_="5m", samples=500, max="2h")),
    Step(weight=50, shadow=100, hold=Hold(for_="10m", samples=1000, until="pass", max="4h")),
)
DEFAULT_METRICS: Final = (
    MetricSpec(name="error-rate", required=True),
    MetricSpec(name="accuracy", required=False),
)


class RolloutSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rollout file; nothing written is a careful rollout. Promotion follows the last step."""

    model: Annotated[str | None, Meta(description="refuse to start for another model")] = None
    candidate: Annotated[
        str | None, Meta(description="the version to roll out, when the command names none")
    ] = None
    key: Annotated[str, Meta(description="what assigns a request: request, or header:NAME (sticky)")] = (
        REQUEST_KEY
    )
    steps: tuple[Step, ...] = DEFAULT_STEPS
    bake: Bake = Bake()
    decision: Errors = Errors()
    metrics: tuple[MetricSpec, ...] = DEFAULT_METRICS
    guards: Guards = Guards()


class Rollout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt to bring `candidate` where `stable` stands.

    `step` counts from 0; `step_revision` is the route revision from which requests belong to the step and
    `first_revision` the one from which they belong to the rollout. Times are unix ns; `step_entered` is
    moved when a paused rollout is resumed, so that holds count from there, and `entered` is the same moment
    on the machine's steady clock. `reason` says why the state is what it is.
    """

    id: str
    model: str
    stable: str
    candidate: str
    spec: RolloutSpec
    state: State = "progressing"
    step: int = 0
    step_revision: int = 0
    step_entered: int = 0
    started: int = 0
    first_revision: int = 0
    reason: str = ""
    entered: Steady = UNKNOWN

    def waited(self, now: int, steady: Steady) -> float:
        """Seconds in this step, at `now` (unix ns) on the wall clock and `steady` on the steady one.

        A wall clock that is set moves no step on and keeps none waiting: it counts only where the machine was
        started since, and then never below 0.
        """
        steadily = passed(self.entered, steady)
        return (max(now - self.step_entered, 0) if steadily is None else steadily) / 1e9

    @property
    def live(self) -> bool:
        """Whether it still owns the route."""
        return self.state in LIVE

    @property
    def current(self) -> Step:
        """The step it stands on."""
        return self.spec.steps[self.step]
