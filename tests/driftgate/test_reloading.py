"""How `up` and its gateway agree on changed settings."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from driftgate.reloading import Given, Reloading, check_monitor
from gateway.reload import RestartError
from gateway.settings import GatewaySettings, StopSettings
from groundwork.errors import SettingsError
from groundwork.ports import TlsSettings
from monitor.settings import MonitorSettings

MONITOR = MonitorSettings(data="data", models="models")
GIVEN = Given(GatewaySettings(), MONITOR, {})
CHANGED = Given(GatewaySettings(stop=StopSettings(delay=1.0)), msgspec.structs.replace(MONITOR, poll=1.0), {})


class Gateway:
    """The gateway's end of the line, and what was taken up."""

    def __init__(self) -> None:
        self.now: Given | Exception = CHANGED
        self.taken: list[Given] = []
        self.ready = asyncio.Event()
        self._ours, theirs = socket.socketpair()
        self.reloading = Reloading(GIVEN, self._read, self.taken.append, self.ready.set)
        self.serving = asyncio.create_task(self.reloading.serve(theirs))
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def say(self, word: str) -> None:
        """Say one word."""
        self._streams = self._streams or await asyncio.open_connection(sock=self._ours)
        self._streams[1].write(word.encode() + b"\n")

    async def read(self) -> Any:
        """Ask for the settings; the answer's document."""
        await self.say("read")
        assert self._streams is not None
        return msgspec.json.decode(await self._streams[0].readline())

    async def close(self) -> None:
        """Hang up, and wait until the other end has noticed."""
        if self._streams is not None:
            self._streams[1].close()
        await self.serving

    def _read(self) -> Given:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    """A gateway on its line."""
    made = Gateway()
    yield made
    await made.close()


async def test_settings_are_in_force_once_the_gateway_has_taken_them(gateway: Gateway) -> None:
    """It is offered the new beside the given ones; what it takes is what is given the next time."""
    offer = await gateway.read()
    assert (offer["settings"]["stop"]["delay"], offer["given"]["stop"]["delay"]) == (1.0, 0.0)
    await gateway.say("kept")
    assert (await gateway.read())["given"]["stop"]["delay"] == 0.0
    await gateway.say("taken")
    assert (await gateway.read())["given"]["stop"]["delay"] == 1.0
    assert gateway.taken == [CHANGED]


async def test_a_gateway_says_when_it_is_ready(gateway: Gateway) -> None:
    """Its word for that is heard, and asks for nothing."""
    await gateway.say("ready")
    assert "settings" in await gateway.read()
    assert gateway.ready.is_set()


async def test_what_cannot_be_honoured_is_said(gateway: Gateway) -> None:
    """A fault in the settings reaches whoever asked for the reload, with its code; nothing is offered."""
    gateway.now = SettingsError("stop.delay: wanted a duration")
    assert await gateway.read() == {"error": "stop.delay: wanted a duration", "code": "bad-settings"}
    await gateway.say("taken")
    assert (await gateway.read())["code"] == "bad-settings"
    assert gateway.taken == []


async def test_what_nobody_foresaw_ends_no_line(gateway: Gateway) -> None:
    """Settings that fail in a way nobody foresaw are refused, and the next reload finds the line there."""
    gateway.now = ValueError("month must be in 1..12")
    assert "cannot be read (ValueError: month must be" in (await gateway.read())["error"]
    gateway.now = CHANGED
    assert "settings" in await gateway.read()


def test_what_is_known_of_the_monitor_outside_wants_a_restart() -> None:
    """Address, folders and TLS on or off are refused by name; everything else may change."""
    moved = msgspec.structs.replace(MONITOR, port=1, tls=TlsSettings(cert="c", key="k"))
    with pytest.raises(RestartError, match=r"^settings monitor\.port, monitor\.tls\.cert need a restart"):
        check_monitor(MONITOR, moved)
    check_monitor(MONITOR, msgspec.structs.replace(MONITOR, poll=1.0, catch_up=1.0))
