"""What became of runs beside answers: recorded as pairs, counted for the versions and for their evidence.

Pairs of what one version answered and another ran are of one *course*, whose stream and counter are looked up
once. All of it on the event loop; a course's stream is opened before (`Journal.open_pairs`), in a thread.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from gateway import metrics
from gateway.beside import Job, Outcome, cheap_rows
from gateway.journal import Journal
from gateway.model import LoadedModel
from gateway.schedule import Schedule
from groundwork.counters import Counters

_MOST_OPENED: Final = 64

Pair = tuple[LoadedModel, LoadedModel]
"""(stable, candidate)."""


class Course(msgspec.Struct, frozen=True, gc=False):
    """The jobs that one version answered and another runs: their pair, where its good runs are counted.

    `cheap`: the most rows of a job that is cheap, by this `schedule`.
    """

    pair: Pair
    good: int
    schedule: Schedule
    cheap: int


class Pairing:
    """Records and counts the pairs of one worker."""

    def __init__(self, journal: Journal, counters: Counters) -> None:
        self._journal = journal
        self._counters = counters
        self._values = counters.values
        self._courses: dict[tuple[LoadedModel, LoadedModel], Course] = {}  # by who answered, who runs beside

    def course(self, job: Job) -> Course | None:
        """That of the job; None where it is new, or its version is run in another way by now."""
        course = self._courses.get((job.answered, job.beside))
        return course if course is not None and course.schedule is job.beside.schedule else None

    def begin(self, job: Job) -> None:
        """Begin the course of this job, whose pairs have a stream."""
        good, schedule = pair_series(self._counters, job.pair, "ok"), job.beside.schedule
        self._courses[job.answered, job.beside] = Course(job.pair, good, schedule, cheap_rows(schedule))

    def bound(self, waiting: Iterable[Job]) -> None:
        """Forget all courses but those of what waits, where there are many."""
        if len(self._courses) > _MOST_OPENED:
            wanted = {(job.answered, job.beside) for job in waiting}
            self._courses = {course: self._courses[course] for course in wanted}

    def record(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Record and count what these jobs gave, whose courses have begun."""
        courses = {(job.answered, job.beside) for job in jobs}
        if len(courses) == 1 and self._plainly(self._courses[courses.pop()], jobs, outcomes):
            return
        for job, outcome in zip(jobs, outcomes, strict=True):
            self._record(job, outcome)

    def _plainly(self, course: Course, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> bool:
        """Record pairs of one course at once; False, and nothing done, where one is not plain."""
        found = [outcome for outcome in outcomes if outcome is not None]
        if len(found) != len(jobs) or any(job.rows != 1 for job in jobs):
            return False
        given = [job.outputs for job in jobs]
        stable, candidate = (given, found) if course.pair[0] is jobs[0].answered else (found, given)
        if not self._journal.paired_plainly(course.pair, [job.noted for job in jobs], stable, candidate):
            return False
        self._values[course.good] += len(jobs)
        for job in jobs:
            if job.evidence is not None:
                self._values[job.evidence.requests] += 1
        return True

    def _record(self, job: Job, outcome: Outcome) -> None:
        course = self._courses[job.answered, job.beside]
        pair = course.pair
        stable, candidate = (job.outputs, outcome) if pair[0] is job.answered else (outcome, job.outputs)
        self._journal.paired(pair, job.noted, stable, candidate, job.rows)
        good = outcome is not None
        self._values[course.good if good else pair_series(self._counters, pair, "failed")] += 1
        if job.evidence is not None:
            self._values[job.evidence.requests] += 1
            if not good:
                self._values[job.evidence.errors] += 1


def pair_series(counters: Counters, pair: Pair, outcome: str) -> int:
    """Where pairs with this outcome are counted."""
    stable, candidate = pair
    labels = {"model": stable.name, "stable": stable.version, "candidate": candidate.version}
    return counters.series(metrics.PAIRS, {**labels, "outcome": outcome})


def count_dropped(counters: Counters, beside: LoadedModel, reason: str, requests: int = 1) -> None:
    """Count requests that this version was not run beside, and why."""
    labels = {"model": beside.name, "version": beside.version, "reason": reason}
    counters.values[counters.series(metrics.SHADOW_DROPPED, labels)] += requests
