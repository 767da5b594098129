"""What operators can do to a rollout and see of it, whatever protocol they speak.

A verb is one compare-and-swap edit; it is done when every worker that answers requests has applied it, and
the answer names those that have not within `patience` seconds. All state is in the store and the slots, so
any worker serves any operator. Reading them happens in a thread that nothing else keeps busy.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from gateway.errors import LoadError, MalformedError, UnknownModelError, UnknownVersionError
from gateway.holding import Fleet
from gateway.judgement import status_of
from gateway.model import LoadedModel
from gateway.presence import lagging
from gateway.views import Done, History
from groundwork.clock import Clock
from groundwork.slot_readings import SlotsReader
from groundwork.steady import steady
from rollouts import spec_file, verbs
from rollouts.errors import ConflictError, RouteError
from rollouts.history import Entry
from rollouts.route import Route, weight_from_percent
from rollouts.status import Status
from rollouts.store import SqliteStore
from rollouts.timeline import moments
from rollouts.way_back import is_change, way_back

PATIENCE_SECONDS: Final = 2.0
POLL_SECONDS: Final = 0.005
HISTORY_LIMIT: Final = 1000

OWN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "candidate": ("start",),
        "spec": ("start",),
        "weight": ("set-weight",),
        "hold": ("set-weight",),
        "to": ("promote", "undo"),
    }
)
"""Which verbs go by a field; to pass over it at another would do something else than was wished."""

Advised = tuple[verbs.Verb, tuple[str, ...]]
"""A verb, and advice about what it was asked to do, one line each."""

Gone = Callable[[], Awaitable[bool]]
"""Whether who asked has left without waiting for the answer."""

P = ParamSpec("P")
T = TypeVar("T")


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an acting verb.

    `who` and `why` go into history. `candidate` and `spec` (a rollout file's document) belong to start,
    `weight` (percent) and `hold` (pause there) to set-weight, `to` (the version that is to answer everything)
    to promote (else whatever is on trial) and undo (else one change back). `revision` makes the edit
    conditional: it is made only while the route stands at that revision.
    """

    who: str = ""
    why: str = ""
    candidate: str | None = None
    spec: dict[str, Any] | None = None
    weight: float | str | None = None
    hold: bool = False
    to: str | None = None
    revision: int | None = None


class Console:
    """The operator's side of one worker; used on its loop.

    `follow` makes this worker look at the routes at once; `patience` is how long a verb waits for workers.
    """

    def __init__(
        self,
        store: SqliteStore,
        slots: SlotsReader,
        fleet: Fleet,
        follow: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._store = store
        self._slots = slots
        self._fleet = fleet
        self._follow = follow
        self._clock = clock
        self.patience = PATIENCE_SECONDS
        self._thread = ThreadPoolExecutor(1, "operator")

    async def act(self, model: str, name: str, wish: Wish, gone: Gone | None = None) -> Done:
        """Do a verb and wait until it is applied; nothing is started for who is `gone` when it is loaded.

        MalformedError for a wish that does not fit the verb, RouteError for one that the route does not
        allow, ConflictError where `revision` no longer stands, LoadError for a candidate that cannot serve.
        """
        began = self._clock.monotonic()
        verb, advice = await self._verb(model, name, wish, gone)
        change = await self._off_loop(self._apply, model, verb, name, wish)
        self._follow()
        revision = change.route.revision
        late = await self._applied(model, revision)
        standing = await self.status(model)
        return Done(
            model=model,
            verb=name,
            revision=revision,
            applied=not late,
            lagging=late,
            seconds=round(self._clock.monotonic() - began, 6),
            status=standing,
            advice=advice,
        )

    async def status(self, model: str) -> Status:
        """Where a model's rollout stands; UnknownModelError when nothing is known of it."""
        return await self._off_loop(self._status, model)

    async def history(self, model: str | None, after: int) -> History:
        """History rows with a sequence above `after`, of one model or of all; at most HISTORY_LIMIT.

        UnknownModelError for a model that nothing is known of.
        """
        entries = await self._off_loop(self._store.history, model, after, HISTORY_LIMIT)
        if model is not None and not entries:
            await self._off_loop(self._route, model)
        return History(history=moments(entries), after=entries[-1].sequence if entries else after)

    def close(self) -> None:
        """Let the thread go."""
        self._thread.shutdown(wait=False)

    async def _verb(self, model: str, name: str, wish: Wish, gone: Gone | None) -> Advised:
        _check_fits(name, wish)
        if name == "start":
            return await self._start(model, wish, gone)
        if name == "set-weight":
            if wish.weight is None:
                raise MalformedError("set-weight needs `weight`, a percentage such as 5 or 0.5")
            return verbs.set_weight(_share(wish.weight), hold=wish.hold), ()
        if name == "undo":
            to = wish.to if wish.to is not None else await self._off_loop(self._way_back, model)
            return verbs.undo(to, wish.why), ()
        plain: dict[str, verbs.Verb] = {
            "promote": verbs.promote if wish.to is None else verbs.promote_version(wish.to),
            "pause": verbs.pause(wish.why),
            "resume": verbs.resume,
            "load": verbs.load,
            "unload": verbs.unload,
            "abort": verbs.abort(wish.why),
        }
        return plain[name], ()

    async def _start(self, model: str, wish: Wish, gone: Gone | None) -> Advised:
        """A start whose candidate is known to serve here beside what answers now."""
        spec = spec_file.convert(wish.spec or {})
        candidate = wish.candidate or spec.candidate
        if candidate is None:
            raise MalformedError("start needs `candidate`, the version to roll out")
        if spec.model not in (None, model):
            raise MalformedError(f"this rollout file is for model {spec.model!r}, not for {model!r}")
        route = await self._off_loop(self._route, model)
        await self._fleet.load(model, candidate, joins=await self._answering(route))
        if gone is not None and await gone():
            # Whoever was told nothing has looked by now, and seen that nothing was started.
            raise RouteError(f"model {model!r}: who asked for version {candidate} left before it was loaded")
        return verbs.start(spec, candidate), spec_file.lint(spec)

    async def _answering(self, route: Route) -> LoadedModel | None:
        """The stable version, which a candidate must fit; None where it cannot be loaded.

        Then nobody is answered, and a rollout is the way to a version that does.
        """
        try:
            return await self._fleet.load(route.model, route.stable)
        except (LoadError, UnknownVersionError):
            return None

    def _way_back(self, model: str) -> str:
        """Where an undo leads that names no version; of two at once the second finds that it is there."""
        route = self._route(model)
        return way_back(route, self._store.last(model, is_change))

    def _apply(self, model: str, verb: verbs.Verb, name: str, wish: Wish) -> verbs.Change:
        expected = None if wish.revision is None else self._expected(model, wish.revision)
        entry = Entry(actor=f"operator:{wish.who or 'unknown'}", verb=name, reason=wish.why)
        now, moment = self._clock.now(), steady(self._clock)
        return verbs.apply(self._store, model, verb, entry, now, expected=expected, steady=moment)

    def _expected(self, model: str, revision: int) -> Route:
        route = self._route(model)
        if route.revision != revision:
            raise ConflictError(
                f"route of {model!r}: revision {revision} was expected, revision {route.revision} stands; "
                "look at it again and repeat the command if it is still wanted",
                route,
            )
        return route

    def _route(self, model: str) -> Route:
        route = self._store.route(model)
        if route is None:
            raise UnknownModelError(f"there is no model {model[:100]!r} here; publish a version of it first")
        return route

    async def _applied(self, model: str, revision: int) -> list[str]:
        """Wait for every answering worker, but not beyond our patience; those that were late."""
        deadline = self._clock.monotonic() + self.patience
        while True:
            late = await self._off_loop(lagging, self._slots, model, revision)
            if not late or self._clock.monotonic() >= deadline:
                return late
            await asyncio.sleep(POLL_SECONDS)

    def _status(self, model: str) -> Status:
        return status_of(self._store, self._route(model), self._clock.now(), steady=steady(self._clock))

    async def _off_loop(self, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        call = functools.partial(work, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _check_fits(name: str, wish: Wish) -> None:
    """MalformedError for a field of another verb."""
    for field, takers in OWN.items():
        if name not in takers and getattr(wish, field) != getattr(Wish(), field):
            owners = " and ".join(takers)
            raise MalformedError(f"{name} takes no `{field}`, which belongs to {owners}; leave it out")


def _share(percentage: float | str) -> int:
    try:
        return weight_from_percent(percentage)
    except RouteError as error:
        raise MalformedError(str(error)) from None
