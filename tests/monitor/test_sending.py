"""Tests of monitor.sending."""

import asyncio
import io
import sqlite3

import pytest

from groundwork.clock import FakeClock
from groundwork.logs import Log
from monitor.sending import SOON, pause, send, send_last


class Steps:
    """Steps that fail as told, and end the sending with the last."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.stop = asyncio.Event()

    async def begin(self) -> float | None:
        """The next one."""
        return await self.step()

    async def step(self) -> float | None:
        """The next one."""
        fault = self.faults.pop(0)
        if not self.faults:
            self.stop.set()
        if fault is not None:
            raise fault
        return 0.0


def test_a_store_that_cannot_be_written_is_left_alone_for_ever_longer() -> None:
    """Every 0.2 s at first and every 10 s in the end; as soon as ever once it can be."""
    waits = [0.0]
    for _ in range(8):
        waits.append(pause(waits[-1], None, failed=True))
    assert waits[1:] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    assert [pause(10.0, due) for due in (None, 0.0, 0.1, 60.0)] == [SOON, 0.01, 0.1, SOON]


async def test_a_full_disk_does_not_end_the_sending() -> None:
    """It is told, and tried again; what was not foreseen does end it."""
    told, steps = io.StringIO(), Steps(sqlite3.OperationalError("disk is full"), None)
    await send(steps, steps.stop, Log(told, FakeClock()))
    assert told.getvalue().count("deliveries-wait") == 1
    steps = Steps(ValueError("a bug"), None)
    with pytest.raises(ValueError, match="a bug"):
        await send(steps, steps.stop, Log(told, FakeClock()))


async def test_the_last_step_is_taken_whatever_the_disk() -> None:
    """What the last round wrote is tried once more; where that fails it waits for a start."""
    told = io.StringIO()
    for fault in (None, sqlite3.OperationalError("disk is full")):
        steps = Steps(fault)
        sending = asyncio.create_task(_forever())
        await send_last(sending, steps, Log(told, FakeClock()))
        assert sending.cancelled()
        assert steps.faults == []
    assert told.getvalue().count("deliveries-wait") == 1


async def _forever() -> None:
    await asyncio.Event().wait()
