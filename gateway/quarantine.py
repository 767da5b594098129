"""Versions that kill their worker again and again are not loaded for a while, so that the others are served.

A candidate that crashes two workers is aborted, and that is all it needs (`gateway.guards`). A stable version
has nothing behind it: its crashes are counted here. The version that was executing at CRASHES deaths within
WINDOW, or was being loaded at LOAD_CRASHES, is barred: workers that start do not load it, and its requests
are answered 503 with the reason, while every other model is served. When its time is over one worker loads
it again, and the others TRIAL_SECONDS later each; if it kills again, at the first death the next time is
twice as long, from 15 s to 10 min. An hour without a death forgets it.

    counts   only deaths by a fatal signal, for want of memory, or of a hung loop; a kill from outside is no
             evidence against anybody
    blame    of several versions that were executing, those with the most deaths; a load is one version's, and
             keeps a worker from answering at all, so fewer deaths suffice

Rules: decisions are pure; times are unix nanoseconds, because workers are told until when; a time further
ahead than any that is given was given before the clock was set back, and is over. It lives in the
supervisor's memory: a start of the gateway tries everything again. It edits no route.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

CRASHES: Final = 4
LOAD_CRASHES: Final = 2
WINDOW_SECONDS: Final = 120.0
FIRST_SECONDS: Final = 15.0
LONGEST_SECONDS: Final = 600.0
FORGET_SECONDS: Final = 3600.0
TRIAL_SECONDS: Final = 15.0
"""How long a worker waits for the one of the place before it to try first."""
_NS: Final = 10**9

Key = tuple[str, str]


class Barred(msgspec.Struct, frozen=True):
    """A version that is not to be loaded before `until` (unix ns), and why."""

    model: str
    version: str
    until: int
    reason: str

    @property
    def key(self) -> Key:
        """(model, version)."""
        return (self.model, self.version)


class _Case(msgspec.Struct, frozen=True):
    """What is held against one version: deaths in the window, and how often it was barred."""

    deaths: tuple[int, ...] = ()
    times: int = 0
    until: int = 0
    how: str = ""
    busy: str = ""


class Quarantine:
    """Who is barred; owned by the supervisor, used by one thread at a time."""

    def __init__(self) -> None:
        self._cases: Mapping[Key, _Case] = {}

    def died(self, executing: Iterable[Key], how: str, now: int, *, loading: bool = False) -> list[Barred]:
        """Take notice of a worker's death with these versions executing, or `loading`.

        Returns those that are barred from now.
        """
        cases = {key: case for key, case in self._cases.items() if not _is_forgotten(case, now)}
        suspects, limit = set(executing), LOAD_CRASHES if loading else CRASHES
        busy = "being loaded" if loading else "executing"
        for key in suspects:
            case = cases.get(key, _Case())
            recent = tuple(death for death in case.deaths if abs(now - death) < WINDOW_SECONDS * _NS)
            cases[key] = msgspec.structs.replace(case, deaths=(*recent, now), how=how, busy=busy)
        most = max((len(cases[key].deaths) for key in suspects), default=0)
        guilty = [
            key
            for key in sorted(suspects)
            if len(cases[key].deaths) == most and (most >= limit or cases[key].times)
        ]
        barred = [self._bar(key, cases, now) for key in guilty]
        self._cases = cases
        return barred

    def barred(self, now: int) -> tuple[Barred, ...]:
        """Everything that is barred at `now`."""
        return self.told(now, 0)

    def told(self, now: int, places: int) -> tuple[Barred, ...]:
        """What a worker is told at `now`: also what is over, while one of `places` waits for its turn."""
        return tuple(
            _barred(key, case)
            for key, case in sorted(self._cases.items())
            if is_waited_for(case.until, now, places)
        )

    @staticmethod
    def _bar(key: Key, cases: dict[Key, _Case], now: int) -> Barred:
        case = cases[key]
        seconds = min(LONGEST_SECONDS, FIRST_SECONDS * float(2 ** min(case.times, 16)))
        until = now + round(seconds * _NS)
        cases[key] = msgspec.structs.replace(case, times=case.times + 1, until=until)
        return _barred(key, cases[key])


def is_waited_for(until: int, now: int, place: int) -> bool:
    """Whether at `now` (unix ns) the worker of this place, from 0, leaves out what is barred `until`."""
    turn = round(place * TRIAL_SECONDS * _NS)
    return 0 < until + turn - now <= round(LONGEST_SECONDS * _NS) + turn


def _is_forgotten(case: _Case, now: int) -> bool:
    last = max((case.until, *case.deaths))
    return abs(now - last) >= FORGET_SECONDS * _NS


def _barred(key: Key, case: _Case) -> Barred:
    deaths = (
        f"{len(case.deaths)} workers in {WINDOW_SECONDS:g} s" if len(case.deaths) > 1 else "a worker again"
    )
    return Barred(*key, case.until, f"it was {case.busy} when {deaths} died; the last one {case.how}")
