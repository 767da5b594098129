"""What a monitor that was started by itself does about changed settings."""

import io

import msgspec

from driftgate import settings
from groundwork.clock import FakeClock
from groundwork.errors import SettingsError
from groundwork.keys import READ
from groundwork.logs import Log, MessageSettings
from monitor.rereading import SHARED, Reread, Rereading, changes
from monitor.settings import DetectionSettings, MonitorSettings

OLD = MonitorSettings(data="data", models="models")


async def said(read: Reread) -> str:
    """The lines of one look."""
    lines, looked = io.StringIO(), list[str]()
    await Rereading(OLD, read, lambda: looked.append(READ), Log(lines, FakeClock())).again()
    assert looked == [READ]
    return lines.getvalue()


async def test_settings_that_want_a_restart_are_named_in_one_line() -> None:
    """Every changed setting is named as people write it; keys and certificates are looked at first."""
    new = msgspec.structs.replace(
        OLD,
        poll=9.0,
        messages=MessageSettings(form="json"),
        detection=DetectionSettings(budget_rows=1e9),
    )
    line = await said(lambda: new)
    assert line.count("\n") == 1
    assert "settings-need-restart" in line
    for name in changes(OLD, new):
        assert name in line
    assert set(changes(OLD, new)) == {"monitor.poll", "messages.form", "monitor.detection.budget_rows"}


async def test_nothing_changed_is_said_too() -> None:
    """Whoever asks is told."""
    assert "settings-reread" in await said(lambda: OLD)


async def test_settings_that_cannot_be_read_change_nothing() -> None:
    """A broken file is one line; the monitor goes on."""

    def broken() -> MonitorSettings:
        raise SettingsError("file x.yaml: wanted YAML, found a cat")

    assert "found a cat" in await said(broken)


def test_shared_settings_are_those_of_the_command() -> None:
    """The command and the monitor call a setting by the same name."""
    assert SHARED == settings.SHARED
