"""Asking client, gateway, log and monitor for their counts, each in its own way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from driftgate.demo.books import Books, Count
from driftgate.demo.play import Play
from driftgate.demo.sources import total
from driftgate.demo.training import MODEL


async def balance(play: Play) -> Books:
    """Ask all four. The log comes last: its export reads it whole, and waits until the others agree."""
    gateway = await play.sources.metrics("gateway")
    monitor = await play.sources.metrics("monitor")
    counts = play.client.counts
    answered = sum(
        total(gateway, "driftgate_requests_total", model=MODEL, arm=arm, outcome="ok")
        for arm in ("stable", "candidate")
    )
    books = Books(
        client=Count(counts.answered, counts.rows, counts.labels),
        gateway=Count(
            answered,
            total(gateway, "driftgate_log_rows_spooled_total", kind="prediction"),
            total(gateway, "driftgate_labels_total", model=MODEL),
        ),
        log=Count(counts.answered, counts.rows, counts.labels),
        monitor=Count(
            None,
            total(monitor, "driftgate_monitor_input_rows_total", model=MODEL),
            total(monitor, "driftgate_monitor_labels_total", model=MODEL, outcome="matched"),
        ),
        lost=total(gateway, "driftgate_log_rows_lost_total"),
    )
    return books if books.difference() else msgspec.structs.replace(books, log=await _exported(play))


async def _exported(play: Play) -> Count:
    """What an export of the whole log holds: predictions by id, rows, rows with a label."""
    table = play.stage.folder / "everything.parquet"
    printed = await play.command(
        *("log", "export", str(table), "--model", MODEL, "--data", str(play.stage.data), "--json"),
    )
    summary: dict[str, Any] = msgspec.json.decode(printed)
    return Count(_ids(table), summary["rows"], summary["labelled"])


def _ids(table: Path) -> int:
    from pyarrow import parquet  # noqa: PLC0415  an extra

    return len(parquet.read_table(table, columns=["id"])["id"].unique())
