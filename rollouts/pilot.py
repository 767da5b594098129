"""What to do next with a rollout: one pure decision from verdicts, counts and the time.

It moves forward only with the proof that the spec asks for and a monitor that is alive; it goes back
whenever the judge proves a regression, in every live state, whatever else is missing. Every decision
carries its sentence, with numbers. It does not edit anything (`rollouts.verbs` does) and reads no clock.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from groundwork.steady import UNKNOWN, Steady
from rollouts.judge import Rollback, metric, rollback
from rollouts.metric import grouped
from rollouts.rollout import Hold, Rollout, RolloutSpec
from rollouts.route import Route, percent
from rollouts.verdict import Call, Verdict

Kind = Literal["hold", "advance", "promote", "abort", "pause", "finish"]
Evidence = dict[str, float | int | str | None]

_NS: Final = 1e9


class Freshness(msgspec.Struct, frozen=True):
    """How old what the monitor said is, in seconds (None: it never said anything), and how old it may be."""

    monitor_age: float | None = None
    limit: float = 15.0

    @classmethod
    def of(cls, beat: int | None, now: int) -> "Freshness":
        """That of a monitor that was last noted alive at `beat` (both unix ns; None: never).

        A beat to come is from before the clock was set back, and counts as old as it is far.
        """
        return cls(monitor_age=None if beat is None else abs(now - beat) / _NS)


class Decision(msgspec.Struct, frozen=True):
    """What to do and why.

    For "hold" `waiting` names what is waited for: time, samples, pairs, verdict, monitor, resume, bake,
    nothing. `verdict`, `n` and `evidence` go into the history row.
    """

    kind: Kind
    reason: str
    waiting: tuple[str, ...] = ()
    verdict: str = ""
    n: int = 0
    evidence: Evidence = {}


def decide(
    rollout: Rollout,
    route: Route,
    verdicts: Sequence[Verdict],
    *,
    samples: int,
    pairs: int,
    now: int,
    freshness: Freshness,
    steady: Steady = UNKNOWN,
) -> Decision:
    """Return what to do at `now` (unix ns), which is `steady` on the steady clock.

    `samples` and `pairs` are those of the current step (see `rollouts.evidence.step_samples`, `step_pairs`).
    """
    if not rollout.live:
        return Decision("hold", f"the rollout is over: {rollout.state}", waiting=("nothing",))
    regression = rollback(verdicts, rollout.spec.decision.rollback_alpha)
    if regression.reached:
        return _abort(rollout, route, verdicts, regression)
    waited = rollout.waited(now, steady)
    if rollout.state == "baking":
        return _bake(rollout, verdicts, waited)
    if rollout.state == "paused":
        why = f"paused: {rollout.reason}" if rollout.reason else "paused until somebody resumes"
        return Decision("hold", why, waiting=("resume",), evidence=table(verdicts))
    missing = unmet(rollout.current.hold, verdicts, samples=samples, pairs=pairs, waited=waited)
    silence = _silence(rollout.spec, freshness)
    if not missing and silence is None:
        return _forward(rollout, route, verdicts, samples, waited)
    hold = rollout.current.hold
    if missing and hold.longest and waited >= hold.longest:
        return _overdue(rollout, route, verdicts, missing, silence, samples)
    said = {**missing, **({"monitor": silence} if silence is not None else {})}
    return Decision(
        "hold",
        f"{place(rollout, route)}: " + "; ".join(said.values()),
        waiting=tuple(said),
        n=samples,
        evidence=table(verdicts),
    )


def unmet(
    hold: Hold, verdicts: Sequence[Verdict], *, samples: int, pairs: int, waited: float
) -> dict[str, str]:
    """Return what the hold still waits for, by name, each with a sentence; empty when it is met.

    `waited`: seconds in this step. "no-regression" adds nothing here: a proven regression has ended the
    rollout before anyone asks.
    """
    missing: dict[str, str] = {}
    if waited < hold.shortest:
        missing["time"] = f"{span(waited)} of at least {span(hold.shortest)} have passed"
    if samples < hold.samples:
        missing["samples"] = f"{grouped(samples)} of {grouped(hold.samples)} samples"
    if pairs < hold.pairs:
        missing["pairs"] = f"{grouped(pairs)} of {grouped(hold.pairs)} labelled pairs"
    unproven = [one for one in verdicts if one.required and one.verdict is not Call.PASS]
    if hold.until == "pass" and (unproven or not verdicts):
        missing["verdict"] = "; ".join(one.reason for one in unproven) or "no metric is judged"
    return missing


def table(verdicts: Sequence[Verdict]) -> Evidence:
    """Return the numbers behind a decision as they go into history, one dotted name each."""
    rows: Evidence = {}
    for one in verdicts:
        rows[f"{one.metric}.verdict"] = one.verdict.value
        rows[f"{one.metric}.n"] = one.n
        rows[f"{one.metric}.fail_evidence"] = round(one.fail_evidence, 4)
        rows[f"{one.metric}.fail_threshold"] = round(one.fail_threshold, 4)
        rows[f"{one.metric}.pass_evidence"] = round(one.pass_evidence, 4)
        rows[f"{one.metric}.pass_threshold"] = round(one.pass_threshold, 4)
    return rows


def place(rollout: Rollout, route: Route) -> str:
    """Return where a rollout stands: step 2/4 (5 %)."""
    return f"step {rollout.step + 1}/{len(rollout.spec.steps)} ({percent(route.weight)} %)"


def span(duration: float) -> str:
    """Return seconds as people say them: 45 s, 2 min, 1.5 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if duration >= size:
            return f"{duration / size:.3g} {unit}"
    return f"{duration:.3g} s"


def _abort(rollout: Rollout, route: Route, verdicts: Sequence[Verdict], regression: Rollback) -> Decision:
    evidence = table(verdicts) | {
        "rollback_evidence": round(regression.evidence, 4),
        "rollback_threshold": round(regression.threshold, 4),
    }
    leading = regression.leading
    where = "while baking" if rollout.state == "baking" else f"at {place(rollout, route)}"
    said = leading.reason if leading is not None else ""
    combined = f"all metrics together {regression.evidence:.1f} ≥ {regression.threshold:.1f}"
    return Decision(
        "abort",
        f"{where}: {said}; {combined}",
        verdict=Call.FAIL.value,
        n=leading.n if leading is not None else 0,
        evidence=evidence,
    )


def _bake(rollout: Rollout, verdicts: Sequence[Verdict], waited: float) -> Decision:
    wanted = rollout.spec.bake.duration
    if waited >= wanted:
        passed, n = _proof(verdicts)
        return Decision(
            "finish",
            f"version {rollout.candidate} has been stable for {span(waited)} of {span(wanted)}",
            verdict=(Call.PASS if passed else Call.OPEN).value,
            n=n,
            evidence=table(verdicts),
        )
    said = f"baking: {span(waited)} of {span(wanted)} have passed, version {rollout.stable} is kept warm"
    return Decision("hold", said, waiting=("bake",))


def _silence(spec: RolloutSpec, freshness: Freshness) -> str | None:
    """Return why the monitor keeps the rollout from moving forward, or None.

    One that was seen must be seen still; one that never was is missed only where a required metric needs it.
    """
    if freshness.monitor_age is None:
        needed = any(one.required and metric(one.name).needs_monitor for one in spec.metrics)
        return "the monitor has never reported, start it" if needed else None
    if freshness.monitor_age > freshness.limit:
        return (
            f"the monitor has been silent for {span(freshness.monitor_age)} (limit {span(freshness.limit)})"
        )
    return None


def _overdue(
    rollout: Rollout,
    route: Route,
    verdicts: Sequence[Verdict],
    missing: Mapping[str, str],
    silence: str | None,
    samples: int,
) -> Decision:
    hold = rollout.current.hold
    said = f"{place(rollout, route)}: {span(hold.longest)} are over and " + "; ".join(missing.values())
    if hold.on_max == "continue":
        if silence is not None:
            return Decision(
                "hold", f"{said}; {silence}", waiting=(*missing, "monitor"), evidence=table(verdicts)
            )
        kind: Kind = _forward_kind(rollout)
        said = f"{said}; going on unproven, as on_max says"
    else:
        kind = hold.on_max
    return Decision(kind, said, verdict=Call.OPEN.value, n=samples, evidence=table(verdicts))


def _forward(
    rollout: Rollout, route: Route, verdicts: Sequence[Verdict], samples: int, waited: float
) -> Decision:
    passed, proven = _proof(verdicts)
    by_proof = passed and rollout.current.hold.until == "pass"
    said = "; ".join(one.reason for one in verdicts if one.required or one.verdict is not Call.OPEN)
    held = f"{place(rollout, route)} held {span(waited)} with {grouped(samples)} samples"
    return Decision(
        _forward_kind(rollout),
        f"{held}; {said or 'no metric is judged'}",
        verdict=(Call.PASS if passed else Call.OPEN).value,
        n=proven if by_proof else samples,
        evidence=table(verdicts),
    )


def _proof(verdicts: Sequence[Verdict]) -> tuple[bool, int]:
    """Whether every required metric passes, and on how many requests or pairs the least of them rests."""
    required = [one for one in verdicts if one.required]
    passed = bool(required) and all(one.verdict is Call.PASS for one in required)
    return passed, min((one.n for one in required), default=0)


def _forward_kind(rollout: Rollout) -> Kind:
    return "advance" if rollout.step + 1 < len(rollout.spec.steps) else "promote"
