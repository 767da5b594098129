"""A rollout on one screen: every mark has its word, evidence stands against its threshold."""

import datetime as dt
import math

import click
import msgspec
import pytest

from driftgate import show, tree
from rollouts.status import Progress, Status
from rollouts.timeline import Moment
from rollouts.verdict import Call, Verdict

PROGRESS = Progress(
    waited=12.0,
    shortest=2.0,
    longest=60.0,
    samples=150,
    samples_wanted=100,
    pairs=40,
    pairs_wanted=300,
    until="pass",
)
ACCURACY = Verdict(
    metric="accuracy",
    verdict=Call.OPEN,
    fail_evidence=-1.0,
    pass_evidence=1.5,
    n=412,
    unit="labelled pairs",
    reason="accuracy OPEN: 412 labelled pairs",
)
STATUS = Status(
    model="loans",
    revision=17,
    stable="2",
    candidate="3",
    previous="1",
    state="progressing",
    weight="25",
    shadow="100",
    rollout="loans-3-15",
    step=2,
    steps=2,
    achieved=25.12,
    progress=PROGRESS,
    verdicts=(ACCURACY,),
    rollback_evidence=0.0,
    rollback_threshold=math.log(20),
    next="step 2/2: 40 of 300 labelled pairs",
)


def text(status: Status) -> str:
    """The screen without colours."""
    return "\n".join(click.unstyle(line) for line in tree.lines(status))


def test_it_says_what_answers_and_how_much() -> None:
    """Stable, candidate and the version kept warm stand there with their shares."""
    shown = text(STATUS)
    assert "# 3  candidate  25 % of requests" in shown
    assert "# 2  stable  75 % of requests" in shown
    assert "# 1  previous  kept warm for undo" in shown
    tried_again = text(msgspec.structs.replace(STATUS, previous="3"))
    assert "previous" not in tried_again
    assert "└──# 2  stable" in tried_again
    assert "set 25 %, achieved 25.12 %" in shown


def test_it_says_what_is_waited_for() -> None:
    """The hold's counts against what is wanted, and the next move."""
    shown = text(STATUS)
    assert "12s of 2s, 150 of 100 samples, 40 of 300 labelled pairs, until pass, at most 1m00s" in shown
    assert "Next:     step 2/2: 40 of 300 labelled pairs" in shown


def test_nothing_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reasons go on below themselves, and bars are shorter, at 80 characters."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    long = "13 272 labelled pairs, candidate 98.4 % right, stable 97.7 %, margin 2 points; " * 2
    passed = Verdict(
        metric="error-rate",
        verdict=Call.PASS,
        pass_evidence=168.0,
        n=13_272,
        unit="labelled pairs",
        reason=f"error-rate PASS: {long}",
    )
    shown = text(msgspec.structs.replace(STATUS, verdicts=(passed, ACCURACY), next=long, reason=long))
    assert max(map(len, shown.splitlines())) <= 80
    assert "│  │    13 272 labelled pairs, candidate" in shown
    assert "│       412 labelled pairs" in shown


def test_evidence_stands_against_its_threshold() -> None:
    """An e-value is shown beside the one that decides, on the side that is nearer."""
    shown = text(STATUS)
    assert "α accuracy  ? OPEN  412 labelled pairs  to PASS" in shown
    assert "4.5 of 20" in shown


def test_a_proven_regression_is_shown_on_its_side() -> None:
    """A FAIL shows the evidence that failed it."""
    failed = Verdict(metric="accuracy", verdict=Call.FAIL, fail_evidence=30.0, n=90, unit="labelled pairs")
    shown = text(
        Status(
            **{**{name: getattr(STATUS, name) for name in STATUS.__struct_fields__}, "verdicts": (failed,)}
        )
    )
    assert "✖ FAIL  90 labelled pairs  to FAIL" in shown
    assert "e^30 of 20" in shown


def test_a_model_without_a_rollout_is_steady() -> None:
    """One version answers everything, and nothing is waited for; unloaded it answers nobody, and waits."""
    steady = Status(
        model="loans",
        revision=1,
        stable="1",
        candidate=None,
        previous=None,
        state="steady",
        weight="0",
        shadow="0",
    )
    shown = text(steady)
    assert "✔ steady" in shown
    assert "└──# 1  stable  100 % of requests" in shown
    assert "Next" not in shown
    gone = text(msgspec.structs.replace(steady, unloaded=True, previous="2", next="it is unloaded"))
    assert "├──# 1  stable  unloaded (nobody)" in gone
    assert "└──# 2  previous  kept for undo" in gone
    assert "Next:     it is unloaded" in gone


def test_nobody_s_words_draw_on_the_screen() -> None:
    """What operators wrote is shown without control characters, in the lines that are meant for it."""
    said = "x\x1b[2J\n└──# 9  stable"
    row = Moment(
        sequence=8, at="2026-11-22T10:37:27.000Z", model="m", actor=said, verb="pause", reason=said,
        verdict="", n=0, evidence={}, revision=6, stable="2", candidate=None, weight="0", rollout=None,
    )  # fmt: skip
    lines = tree.lines(msgspec.structs.replace(STATUS, reason=said, history=(row,)))
    assert not any("\x1b[2J" in line or "\n" in line for line in lines)


def test_history_tells_the_time_of_this_place() -> None:
    """Each row has the time of day here, with the day where it is another one; all begin below each other."""
    old, new = "2026-03-01T10:37:27.000Z", f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%S}.000Z"
    rows = tuple(
        Moment(
            sequence=number, at=at, model="m", actor="pilot", verb="advance", reason="why", verdict="", n=0,
            evidence={}, revision=6, stable="2", candidate=None, weight="0", rollout=None,
        )
        for number, at in enumerate((old, new), 1)
    )  # fmt: skip
    told = [line for line in text(msgspec.structs.replace(STATUS, history=rows)).splitlines() if "#" in line]
    first, second = told[-2:]
    assert (show.moment(old) in first, show.moment(new) in second) == (True, True)
    assert first.index("pilot") == second.index("pilot")
