"""Replacing all workers of a crew: because somebody asks, or for settings that have changed.

1. One at a time: who asks for new workers, or for a reload, while some are being replaced has their turn when
   that is done. However many ask for the same meanwhile, it is one, in the name of the last; a reload reads
   what the settings say then, and of workers those stay that began after they were asked for.
2. The first worker tries changed settings alone; where it does not come up, nothing was changed.
3. A reload goes on whoever stops waiting for it.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import msgspec

from gateway.child import Child
from gateway.crew import Crew
from gateway.line import BusyError, SupervisorError
from gateway.reload import check_reload
from gateway.settings import GatewaySettings, checked
from gateway.sizing import sized
from groundwork.errors import DriftgateError, SettingsError
from groundwork.logs import Log
from groundwork.processors import processors

T = TypeVar("T")

ANSWER_SECONDS: Final = 20.0
"""How long an operator is kept waiting for a reload; a command waits 30 s for its answer."""


def _untold() -> Any:
    raise SupervisorError(
        "whoever started this gateway did not say where its settings came from; its flags do"
    )


class Reload(msgspec.Struct, frozen=True):
    """Where settings come from.

    `read` gives changed ones and is given those in force (blocking; SettingsError); `done` hears whether they
    are taken. `in_force` tells of those in force: setting -> value and source, as JSON (blocking).
    """

    read: Callable[[GatewaySettings], GatewaySettings]
    done: Callable[[bool], object] = lambda _taken: None
    in_force: Callable[[], Any] = _untold


class Reloaded(msgspec.Struct, frozen=True):
    """What came of a reload: the settings that changed; or it `waits`, and the log will say."""

    changed: list[str]
    waits: bool = False


class Recycled(msgspec.Struct, frozen=True, omit_defaults=True):
    """What comes of asking for new workers: how many; and whether that `waits` for its turn."""

    replacing: int
    waits: bool = False


class _Wanted(msgspec.Struct, frozen=True):
    """New workers are wanted by somebody since then (the loop's time)."""

    who: str
    since: float


class Renewal:
    """Replaces the workers of one crew; owned by the supervisor's loop.

    `reloaded` is given the settings that were taken up, for whatever else in this process reads them.
    `answers_within` is how long a reload may take before `answer` says that it waits (seconds).
    """

    def __init__(self, crew: Crew, source: Reload | None, log: Log) -> None:
        self.reloaded: Callable[[GatewaySettings], object] = lambda _settings: None
        self.answers_within = ANSWER_SECONDS
        self._crew = crew
        self._source = source
        self._log = log
        self._next: asyncio.Task[list[str]] | None = None
        self._who = ""
        self._wanted: _Wanted | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def recycle(self, who: str) -> Recycled:
        """Replace every worker that works now, one by one, in the background; BusyError once we stop."""
        self._check_going_on()
        waits = self._crew.replacing.locked()
        if waits:
            self._log.info("recycle-waits", who=who, why="workers are being replaced")
        if self._wanted is None:
            self._begin(self._recycle())
        self._wanted = _Wanted(who, asyncio.get_running_loop().time())
        return Recycled(len(self._crew.seats), waits)

    def begin_recycle(self, who: str) -> None:
        """The same for one who hears nothing: what comes of it is a line of the log."""
        try:
            self.recycle(who)
        except BusyError as error:
            self._log.error("workers-not-replaced", fault=error)

    def begin_reload(self, who: str) -> asyncio.Task[list[str]]:
        """Take up changed settings, in the background; what comes of it is a line of the log."""
        self._who = who
        if self._next is None:
            if self._crew.replacing.locked():
                self._log.info("reload-waits", who=who, why="workers are being replaced")
            self._next = self._begin(self._reload())
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())  # told already
        return self._next

    async def reload(self, who: str) -> list[str]:
        """Take up changed settings; their names, once one worker answers by them and the others will follow.

        SettingsError for settings that cannot be honoured, RestartError for those that want a restart,
        SupervisorError when no worker comes up with them: nothing was changed then. The log tells it too.
        """
        return await asyncio.shield(self.begin_reload(who))

    async def answer(self, who: str) -> Reloaded:
        """What an operator is told of a reload, within `answers_within`; raises as `reload` does."""
        try:
            async with asyncio.timeout(self.answers_within):
                return Reloaded(await self.reload(who))
        except TimeoutError:
            return Reloaded([], waits=True)

    async def settled(self) -> None:
        """Wait until all that was begun has ended; after a stop it does so soon."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def in_force(self) -> Any:
        """What is told of the settings in force; SupervisorError where nobody said."""
        return await asyncio.to_thread(_untold if self._source is None else self._source.in_force)

    async def _recycle(self) -> None:
        """In our turn; who asks from then on gets a round of their own."""
        try:
            await self._crew.replacing.acquire()
        finally:
            wanted, self._wanted = self._wanted, None
        if wanted is None or self._crew.stopping.is_set():
            self._crew.replacing.release()
            self._log.warning("workers-not-replaced", why="the gateway is stopping")
            return
        self._log.info("workers-replacing", who=wanted.who)
        await self._replace_all("asked by " + wanted.who, since=wanted.since)

    async def _reload(self) -> list[str]:
        """In our turn; who asks from then on gets a reload of their own."""
        try:
            await self._crew.replacing.acquire()
        finally:
            self._next = None
        who, fresh = self._who, None
        try:
            self._check_going_on()
            changed, fresh = await self._take_up(who)
        except Exception as error:
            self._log.error("settings-not-reloaded", who=who, fault=told(error))
            raise
        finally:
            if fresh is None:
                self._crew.replacing.release()
        if fresh is not None:
            self._begin(self._replace_all("changed settings", fresh))
            self.reloaded(self._crew.settings)
        return changed

    async def _take_up(self, who: str) -> tuple[list[str], Child | None]:
        """What changed, and the first worker that answers by it: None where nothing did."""
        crew, source, taken, fresh = self._crew, self._source, False, None
        if source is None:
            raise SupervisorError("nobody said where settings are to be read again; restart with them")
        try:
            new = sized(checked(await asyncio.to_thread(source.read, crew.settings)), processors())
            changed = check_reload(crew.settings, new)
            if changed:
                fresh = await crew.bring_up(new)
                if fresh is None:
                    raise SupervisorError(
                        f"no worker comes up with the new settings ({', '.join(changed)}); the log says why; "
                        "nothing was changed"
                    )
                crew.settings = new
            taken = True
        except (OSError, msgspec.DecodeError) as error:
            raise SettingsError(f"settings cannot be read again: {error}; nothing was changed") from error
        finally:
            await self._tell(source, taken=taken)
        self._log.info("settings-reloaded", who=who, changed=",".join(changed) or "nothing")
        return changed, fresh

    async def _tell(self, source: Reload, *, taken: bool) -> None:
        """Let whoever gave the settings know; where they cannot be told, what was done stands."""
        try:
            await asyncio.to_thread(source.done, taken)
        except OSError as error:
            self._log.warning("settings-giver-not-told", taken=taken, fault=error)

    async def _replace_all(self, why: str, fresh: Child | None = None, *, since: float | None = None) -> None:
        """Replace every worker, then let others: `replacing` is ours already."""
        try:
            if not await self._crew.replace_all(why, fresh, since=since):
                self._log.error("workers-not-replaced", why="a successor did not come up")
        finally:
            self._crew.replacing.release()

    def _check_going_on(self) -> None:
        if self._crew.stopping.is_set():
            raise BusyError("the gateway is stopping; ask again once it has started")

    def _begin(self, work: Coroutine[object, object, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def told(error: BaseException) -> str:
    """What the log says of a failure: our own sentence, or the traceback of what nobody foresaw."""
    return str(error) if isinstance(error, DriftgateError) else "".join(traceback.format_exception(error))
