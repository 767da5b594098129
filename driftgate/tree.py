"""One rollout on one screen: a pure function from the operator API's status to lines of text.

Rules: every mark has its word beside it, so that nothing is said by colour alone; evidence is shown against
what it must reach; the line that begins with "Next" says what is waited for. What operators wrote is shown
without control characters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

import click

from driftgate import show
from monitor.retries import printable
from rollouts.route import UNLOADED
from rollouts.status import Progress, Status
from rollouts.verdict import Call, Verdict

MARKS: Final[Mapping[str, str]] = {
    "progressing": "◌",
    "paused": "॥",
    "baking": "◌",
    "succeeded": "✔",
    "rolled-back": "✖",
    "steady": "✔",
    "PASS": "✔",
    "FAIL": "✖",
    "OPEN": "?",
}
HISTORY_ROWS: Final = 6
REASON: Final = 100
"""Characters of a reason that stand on the screen; `rollout history` has all of it."""
BAR: Final = 16
LEAST_BAR: Final = 6
BESIDE_BAR: Final = 72
"""Characters that a metric's line has beside its bar."""


def lines(status: Status) -> list[str]:
    """The whole screen."""
    return [*_head(status), *_versions(status), *_foot(status)]


def _head(status: Status) -> Iterator[str]:
    name = status.rollout or status.model
    yield f"{_title('Rollout')}{click.style(name, bold=True)}   route revision {status.revision}"
    yield f"{_title('Status')}{_marked(status.state)}{_step(status)}"
    if status.reason:
        yield from _titled("Why", status.reason)
    if status.candidate is not None:
        achieved = f", achieved {status.achieved:.2f} %" if status.achieved is not None else ""
        shadow = f"   shadow {status.shadow} %" if status.shadow != "0" else ""
        yield f"{_title('Weight')}set {status.weight} %{achieved}{shadow}"
    if status.verdicts:
        yield f"{_title('Rollback')}{_evidence(status.rollback_evidence, status.rollback_threshold)}"


def _versions(status: Status) -> Iterator[str]:
    yield ""
    yield click.style(f"⟳ {status.model}", bold=True)
    shown = (None, status.stable, status.candidate)
    others = [version for version in (status.previous,) if version not in shown]
    if status.candidate is not None:
        yield f"├──# {status.candidate}  {show.word('candidate')}  {status.weight} % of requests"
        yield from _verdicts(status.verdicts)
    share = "100" if status.candidate is None else _rest(status.weight)
    answers = UNLOADED if status.unloaded else f"{share} % of requests"
    yield f"{'├' if others else '└'}──# {status.stable}  {show.word('stable')}  {answers}"
    for version in others:
        yield f"└──# {version}  previous  kept {'' if status.unloaded else 'warm '}for undo"


def _verdicts(verdicts: tuple[Verdict, ...]) -> Iterator[str]:
    """A line for each metric, and below it why, without the two words that stand above."""
    width = max((len(verdict.metric) for verdict in verdicts), default=0)
    for place, verdict in enumerate(verdicts):
        is_last = place == len(verdicts) - 1
        counted = f"{show.count(verdict.n)} {verdict.unit}"
        head = f"α {verdict.metric.ljust(width)}  {_marked(str(verdict.verdict))}  {counted}"
        yield f"│  {'└' if is_last else '├'}──{head}  {_leading(verdict)}"
        below = f"│  {' ' if is_last else '│'}    "
        for line in show.wrapped(_why(verdict), show.room(len(below))) if verdict.reason else ():
            yield f"{below}{click.style(line, dim=True)}"


def _why(verdict: Verdict) -> str:
    return verdict.reason.removeprefix(f"{verdict.metric} {verdict.verdict}: ")


def _leading(verdict: Verdict) -> str:
    """The side that is nearer to its threshold, and how near."""
    failing = verdict.fail_evidence / verdict.fail_threshold
    passing = verdict.pass_evidence / verdict.pass_threshold
    if failing > passing or verdict.verdict is Call.FAIL:
        return f"to FAIL {_evidence(verdict.fail_evidence, verdict.fail_threshold)}"
    return f"to PASS {_evidence(verdict.pass_evidence, verdict.pass_threshold)}"


def _foot(status: Status) -> Iterator[str]:
    if status.progress is not None:
        yield ""
        yield from _titled("Hold", _hold(status.progress))
    if status.next:
        yield from _titled("Next", status.next)
    rows = status.history[-HISTORY_ROWS:]
    times = [show.moment(row.at) for row in rows]
    yield from [""] if rows else []
    for row, at in zip(rows, times, strict=True):
        who = f"{printable(row.actor):<18} {row.verb:<11}"
        line = f"  #{row.sequence:<4} {at:<{max(map(len, times))}}  {who} "
        yield f"{line}{show.short(printable(row.reason), min(show.room(len(line)), REASON))}".rstrip()


def _hold(progress: Progress) -> str:
    parts = [f"{show.span(progress.waited)} of {show.span(progress.shortest)}"]
    parts.append(f"{show.count(progress.samples)} of {show.count(progress.samples_wanted)} samples")
    if progress.pairs_wanted:
        parts.append(f"{show.count(progress.pairs)} of {show.count(progress.pairs_wanted)} labelled pairs")
    limit = f", at most {show.span(progress.longest)}" if progress.longest else ""
    return f"{', '.join(parts)}, until {progress.until}{limit}"


def _step(status: Status) -> str:
    if status.state in ("progressing", "paused") and status.steps:
        return f"   step {status.step} of {status.steps}"
    return ""


def _evidence(evidence: float, threshold: float) -> str:
    """An e-value against the one that decides, with a bar in nats: a shorter one on a narrow terminal."""
    width = min(max(show.room(0) - BESIDE_BAR, LEAST_BAR), BAR)
    return f"{show.bar(evidence, threshold, width)} {_e_value(evidence)} of {_e_value(threshold)}"


def _e_value(nats: float) -> str:
    if nats > math.log(1e6):
        return f"e^{nats:.0f}"
    value = math.exp(max(nats, -10.0))
    return show.count(round(value)) if value >= 10 else f"{value:.2g}"  # noqa: PLR2004  two digits suffice below ten


def _marked(state: str) -> str:
    return click.style(f"{MARKS.get(state, '·')} {state}", fg=show.COLOURS.get(state))


def _titled(title: str, text: str) -> Iterator[str]:
    """A text under its title, going on below itself where the terminal ends."""
    before = _title(title)
    for line in show.wrapped(printable(text), show.room(len(before))):
        yield f"{before}{line}"
        before = " " * len(before)


def _title(text: str) -> str:
    return f"{text + ':':<10}"


def _rest(weight: str) -> str:
    return f"{100 - float(weight):g}"
