"""Who works where: what `GET /v1/workers` shows of the supervisor's crew."""

import asyncio
from typing import Literal

import msgspec

from gateway.crew import Crew, Seat
from gateway.places import FRESH_SECONDS, Places, Stage
from gateway.quarantine import Barred
from gateway.tally import Tally
from gateway.wear import IDLE_LOOKS
from groundwork.dates import rfc3339

State = Literal["starting", "ready", "hung", "draining", "waiting"]


class WorkerView(msgspec.Struct, frozen=True):
    """One seat: seconds, bytes and counts of the worker that sits there; `restart_in` while none does.

    `still` is how long its loop has not turned; one that is `hung` would be ready if it did.
    """

    place: int
    state: State
    pid: int = 0
    age: float = 0.0
    requests: int = 0
    connections: int = 0
    memory: int = 0
    still: float = 0.0
    restarts: int = 0
    restart_in: float = 0.0


class BarredView(msgspec.Struct, frozen=True):
    """A version that is not loaded before `until` (RFC 3339), and why."""

    model: str
    version: str
    until: str
    reason: str


class Roster(msgspec.Struct, frozen=True):
    """Every seat; whether workers are being replaced; versions that are not loaded for a while, and why."""

    workers: list[WorkerView]
    replacing: bool
    barred: tuple[BarredView, ...]


def roster_of(crew: Crew, places: Places, tally: Tally, barred: tuple[Barred, ...]) -> Roster:
    """The crew as it is now; reads one file of /proc a worker."""
    now = asyncio.get_running_loop().time()
    views = [_view(seat, places, tally, now) for seat in crew.seats]
    return Roster(views, crew.replacing.locked(), tuple(_barred(one) for one in barred))


def _view(seat: Seat, places: Places, tally: Tally, now: float) -> WorkerView:
    restarts = tally.restarts(seat.number)
    child = seat.child
    if child is None:
        wait = 0.0 if seat.restart_at is None else max(0.0, seat.restart_at - now)
        return WorkerView(seat.number, "waiting", restarts=restarts, restart_in=round(wait, 3))
    use = child.use(places.served(seat.place), now)
    still = child.pulse.still(places.beat_of(seat.place), now)
    turns = still <= FRESH_SECONDS + IDLE_LOOKS * child.settings.pace.follow
    return WorkerView(
        seat.number,
        _state(places.stage(seat.place), turns=turns),
        pid=child.pid,
        age=round(use.age, 3),
        requests=use.requests,
        connections=places.connections(seat.place),
        memory=use.memory,
        still=round(still, 3),
        restarts=restarts,
    )


def _barred(found: Barred) -> BarredView:
    return BarredView(found.model, found.version, rfc3339(found.until), found.reason)


def _state(stage: Stage, *, turns: bool) -> State:
    names: dict[Stage, State] = {
        Stage.READY: "ready" if turns else "hung",
        Stage.DRAINING: "draining",
    }
    return names.get(stage, "starting")
