"""What a worker looks at again and again beside its requests: the routes, the registry, the room for its log.

Rules: what is out of order is said once, and again when it has changed; what the journal does not record may
come and go by the second, and is said again when it was away for long. Whoever asks for all of it (`faults`)
may be a thread. It changes nothing itself: the reconciler loads, the journal opens files.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from gateway.discover import Discovery
from gateway.journal import Journal
from gateway.reconcile import Reconciler
from groundwork.logs import Log
from registry_client.remembered import Remembered
from rollouts.follower import Follower

REMEMBERED: Final = 600
"""For so many looks after it was last true, a remark of the journal is not made again: ten minutes."""


class Lookout:
    """One worker's; used on its loop."""

    def __init__(
        self,
        follower: Follower,
        registry: Remembered,
        discovery: Discovery,
        reconciler: Reconciler,
        journal: Journal,
        log: Log,
    ) -> None:
        self._follower = follower
        self._registry = registry
        self._discovery = discovery
        self._reconciler = reconciler
        self._journal = journal
        self._log = log
        self._remarked: dict[str, int] = {}  # for how many looks each is remembered
        self._copied: Mapping[tuple[str, str], str] = {}

    def follow(self) -> None:
        """Look at the routes; microseconds where nothing has changed."""
        routes = self._follower.poll()
        if routes is not None:
            self._reconciler.follow(routes)

    async def look(self) -> None:
        """Look for new models and for versions to try again or to let go."""
        await asyncio.to_thread(self._discovery.look, frozenset(self._reconciler.routes))
        await asyncio.to_thread(self._registry.look)
        for (model, version), fault in self._registry.faults.items() - self._copied.items():
            self._log.warning("version-from-copy", model=model, version=version, fault=fault)
        self._copied = self._registry.faults
        self._reconciler.look_around()

    async def tend(self) -> None:
        """Say what is not recorded; give versions that serve unlogged their log when there is room."""
        remarks = self._journal.remarks()
        for remark in sorted({*remarks} - self._remarked.keys()):
            self._log.warning("not-recorded", what=remark)
        remembered = {remark: looks - 1 for remark, looks in self._remarked.items() if looks > 1}
        self._remarked = remembered | dict.fromkeys(remarks, REMEMBERED)
        self._journal.adopt(await asyncio.to_thread(self._journal.retry))

    def faults(self) -> dict[tuple[str, str], str]:
        """What is wrong with versions, (model, version) to one line; with a model as a whole, version ""."""
        faults = {key: fault.message for key, fault in self._reconciler.faults.items()}
        faults = {**self._registry.faults, **self._journal.faults(), **faults}
        return faults | {(model, ""): fault for model, fault in self._discovery.faults.items()}

    def close(self) -> None:
        """Follow the routes no more."""
        self._follower.close()
