"""The versions this worker has in memory: loaded off the event loop, verified, warmed up, let go when idle.

Rules:

1. A version is loaded once however many ask for it at the same time, and all of them get the same answer.
2. Nothing that is in memory is touched by a load that fails.
3. What is being opened stands in the slot meanwhile: a graph that brings the process down is known by it.
4. What is released is forgotten at once and closed when its last request has been answered; its memory is
   given back in the loading thread, which takes only what others leave of the processor (`gateway.memory`).
"""

import asyncio
import functools
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import msgspec

from gateway import fleet_meters, memory
from gateway.budget import Budget
from gateway.errors import LoadError, UnknownVersionError
from gateway.gaps import Gaps
from gateway.journal import Journal
from gateway.measuring import study
from gateway.meters import ModelMeters, forget
from gateway.model import LoadedModel, check_compatible
from gateway.opening import Opener
from gateway.options import options_of
from gateway.runtime import check_options
from gateway.schedule import Schedule, decide
from gateway.session import Session
from gateway.settings import GatewaySettings
from gateway.warmup import Cost, cost_of
from groundwork.clock import Clock
from groundwork.counters import Counters
from groundwork.errors import DriftgateError
from registry_client.errors import BadNameError, RegistryError, UnknownModelError
from registry_client.errors import UnknownVersionError as NotRegisteredError
from registry_client.manifest import Manifest
from registry_client.profile import Profile
from registry_client.registry import Registry

Key = tuple[str, str]
Room = Callable[[str, int], Collection[Key]]
"""Begin to let go of so many bytes for a model's sake; who leaves: nobody where not enough may."""


class Found(msgspec.Struct, frozen=True):
    """What the registry has of a version."""

    manifest: Manifest
    path: Path
    profile: Profile | None


class Opened(msgspec.Struct, frozen=True):
    """What the loading thread brings back."""

    session: Session
    cost: Cost
    schedule: Schedule


class Fleet:
    """Loads and releases versions; used on one event loop.

    `room` is asked where a version does not fit into the budget beside the others.
    """

    def __init__(
        self,
        registry: Registry,
        journal: Journal,
        counters: Counters,
        settings: GatewaySettings,
        clock: Clock,
    ) -> None:
        self._registry = registry
        for name in settings.runs.models:
            check_options(options_of(settings.runs, name), title=f"runs.models, {name!r}")
        self._journal = journal
        self._counters = counters
        self._settings = settings.runs
        self._clock = clock
        self._loaded: dict[Key, LoadedModel] = {}
        self._loading: dict[Key, asyncio.Task[LoadedModel]] = {}
        self._budget = Budget(settings.runs.max_bytes, settings.pace.load)
        self.room: Room = lambda _model, _size: ()
        self._opener = Opener(Path(settings.data) / "cache", settings.cache.optimised_above)
        memory.settle()
        self._pool = ThreadPoolExecutor(1, "load", initializer=memory.yield_to_others)

    @property
    def loaded(self) -> Mapping[Key, LoadedModel]:
        """(model, version) to what is in memory now; a live view."""
        return MappingProxyType(self._loaded)

    def schedules(self) -> dict[Key, Schedule]:
        """How each version in memory is run; any thread may ask."""
        return {key: loaded.schedule for key, loaded in dict(self._loaded).items()}

    def served(self) -> int:
        """How many requests this worker has answered with the versions it holds now."""
        values = self._counters.values
        return sum(
            int(values[index]) for loaded in self._loaded.values() for index in loaded.meters.ok.values()
        )

    def in_a_row(self, model: str, version: str) -> int:
        """How often a version has failed in this worker since its last good run."""
        loaded = self._loaded.get((model, version))
        return 0 if loaded is None else int(self._counters.values[loaded.meters.consecutive_errors])

    async def load(self, model: str, version: str, *, joins: LoadedModel | None = None) -> LoadedModel:
        """The version, loaded if it was not.

        `joins` is the version it is to stand beside or after, whose requests it must accept.

        Raises:
            UnknownVersionError: the registry has no such model or version.
            OverBudgetError: there is no room for it.
            IncompatibleSignatureError: it does not fit `joins`; it stays in memory for those who name it.
            LoadError: it cannot be served; one line says why.
        """
        key = (model, version)
        loaded = self._loaded.get(key)
        if loaded is None:
            task = self._loading.get(key)
            if task is None:
                task = asyncio.get_running_loop().create_task(self._load(key))
                task.add_done_callback(_heard)
                self._loading[key] = task
            loaded = await asyncio.shield(task)  # who stops waiting does not stop it for the others
        if joins is not None:
            check_compatible(joins, loaded)
        return loaded

    async def release(self, loaded: LoadedModel) -> None:
        """Forget a version that no table names any more; returns when its last request is answered."""
        key = (loaded.name, loaded.version)
        if self._loaded.get(key) is loaded:
            del self._loaded[key]
            self._counters.values[loaded.meters.loaded] -= 1
        self._budget.leave(loaded.size)
        await loaded.idle()
        loaded.end_runs()
        self._journal.close(loaded)
        if key not in self._loaded and key not in self._loading:  # else its series go on
            forget(self._counters, *key)
        self._count(fleet_meters.UNLOADS, model=loaded.name)
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, _close, loaded)
        finally:
            self._budget.give(loaded.size)

    async def close(self) -> None:
        """Abandon what is being loaded and let the thread go."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _load(self, key: Key) -> LoadedModel:
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._pool, self._find, *key)
            size = found.manifest.size
            await self._budget.take(size, functools.partial(self._free, key[0]), title=_title(*key))
            try:
                loaded = await self._enter(key, found)
            except BaseException:
                self._budget.give(size, left=False)
                raise
        except LoadError:
            self._count(fleet_meters.LOADS, model=key[0], outcome="failed")
            raise
        finally:
            del self._loading[key]
        self._count(fleet_meters.LOADS, model=key[0], outcome="ok")
        return loaded

    async def _enter(self, key: Key, found: Found) -> LoadedModel:
        """Open a version for which there is room, and take it in."""
        loop = asyncio.get_running_loop()
        opened = await loop.run_in_executor(self._pool, self._open, found)
        meters = ModelMeters(self._counters, *key)
        schedule = opened.schedule
        loaded = LoadedModel(
            found.manifest, opened.session, meters, opened.cost, schedule.inline_rows, schedule
        )
        loaded.since = self._clock.now()
        await loop.run_in_executor(self._pool, self._begin, loaded)
        self._loaded[key] = loaded
        self._counters.values[meters.loaded] += 1
        labels = {"model": loaded.name, "version": loaded.version}
        self._counters.values[self._counters.series(fleet_meters.BYTES, labels, kind="gauge")] = loaded.size
        return loaded

    def _begin(self, loaded: LoadedModel) -> None:
        """In the loading thread: give the version its log, and back to the system what loading took."""
        self._journal.open(loaded)
        memory.trim()

    def _find(self, model: str, version: str) -> Found:
        """In the loading thread: what the registry has, verified."""
        try:
            manifest = self._registry.manifest(model, version)
            return Found(manifest, self._registry.artifact(manifest), self._registry.profile(manifest))
        except (BadNameError, UnknownModelError, NotRegisteredError) as error:
            raise UnknownVersionError(str(error)) from None
        except (RegistryError, OSError) as error:
            said = str(error).removeprefix(f"{model} version {version}: ")
            raise LoadError(f"{_title(model, version)}: {said}") from None

    def _open(self, found: Found) -> Opened:
        """In the loading thread: open the graph and run it, in sight of the supervisor."""
        labels = {"model": found.manifest.name, "version": found.manifest.version}
        loading = self._counters.series(fleet_meters.LOADING, labels, kind="gauge")
        self._counters.values[loading] = 1
        try:
            return self._opened(found)
        finally:
            self._counters.values[loading] = 0

    def _opened(self, found: Found) -> Opened:
        manifest, runs = found.manifest, self._settings
        title = _title(manifest.name, manifest.version)
        opening = self._opener.open(manifest, found.path, options_of(runs, manifest.name), title=title)
        session = opening.session
        if manifest.signature is not None and manifest.signature != session.signature:
            raise LoadError(
                f"{title}: the graph's signature is not the one in its manifest; publish the version again"
            )
        gaps = Gaps(session, self._is_busy, self._clock.monotonic)
        measured = msgspec.structs.replace(
            study(gaps, found.profile, runs.batch_rows, gaps.seconds),
            opening=opening.seconds,
            copied=opening.copied,
        )
        cost = cost_of(measured.times, measured.steep)
        schedule = decide(session.signature, measured, cost.rows_within(runs.inline), runs)
        return Opened(session, cost, schedule)

    def _is_busy(self) -> bool:
        """Whether a version runs now; in the loading thread."""
        values = self._counters.values
        return any(values[loaded.meters.executing] for loaded in list(self._loaded.values()))

    def _free(self, model: str, size: int) -> bool:
        """Begin to let go of so many bytes; False where they are not to be had."""
        leaving = self.room(model, size)
        for name, _ in leaving:
            self._count(fleet_meters.EVICTIONS, model=name)
        return bool(leaving)

    def _count(self, name: str, **labels: str) -> None:
        self._counters.values[self._counters.series(name, labels)] += 1


def _title(model: str, version: str) -> str:
    return f"model {model} version {version}"


def _heard(done: asyncio.Task[LoadedModel]) -> None:
    """Where all who asked have left before a load failed, nobody else hears of it.

    A failure of ours was counted; what nobody foresaw is told by the loop.
    """
    error = None if done.cancelled() else done.exception()
    if error is not None and not isinstance(error, DriftgateError):
        said = {"message": "a load failed as nobody foresaw", "exception": error, "task": done}
        done.get_loop().call_exception_handler(said)


def _close(loaded: LoadedModel) -> None:
    """In the loading thread: give the memory of a version back."""
    loaded.session.close()
    memory.trim()
