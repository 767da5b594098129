"""A run beside an answer: what is to be run again, how such runs are joined, and which of them are cheap.

Rules: the arrays of a job are never written to by anybody, so they are kept, not copied. Jobs for one version
that are alike are one run, up to its longest batch; where that fails, halves are run again until each failure
stands for the job that caused it (`gateway.joining`).

Pure but for the runs themselves.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.inference import Array, bytes_held
from gateway.joining import settle
from gateway.meters import Evidence
from gateway.model import LoadedModel
from gateway.schedule import Schedule, seconds_for
from gateway.stream import Noted
from prediction_log.record import Arm

AT_ONCE: Final = 8
"""Jobs of one turn of the loop, run as one where they can be; more of them the more wait."""
_CHEAP_ROWS: Final = 64
"""Requests of more rows are not looked at: they are dear."""


class Job(msgspec.Struct, frozen=True, gc=False):
    """One request to run again: what answered it and with what, and who runs beside.

    `evidence` is where the shadow's run counts; None where a stable version runs beside its candidate.
    """

    answered: LoadedModel
    beside: LoadedModel
    noted: Noted
    feeds: dict[str, Array]
    outputs: Sequence[Array]
    rows: int
    size: int
    evidence: Evidence | None = None

    @property
    def pair(self) -> tuple[LoadedModel, LoadedModel]:
        """(stable, candidate), whoever of them answered."""
        if self.noted.arm is Arm.CANDIDATE:
            return self.beside, self.answered
        return self.answered, self.beside


Outcome = Sequence[Array] | None
"""What a shadow run gave; None when it failed."""


def size_of(feeds: dict[str, Array], outputs: Sequence[Array]) -> int:
    """Bytes held by the arrays of one request."""
    return bytes_held(feeds.values()) + bytes_held(outputs)


def run(batch: Sequence[Job]) -> list[Outcome]:
    """Every job of the batch; in a thread, but for a few cheap ones."""
    outcomes: list[Outcome] = [None] * len(batch)
    for places in together(batch):
        jobs = [batch[place] for place in places]
        found = settle(jobs[0].beside.session.run, [job.feeds for job in jobs], [job.rows for job in jobs])
        for place, outcome in zip(places, found, strict=True):
            outcomes[place] = None if isinstance(outcome, Exception) else outcome
    return outcomes


def together(batch: Sequence[Job]) -> list[list[int]]:
    """Which jobs, by their places, are one run: of one version, alike, and up to its longest batch."""
    runs: list[list[int]] = []
    filling: dict[tuple[object, ...], tuple[list[int], int]] = {}
    for place, job in enumerate(batch):
        alike = job.beside, tuple([(name, array.shape[1:]) for name, array in job.feeds.items()])
        places, rows = filling.get(alike, ([], 0))
        if not places or rows + job.rows > job.beside.schedule.batch_rows:
            places, rows = [], 0
            runs.append(places)
        places.append(place)
        filling[alike] = places, rows + job.rows
    return runs


def cheap_rows(schedule: Schedule) -> int:
    """Of requests with how many rows a few runs are over before a thread would have begun; 0: of none."""
    measured = schedule.measured
    if schedule.mode != "inline" or measured.steep:  # a row that may be long may be dear
        return 0
    for rows in range(1, _CHEAP_ROWS + 1):
        if seconds_for(measured.times, rows * AT_ONCE) > measured.handoff:
            return rows - 1
    return _CHEAP_ROWS


def competes(beside: LoadedModel, answered: LoadedModel) -> bool:
    """Whether callers wait for what a run of one version beside answers of the other would take."""
    theirs, ours = beside.batcher, answered.batcher
    return bool((theirs is not None and theirs.waiting) or (ours is not None and ours.crowded))
