"""Everything the API may ask of a running monitor, in one place; the API itself holds no state."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from groundwork.clock import Clock
from groundwork.errors import DriftgateError
from groundwork.series import SeriesKey
from monitor import metrics, status
from monitor.delivery import Dispatcher
from monitor.errors import UnknownError
from monitor.events import Event, TestData, encode, event_id
from monitor.loop import Loop
from monitor.pipeline import Pipeline
from monitor.reports import Report, TestOrder
from monitor.settings import MonitorSettings, Webhook
from monitor.shown import Snapshot
from prediction_log.backlog import Backlog, Behind

_STALE_S: Final = 30.0


class Desk:
    """The parts of a running monitor, for its API."""

    def __init__(
        self,
        settings: MonitorSettings,
        pipeline: Pipeline,
        loop: Loop,
        dispatcher: Dispatcher,
        reading: sqlite3.Connection,
        clock: Clock,
    ) -> None:
        self.pipeline = pipeline
        self.dispatcher = dispatcher
        self.reading = reading
        self._settings = settings
        self._loop = loop
        self._clock = clock
        self._backlog = Backlog(Path(settings.data) / "log")
        self._looking = threading.Lock()

    def problem(self) -> str:
        """Why the monitor is not healthy, or nothing."""
        if self._loop.failure is not None:
            return f"the pipeline stopped: {type(self._loop.failure).__name__}"
        age = self._clock.monotonic() - self._loop.beat
        return f"the pipeline has not gone round for {age:.0f} s" if age > _STALE_S else ""

    @property
    def shown(self) -> Snapshot:
        """What the pipeline committed last."""
        return self.pipeline.shown

    def drift(self, model: str | None, version: str | None) -> list[dict[str, Any]]:
        """Every signal of the versions asked for; off the loop."""
        return status.drift(self.shown, self._settings, model, version)

    def behind(self) -> Behind | None:
        """What of the log is not read yet, None where that cannot be seen; reads files: off the loop."""
        with self._looking:
            try:
                return self._backlog.look(self.shown.offset)
            except DriftgateError:
                return None

    def lag(self) -> dict[str, Any] | None:
        """The same as a document; off the loop."""
        behind = self.behind()
        if behind is None:
            return None
        return {
            "frames": behind.frames,
            "rows": behind.rows,
            "bytes": behind.bytes,
            "seconds": round(behind.seconds(self._clock.now()), 3),
        }

    def health(self) -> dict[str, Any]:
        """What the status says of the program itself; off the loop."""
        return {
            "behind": self._loop.behind,
            "lag": self.lag(),
            "beat_age_s": round(self._clock.monotonic() - self._loop.beat, 3),
            "errors": dict(self._loop.errors),
            "fault": self._loop.fault,
            "budget_rows": self._settings.detection.budget_rows,
        }

    def series(
        self, deliveries: Mapping[tuple[str, str], int], behind: Behind | None
    ) -> dict[SeriesKey, int]:
        """The gauges of the program itself; `behind` as the method has it."""
        age = self._clock.monotonic() - self._loop.beat
        found = {metrics.key(metrics.HEARTBEAT, "gauge"): round(age * 1000)}
        if behind is not None:
            found[metrics.key(metrics.LAG_FRAMES, "gauge")] = behind.frames
            found[metrics.key(metrics.LAG_ROWS, "gauge")] = behind.rows
            found[metrics.key(metrics.LAG_BYTES, "gauge")] = behind.bytes
            late = behind.seconds(self._clock.now())
            found[metrics.key(metrics.LAG_SECONDS, "gauge")] = round(late * 1000)
        for code, count in self._loop.errors.items():
            found[metrics.key(metrics.ERRORS, code=code)] = count
        for (endpoint, state), count in deliveries.items():
            found[metrics.key(metrics.DELIVERIES, "gauge", endpoint=endpoint, state=state)] = count
        return found

    def endpoints(self, switched_off: Mapping[str, str]) -> list[dict[str, Any]]:
        """The configured endpoints; no secret among them."""
        return [
            {
                "name": webhook.endpoint,
                "url": webhook.url,
                "events": webhook.events,
                "disabled": switched_off.get(webhook.endpoint, ""),
            }
            for webhook in self._settings.webhooks
        ]

    async def send_test(self, order: TestOrder) -> dict[str, Any]:
        """Post a signed webhook.test now; what came back, and what the receiver should have verified."""
        webhook = _named(self._settings.webhooks, order.endpoint)
        now = self._clock.now()
        identifier = event_id("test", webhook.endpoint, now)
        event = Event(
            id=identifier, type="webhook.test", model="", subject="webhooks/test", time=now, data=TestData()
        )
        body = encode(event, source=self._settings.source, sequence=0)
        answer = await self.dispatcher.send_test(webhook, identifier, body)
        return {
            "endpoint": webhook.endpoint,
            "event": identifier,
            "status": answer.status,
            "said": answer.said,
        }

    async def report(self, event: str, told: Report) -> None:
        """Keep what a training job reports."""
        await self.dispatcher.save_report(event, told)


def _named(webhooks: Sequence[Webhook], name: str) -> Webhook:
    for webhook in webhooks:
        if name in {webhook.endpoint, webhook.url}:
            return webhook
    known = ", ".join(webhook.endpoint for webhook in webhooks) or "none"
    raise UnknownError(f"no webhook endpoint {name[:200]!r}; configured: {known}")
