"""One look for each fact: a pure question to the sources, answered by the fact or by what there is instead.

Every step of a rollout is taken from history and cites its row; a row by anybody but the pilot is not a fact
of this demo.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from driftgate import show
from driftgate.demo.balance import balance
from driftgate.demo.facts import Found, Impossible
from driftgate.demo.play import Play
from driftgate.demo.retraining import Result
from driftgate.demo.sources import unix
from groundwork import decoders

PILOT: Final = "pilot"
GOOD_ENOUGH: Final = 0.02
"""After the retraining users may be answered this much worse than before the change (share of rows)."""
CALM_SECONDS: Final = 3.0


async def labelled(play: Play, version: str, wanted: int) -> Found | str:
    """So many labels of a version were joined by the monitor."""
    found = await play.sources.watched(version)
    joined = found["accuracy"]["labelled"] if found else 0
    if joined < wanted or found is None:
        return f"the monitor has joined {joined} of {wanted} labels"
    return Found(time.time(), f"{show.count(joined)} joined, {found['accuracy']['overall']:.1%} right")


async def quiet(play: Play) -> Found | str:
    """No incident of any version."""
    found = await play.sources.incidents()
    if found:
        raise Impossible(f"{found[0].id} for version {found[0].version}")
    watched = await play.sources.watched("1")
    if watched is None:
        return "the monitor has seen no row"
    return Found(time.time(), f"evidence {watched['evidence']:.1f} of {watched['threshold']:.1f} nats")


async def incident(play: Play, version: str) -> Found | str:
    """An incident of a version."""
    for found in await play.sources.incidents():
        if found.version == version:
            strongest = ", ".join(finding.signal for finding in found.findings[:3])
            opened = unix(found.opened.time or "")
            late = opened - play.marks["change"]
            evidence = f"evidence {found.evidence:.1f} of {found.threshold:.1f} nats"
            detail = f"{found.id}, {late:.1f} s after the change; {evidence}; strongest: {strongest}"
            return Found(opened, detail, found)
    watched = await play.sources.watched(version)
    return f"evidence {watched['evidence']}" if watched else "the monitor has seen no row"


async def noted(play: Play, what: str, words: Callable[[dict[str, Any]], str]) -> Found | str:
    """Something that the receiver noted; impossible once it refused or failed."""
    for bad in ("refused", "failed"):
        for note in play.sources.notes(bad):
            if note.facts.get("version", "1") == "1":
                raise Impossible(f"the receiver {bad}: {note.facts['why']}")
    for note in play.sources.notes(what):
        return Found(note.at, words(note.facts), note.facts)
    return f"the receiver has not noted {what!r}"


async def refitted(play: Play, file: Path) -> Found | str:
    """A background training job wrote its result."""
    play.refits_alive()
    try:
        content = await asyncio.to_thread(file.read_bytes)
    except FileNotFoundError:
        return "the job is not done"
    found = decoders.json_of(Result).decode(content)
    return Found(time.time(), published_words(msgspec.to_builtins(found)), found)


def verified_words(facts: dict[str, Any]) -> str:
    """A verified delivery in words."""
    return f"{facts['event']} about {facts['incident']}"


def published_words(facts: dict[str, Any]) -> str:
    """A published version in words."""
    rows = show.count(facts["rows"])
    return (
        f"{rows} labelled rows; right on {facts['accuracy']:.1%} of {facts['held_out']} held-out"
        f" ones, what answered them on {facts['present_accuracy']:.1%}"
    )


async def started(play: Play, version: str) -> Found | str:
    """The rollout of a version began."""
    return await _row(play, version, "start", by_pilot=False)


async def advanced(play: Play, version: str) -> Found | str:
    """The pilot gave a version its first user requests."""
    return await _row(play, version, "advance")


async def promoted(play: Play, version: str) -> Found | str:
    """The pilot promoted a version."""
    return await _row(play, version, "promote")


async def finished(play: Play, version: str) -> Found | str:
    """The bake of a version is over."""
    return await _row(play, version, "finish")


async def rolled_back(play: Play, version: str) -> Found | str:
    """The pilot rolled a version back, because paired labelled accuracy failed and nothing else did."""
    rows = [row for row in await play.sources.history() if _candidate(row) == version]
    for row in rows:
        if row["verb"] == "promote":
            raise Impossible(f"version {version} was promoted, history row {row['sequence']}")
        if row["verb"] != "abort":
            continue
        evidence = row["evidence"]
        if row["actor"] != PILOT or evidence.get("accuracy.verdict") != "FAIL":
            raise Impossible(f"it was rolled back by {cite(row)}")
        if evidence.get("error-rate.verdict") == "FAIL":
            raise Impossible(f"it failed by its error rate as well: {cite(row)}")
        return Found(unix(row["at"]), f"{cite(row)}: {row['reason']}", row)
    return await _standing(play)


async def answering(play: Play, version: str) -> Found | str:
    """The client got answers from a version."""
    tally = play.client.counts.by_version().get(version)
    if tally is None:
        return f"no answer came from version {version}"
    return Found(
        time.time(), f"{show.count(tally.requests)} request{'' if tally.requests == 1 else 's'} so far"
    )


async def alone(play: Play, version: str) -> Found | str:
    """A version answers everything, in the route and to the client."""
    found = await play.sources.status()
    if found["stable"] != version or found["candidate"] is not None:
        return f"version {found['stable']} is stable, {found['candidate'] or 'none'} is candidate"
    now = play.client.now()
    others = [name for name in play.client.counts.by_version() if name != version]
    if any(play.client.counts.accuracy(now - 1.0, now, name) is not None for name in others):
        return "another version answered within the last second"
    return Found(time.time(), f"route revision {found['revision']}")


async def recovered(play: Play) -> Found | str:
    """Users are answered as well as before the change."""
    counts, start = play.client.counts, play.client.started_at
    before = counts.accuracy(play.marks["traffic"] - start, play.marks["change"] - start)
    during = counts.accuracy(play.marks["change"] - start, play.marks["promoted 2"] - start)
    now = play.client.now()
    after = counts.accuracy(now - CALM_SECONDS, now)
    if before is None or during is None or after is None or after < before - GOOD_ENOUGH:
        return f"{after or 0:.1%} right now, {before or 0:.1%} before"
    return Found(time.time(), f"{before:.1%} before, {during:.1%} during, {after:.1%} now")


async def books_agree(play: Play) -> Found | str:
    """Everybody counted the same."""
    books = await balance(play)
    wrong = books.difference()
    rows, labels = show.count(books.client.rows), show.count(books.client.labels)
    return wrong or Found(time.time(), f"{rows} rows, {labels} labels", books)


async def nothing_lost(play: Play) -> Found | str:
    """No request failed, no record was lost."""
    counts, lost = play.client.counts, play.books.lost if play.books else 0
    if counts.failed or lost:
        raise Impossible(f"{counts.failed} requests failed ({counts.first_failure}), {lost} records lost")
    return Found(time.time(), f"{show.count(counts.sent)} requests sent, failed 0, records lost 0")


def cite(row: dict[str, Any]) -> str:
    """A history row as the timeline cites it: number, actor, n, verdict, evidence."""
    evidence = row["evidence"]
    parts = [f"history row {row['sequence']}", row["actor"]]
    if row["n"]:
        parts.append(f"n {row['n']}")
    if row["verdict"]:
        parts.append(row["verdict"])
    side = "fail" if row["verdict"] == "FAIL" else "pass"
    if f"accuracy.{side}_evidence" in evidence:
        reached, wanted = evidence[f"accuracy.{side}_evidence"], evidence[f"accuracy.{side}_threshold"]
        parts.append(f"accuracy evidence {reached:.1f} of {wanted:.1f} nats")
    return ", ".join(parts)


def stamp(at: float) -> str:
    """Unix seconds as RFC 3339 in UTC."""
    return dt.datetime.fromtimestamp(at, tz=dt.UTC).isoformat(timespec="milliseconds")


async def _row(play: Play, version: str, verb: str, *, by_pilot: bool = True) -> Found | str:
    """The history row of this verb in the rollout of a version."""
    rows = [row for row in await play.sources.history() if _candidate(row) == version]
    for row in rows:
        if row["verb"] in ("abort", "undo", "pause"):
            raise Impossible(f"instead {row['verb']} by {cite(row)}: {row['reason']}")
        if row["verb"] != verb:
            continue
        if by_pilot and row["actor"] != PILOT:
            raise Impossible(f"it was done by {cite(row)}")
        return Found(unix(row["at"]), cite(row) if by_pilot else f"{cite(row)}: {row['reason']}", row)
    return await _standing(play)


async def _standing(play: Play) -> str:
    """Where the rollout stands, for a fact that did not happen."""
    found = await play.sources.status()
    return f"{found['state']}, {found['next'] or found['reason']}"


def _candidate(row: dict[str, Any]) -> str:
    """The candidate whose rollout a history row belongs to: MODEL-CANDIDATE-REVISION."""
    return str(row["rollout"] or "").rpartition("-")[0].rpartition("-")[2]
