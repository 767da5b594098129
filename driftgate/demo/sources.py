"""Where the demo's facts come from: the operator API, the monitor's API, the receiver's notes, and /metrics.

Rules: answers are read as documents and never changed; a program that does not answer just now is asked again
by whoever waits for a fact.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any, Final

import httpx

from driftgate.demo.receiver import Note
from driftgate.demo.training import MODEL
from groundwork import decoders
from monitor.views import IncidentView

TIMEOUT: Final = 10.0


class Sources:
    """Reads facts over HTTP and from the receiver's notes."""

    def __init__(self, operator: str, monitor: str, notes: Path) -> None:
        self._operator = httpx.AsyncClient(base_url=operator, timeout=TIMEOUT, trust_env=False)
        self._monitor = httpx.AsyncClient(base_url=monitor, timeout=TIMEOUT, trust_env=False)
        self._notes = notes

    async def close(self) -> None:
        """Let the connections go."""
        await self._operator.aclose()
        await self._monitor.aclose()

    async def status(self) -> dict[str, Any]:
        """The rollout's status."""
        return await _json(self._operator, f"/v1/rollouts/{MODEL}")

    async def history(self) -> list[dict[str, Any]]:
        """Every row of the model's history."""
        found = await _json(self._operator, f"/v1/rollouts/{MODEL}/history")
        return list(found["history"])

    async def watched(self, version: str) -> dict[str, Any] | None:
        """What the monitor sees of a version; None before its first row."""
        found = await _json(self._monitor, "/v1/status")
        return next((row for row in found["versions"] if row["version"] == version), None)

    async def monitor_status(self) -> dict[str, Any]:
        """All that the monitor says of itself."""
        return await _json(self._monitor, "/v1/status")

    async def incidents(self) -> list[IncidentView]:
        """Every incident, newest first."""
        found = await _json(self._monitor, "/v1/incidents")
        return decoders.converted(found["incidents"], list[IncidentView])

    async def deliveries(self) -> list[dict[str, Any]]:
        """Every delivery of a webhook, newest first."""
        return list((await _json(self._monitor, "/v1/webhooks"))["deliveries"])

    async def metrics(self, program: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The samples of "gateway" or "monitor", by name and labels."""
        client = self._operator if program == "gateway" else self._monitor
        answer = await client.get("/metrics")
        answer.raise_for_status()
        return parse_metrics(answer.text)

    def notes(self, what: str) -> list[Note]:
        """The receiver's notes of one kind, in order."""
        if not self._notes.exists():
            return []
        lines = self._notes.read_bytes().splitlines()
        found = [decoders.json_of(Note).decode(line) for line in lines]
        return [note for note in found if note.what == what]


def parse_metrics(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Prometheus text as samples by name and labels."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415  only the demo reads it

    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float],
    name: str,
    **labels: str,
) -> int:
    """The sum of a metric over all series that have these labels."""
    wanted = set(labels.items())
    return round(sum(value for (found, of), value in samples.items() if found == name and wanted <= of))


def unix(stamp: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    return dt.datetime.fromisoformat(stamp).timestamp()


async def _json(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(path)
    answer.raise_for_status()
    return dict(answer.json())
