"""Evidence over time, for the picture: looked at twice a second while the demo runs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

import httpx
import msgspec

from driftgate.demo.sources import Sources

EVERY_SECONDS: Final = 0.4


class Watched(msgspec.Struct, frozen=True):
    """The monitor's evidence (nats) that a version's data changed, against its threshold."""

    at: float
    version: str
    evidence: float
    threshold: float


class Judged(msgspec.Struct, frozen=True):
    """The judge's evidence (nats) on accuracy of a candidate, each side with its threshold."""

    at: float
    candidate: str
    fail: float
    fail_threshold: float
    passed: float
    pass_threshold: float


class Samples:
    """What was seen; one task writes it, the chart reads it afterwards."""

    def __init__(self) -> None:
        self.watched: list[Watched] = []
        self.judged: list[Judged] = []

    async def gather(self, sources: Sources) -> None:
        """Look until cancelled; a program that does not answer just now leaves a gap."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                self._monitor(await sources.monitor_status())
                self._judge(await sources.status())
            await asyncio.sleep(EVERY_SECONDS)

    def _monitor(self, found: dict[str, Any]) -> None:
        now = time.time()
        self.watched += [
            Watched(now, version["version"], version["evidence"], version["threshold"])
            for version in found["versions"]
            if version["evidence"] is not None
        ]

    def _judge(self, found: dict[str, Any]) -> None:
        accuracy = next((one for one in found["verdicts"] if one["metric"] == "accuracy"), None)
        if accuracy is None or found["candidate"] is None:
            return
        self.judged.append(
            Judged(
                at=time.time(),
                candidate=found["candidate"],
                fail=accuracy["fail_evidence"],
                fail_threshold=accuracy["fail_threshold"],
                passed=accuracy["pass_evidence"],
                pass_threshold=accuracy["pass_threshold"],
            ),
        )
