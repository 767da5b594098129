"""Replacing workers, and changed settings; the workers here are one-line programs that load nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.line import BusyError, SupervisorError
from gateway.order import Ask
from gateway.reload import RestartError
from gateway.renewal import Recycled, Renewal
from gateway.settings import StopSettings
from tests.facts import until
from tests.gateway.supervised import ANSWERS, PARTICULAR, Bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Workers that answer."""
    made = Bench(tmp_path, ANSWERS)
    yield made
    made.close()


async def test_workers_are_replaced_one_by_one(bench: Bench) -> None:
    """Each is followed by one that answers before it goes; never does one answer less, and the code is 0."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before, least = bench.working(), 2
    assert bench.supervisor.renewal.recycle("ada") == Recycled(2)

    def replaced() -> bool:
        nonlocal least
        least = min(least, len(bench.working()))
        roster = bench.supervisor.roster()
        return not roster.replacing and not bench.working() & before

    await until(replaced, "both are replaced")
    assert least == 2
    assert bench.restarts("recycled") == 2
    assert len(bench.pids()) == 4
    bench.supervisor.stop()
    assert await running == 0


async def test_changed_settings_are_taken_up_by_new_workers(bench: Bench) -> None:
    """A reload names what changed, is told to whoever gave the settings, and every worker is replaced."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    assert await bench.supervisor.renewal.reload("ada") == ["stop.linger"]
    await until(lambda: not bench.supervisor.roster().replacing, "all are replaced")
    assert len(bench.working()) == 2
    assert not bench.working() & before
    assert await bench.supervisor.renewal.reload("ada") == []
    assert bench.taken == [True, True]
    bench.supervisor.stop()
    assert await running == 0


async def test_settings_that_want_a_restart_change_nothing(bench: Bench) -> None:
    """They are refused by name, to the operator too, and every worker stays."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, data="elsewhere", stop=StopSettings(linger=3.0))
    with pytest.raises(RestartError, match=r"^settings data need a restart; nothing was changed$"):
        await bench.supervisor.renewal.reload("ada")
    word = await bench.supervisor.answer(Ask(3, "reload", "ada"))
    assert (word.number, word.code) == (3, "needs-restart")
    assert bench.working() == before
    assert bench.taken == [False, False]
    bench.supervisor.stop()
    assert await running == 0


async def test_settings_with_which_no_worker_comes_up_change_nothing(tmp_path: Path) -> None:
    """The first new worker tries them alone; when it ends, all is as before."""
    bench = Bench(tmp_path, PARTICULAR)
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=7.0))
    with pytest.raises(SupervisorError, match=r"no worker comes up with the new settings \(stop\.linger\)"):
        await bench.supervisor.renewal.reload("ada")
    assert bench.working() == before
    assert not bench.supervisor.roster().replacing
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    assert await bench.supervisor.renewal.reload("ada") == ["stop.linger"]
    bench.supervisor.stop()
    assert await running == 0
    bench.close()


async def test_a_reload_has_its_turn_after_workers_are_replaced(bench: Bench) -> None:
    """Wishes that come meanwhile are one reload, of what the settings say when its turn comes."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    bench.supervisor.renewal.recycle("ada")
    await until(lambda: bench.supervisor.roster().replacing, "some are being replaced")
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    bench.supervisor.renewal.begin_reload("signal")
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(delay=0.1))
    word = await bench.supervisor.answer(Ask(3, "reload", "bob"))
    assert msgspec.to_builtins(word.answer) == {"changed": ["stop.delay"], "waits": False}
    assert bench.restarts("recycled") >= 2
    await until(lambda: not bench.supervisor.roster().replacing, "all are replaced")
    assert (bench.restarts("recycled"), bench.taken) == (4, [True])
    said = bench.lines.getvalue()
    assert (said.count("reload-waits"), said.count("settings-reloaded")) == (1, 1)
    assert "who=bob changed=stop.delay" in said
    bench.supervisor.stop()
    assert await running == 0


async def test_new_workers_are_had_in_turn(bench: Bench) -> None:
    """Who asks while some are being replaced waits, all who do are one, and a gateway that stops refuses."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    renewal = bench.supervisor.renewal
    assert renewal.recycle("ada") == Recycled(2)
    await until(lambda: bench.supervisor.roster().replacing, "some are being replaced")
    working = bench.working()
    renewal.begin_recycle("signal")
    word = await bench.supervisor.answer(Ask(3, "recycle", "bob"))
    assert msgspec.to_builtins(word.answer) == {"replacing": 2, "waits": True}
    said = bench.lines.getvalue
    await until(lambda: "workers-replacing who=bob" in said(), "it has its turn")
    await until(lambda: not bench.supervisor.roster().replacing, "all are replaced")
    assert not bench.working() & working
    assert (said().count("recycle-waits"), said().count("workers-replacing")) == (2, 2)
    bench.supervisor.stop()
    with pytest.raises(BusyError):
        renewal.recycle("ada")
    renewal.begin_recycle("signal")
    assert "workers-not-replaced" in said()
    assert await running == 0


async def test_an_operator_is_told_that_a_reload_waits(bench: Bench) -> None:
    """Where its turn does not come in time the answer says so; it comes all the same, with its line."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    bench.next = msgspec.structs.replace(bench.settings, data="elsewhere")
    bench.supervisor.renewal.answers_within = 0.0
    bench.supervisor.renewal.recycle("ada")
    await until(lambda: bench.supervisor.roster().replacing, "some are being replaced")
    word = await bench.supervisor.answer(Ask(3, "reload", "ada"))
    assert msgspec.to_builtins(word.answer) == {"changed": [], "waits": True}
    await until(lambda: "settings-not-reloaded" in bench.lines.getvalue(), "it had its turn")
    assert 'who=ada fault="settings data need a restart; nothing was changed"' in bench.lines.getvalue()
    bench.supervisor.stop()
    assert await running == 0


async def test_a_reload_that_waits_ends_with_the_gateway(bench: Bench) -> None:
    """A stop that comes before its turn refuses it; the code is 0."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    bench.supervisor.renewal.recycle("ada")
    await until(lambda: bench.supervisor.roster().replacing, "some are being replaced")
    bench.supervisor.renewal.begin_reload("signal")
    bench.supervisor.stop()
    assert await running == 0
    assert "the gateway is stopping" in bench.lines.getvalue()
    assert bench.taken == []


async def test_a_reload_goes_on_without_whoever_asked(bench: Bench) -> None:
    """A worker that dies while it waits for the answer leaves a reload that is done to its end."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    asking = asyncio.create_task(bench.supervisor.answer(Ask(3, "reload", "ada")))
    await until(lambda: bench.supervisor.roster().replacing, "it has begun")
    asking.cancel()
    await until(lambda: "settings-reloaded" in bench.lines.getvalue(), "it is done")
    await until(lambda: not bench.supervisor.roster().replacing, "all are replaced")
    assert not bench.working() & before
    bench.supervisor.stop()
    assert await running == 0


async def test_what_is_in_force_is_told_by_whoever_gave_it(bench: Bench) -> None:
    """An operator gets their words; where nobody gave any, a sentence that says so."""
    word = await bench.supervisor.answer(Ask(3, "config"))
    assert word.answer == {"workers": {"value": 2, "source": "default"}}
    with pytest.raises(SupervisorError, match="did not say where its settings came from"):
        await Renewal(bench.supervisor.crew, None, bench.log).in_force()


@pytest.mark.parametrize("fault", [OSError("the disk is gone"), RuntimeError("nobody foresaw this")])
async def test_every_failure_is_an_answer(bench: Bench, fault: Exception) -> None:
    """Whatever goes wrong in the supervisor, whoever asked is told at once, and the log says more."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    bench.fault = fault
    word = await bench.supervisor.answer(Ask(3, "reload", "ada"))
    assert word.number == 3
    assert str(fault) in word.error
    assert word.code in {"bad-settings", "supervisor"}
    assert str(fault) in bench.lines.getvalue()
    assert not bench.supervisor.roster().replacing
    bench.supervisor.stop()
    assert await running == 0


async def test_settings_are_taken_up_whoever_cannot_be_told(bench: Bench) -> None:
    """Where whoever gave the settings is gone, what was done stands, and the log says it."""
    running = bench.run()
    await until(bench.ready.is_set, "every worker answers")
    before = bench.working()
    bench.next = msgspec.structs.replace(bench.settings, stop=StopSettings(linger=3.0))
    bench.done_fault = BrokenPipeError("nobody is there")
    assert await bench.supervisor.renewal.reload("ada") == ["stop.linger"]
    await until(lambda: not bench.supervisor.roster().replacing, "all are replaced")
    assert not bench.working() & before
    assert "settings-giver-not-told" in bench.lines.getvalue()
    bench.supervisor.stop()
    assert await running == 0
