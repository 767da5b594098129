"""Opening the graph of a version: from its optimised copy where one is kept, else as it was published.

Where opening took long and no copy was tried, one is wanted (`gateway.optimised`). What opening takes is the
processor's time of the thread that opens: a machine that is busy with other things makes no graph slow.
"""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway import optimised
from gateway.errors import LoadError
from gateway.optimised import Copy
from gateway.options import RunOptions
from gateway.runtime import engine
from gateway.session import Session
from registry_client.manifest import Manifest


class Opening(msgspec.Struct, frozen=True):
    """A graph that was opened: in how many seconds of the processor, and whether from its copy."""

    session: Session
    seconds: float
    copied: bool


class Opener:
    """Opens graphs in one worker; used in one thread at a time.

    `cache` is the folder of copies; `above` the seconds of opening from which a copy is wanted, 0 for never,
    and then none is opened either. `seconds` is the clock of the thread's processor time.
    """

    def __init__(self, cache: Path, above: float, seconds: Callable[[], float] = time.thread_time) -> None:
        self._cache = cache
        self._above = above
        self._seconds = seconds
        self._engine = ""

    def open(self, manifest: Manifest, path: Path, options: RunOptions, *, title: str) -> Opening:
        """Open the published graph in `path`, or its copy. LoadError where the graph cannot be opened."""
        began = self._seconds()
        name = self._name(manifest, options) if self._above else None
        session = None if name is None else self._copied(name, options, title)
        if session is not None:
            return Opening(session, self._seconds() - began, copied=True)
        began = self._seconds()
        session = Session.open(path, title=title, options=options)
        taken = self._seconds() - began
        if name is not None and taken > self._above:
            optimised.want(self._cache, name, _copy_of(manifest, path, options))
        return Opening(session, taken, copied=False)

    def _copied(self, name: str, options: RunOptions, title: str) -> Session | None:
        """The session of the copy; None where there is none, or none that opens."""
        path = optimised.kept(self._cache, name)
        if path is None:
            return None
        try:
            return Session.open(path, title=title, options=as_written(options))
        except LoadError as error:
            optimised.give_up(self._cache, name, str(error))
            return None

    def _name(self, manifest: Manifest, options: RunOptions) -> str | None:
        self._engine = self._engine or engine()
        return optimised.name_of(manifest.digest, self._engine, options)


def _copy_of(manifest: Manifest, path: Path, options: RunOptions) -> Copy:
    return Copy(
        manifest.name, manifest.version, manifest.digest, str(path), manifest.size, options.optimisation
    )


def as_written(options: RunOptions) -> RunOptions:
    """The options by which a graph that was rewritten before is opened."""
    return msgspec.structs.replace(options, optimisation="none")
