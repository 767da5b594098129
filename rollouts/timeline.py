"""The timeline: history rows as people read them.

Pure: rows in, lines out. It shows what history says and computes nothing that history does not hold.
"""

from collections.abc import Iterable

import msgspec

from groundwork.dates import rfc3339
from rollouts.history import Entry
from rollouts.pilot import Evidence
from rollouts.route import percent


class Moment(msgspec.Struct, frozen=True):
    """One row: when (RFC 3339, UTC), who did what and why, and what answered from then on.

    `weight` is the candidate's percentage as text; `sequence` is the history row, to be cited.
    """

    sequence: int
    at: str
    model: str
    actor: str
    verb: str
    reason: str
    verdict: str
    n: int
    evidence: Evidence
    revision: int
    stable: str
    candidate: str | None
    weight: str
    rollout: str | None
    unloaded: bool = False


def moments(entries: Iterable[Entry]) -> tuple[Moment, ...]:
    """Return history rows for a screen, in their order."""
    return tuple(moment(entry) for entry in entries)


def moment(entry: Entry) -> Moment:
    """Return one history row for a screen."""
    after = entry.after
    return Moment(
        sequence=entry.sequence,
        at=rfc3339(entry.at),
        model=entry.model,
        actor=entry.actor,
        verb=entry.verb,
        reason=entry.reason,
        verdict=entry.verdict,
        n=entry.n,
        evidence=entry.evidence,
        revision=entry.revision,
        stable=after.stable if after is not None else "",
        candidate=after.candidate if after is not None else None,
        weight=percent(after.weight) if after is not None else "0",
        rollout=entry.rollout,
        unloaded=after is not None and after.unloaded,
    )
