"""Tests of monitor.delivery where monitor.db cannot be written."""

import sqlite3
from pathlib import Path

import httpx
import pytest

from groundwork.errors import LockedError, NoRoomError
from monitor import outbox
from monitor.reports import Report
from tests.disks import fill, small_disk
from tests.monitor.test_delivery import Bench


async def test_nothing_is_posted_while_what_comes_of_it_cannot_be_written(tmp_path: Path) -> None:
    """On a full disk a receiver would get the same event again and again; it gets it once there is room."""
    bench = Bench(tmp_path)
    event = bench.promise(1)
    bench.sending.execute("PRAGMA query_only = ON")
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError):
            await bench.dispatcher.begin()
    assert bench.received == []
    bench.sending.execute("PRAGMA query_only = OFF")
    await bench.dispatcher.step()
    assert len(bench.received) == 1
    assert bench.delivery(event).state == outbox.DELIVERED
    await bench.close()


@pytest.mark.parametrize("status", [204, 500])
async def test_what_came_of_a_post_is_written_when_there_is_room_and_posted_no_second_time(
    tmp_path: Path, status: int
) -> None:
    """A disk that fills while a receiver has the event costs neither its answer nor another post."""
    bench = Bench(tmp_path)
    event = bench.promise(1)

    def answer(_request: httpx.Request) -> httpx.Response:
        bench.sending.execute("PRAGMA query_only = ON")
        return httpx.Response(status)

    bench.answer = answer
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError):
            await bench.pass_time(10.0)
    bench.sending.execute("PRAGMA query_only = OFF")
    bench.answer = lambda _: httpx.Response(204)
    await bench.dispatcher.step()
    first, *again = bench.delivery(event).history
    assert first.status == status
    assert len(bench.received) == 1 + len(again)
    assert bool(again) == (status == 500)
    await bench.close()


async def test_what_is_asked_for_on_a_full_disk_is_refused(tmp_path: Path) -> None:
    """A report or a replay is not done, and who asked is told what to do about it."""
    with small_disk(tmp_path / "disk", 4) as folder:
        bench = Bench(folder)
        event = bench.promise(1, kind="retrain.requested")
        await bench.dispatcher.step()
        fill(folder / "full", leave=0)
        with pytest.raises(NoRoomError, match=r"monitor\.db: the disk is full"):
            await _report_at_length(bench, event)
        (folder / "full").unlink()
        await bench.dispatcher.save_report(event, Report("succeeded"))
        bench.sending.execute("PRAGMA query_only = ON")
        with pytest.raises(LockedError, match="cannot be written now"):
            await bench.dispatcher.replay(event, None)
        await bench.close()


async def _report_at_length(bench: Bench, event: str) -> None:
    """Report until there is no room: a little is left in the file itself."""
    for number in range(64):
        await bench.dispatcher.save_report(event, Report("running", message=f"{number}" * 2000))
