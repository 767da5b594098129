"""`driftgate up` as people start it: real processes, ready together, stopped in order, kept alive."""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest

from driftgate.demo.sources import parse_metrics, total
from driftgate.programs import Program
from driftgate.ring import Addresses
from prediction_log.frame import decode
from prediction_log.record import Kind
from prediction_log.segment_source import SegmentSource
from prediction_log.transport import START
from registry_client.backends import open_registry
from tests import models
from tests.counts import count
from tests.facts import until
from tests.system import monitors
from tests.system.load import Load, Plan

pytestmark = pytest.mark.system

SECONDS = 240.0


class Up:
    """One `driftgate up` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ready_file = folder / "ready.json"
        self.urls: dict[str, Any] = {}
        self.log = (folder / "up.log").open("ab")
        self.config = folder / "driftgate.yaml"
        self.config.touch()
        self.program = self.another("up", self.ready_file)

    def another(self, name: str, ready_file: Path) -> Program:
        """The command on this folder, with every port free to choose, started from the folder itself."""
        flags = [f"--{port}-port=0" for port in ("http", "operator", "monitor")]
        places = [f"--models={self.folder / 'models'}", f"--data={self.folder / 'data'}"]
        command = ["env", "-C", str(self.folder), sys.executable, "-P", "-m", "driftgate", "up"]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("DRIFTGATE_")}
        return Program(
            name,
            [*command, *places, *flags, f"--config={self.config}", f"--ready-file={ready_file}"],
            environ=environ,
            output=self.log,
        )

    async def start(self) -> None:
        """Start and wait until it is ready."""
        await self.program.start()
        self.urls = await self.program.ready(self.ready_file, SECONDS)

    def said(self) -> str:
        """Everything that was printed."""
        return (self.folder / "up.log").read_text()


@pytest.fixture
async def up_later(tmp_path: Path) -> AsyncIterator[Up]:
    """A ring over one model, not started yet, in a folder with files named like our packages."""
    (tmp_path / "models").mkdir()
    models.publish(open_registry(tmp_path / "models"), "m", "1", models.logistic(2))
    for name in ("gateway", "monitor", "driftgate"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('taken for ours')\n")
    ring = Up(tmp_path)
    try:
        yield ring
    finally:
        await ring.program.stop(SECONDS)
        ring.log.close()


@pytest.fixture
async def up(up_later: Up) -> Up:
    """A running ring."""
    await up_later.start()
    return up_later


async def ask(url: str) -> httpx.Response:
    """One prediction."""
    body = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        return await client.post(f"{url}/v2/models/m/infer", json=body)


async def rows_read(url: str) -> int:
    """How many rows of version 1 the monitor has read, ever."""
    async with httpx.AsyncClient(trust_env=False, timeout=SECONDS) as client:
        samples = parse_metrics((await client.get(f"{url}/metrics")).text)
    return total(samples, "driftgate_monitor_rows_total", version="1")


async def test_it_serves_watches_and_stops_in_order(up: Up) -> None:
    """Fixed names in the ready file, predictions answered, SIGTERM ends it with 0, and nothing is lost."""
    assert set(up.urls) == {"http", "operator", "monitor", "grpc", "pid"}
    assert up.urls["grpc"].startswith("127.0.0.1:")
    answers = [await ask(up.urls["http"]) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert await up.program.stop(SECONDS), up.said()
    assert not up.ready_file.exists()
    assert not list((up.folder / "data").glob("up-*"))
    await up.start()
    assert await rows_read(up.urls["monitor"]) == 20


async def test_a_second_one_on_the_same_folder_is_refused(up: Up, tmp_path: Path) -> None:
    """The folder has one owner; a line names it, the second leaves nothing in it, and the first goes on."""
    data, before = up.folder / "data", up.said()
    held = sorted(data.glob("up-*"))
    second = up.another("second", tmp_path / "second.json")
    await second.start()
    assert await second.wait() == 1
    said = up.said().removeprefix(before)
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if str(data) in line and "lock" in line]
    assert sorted(data.glob("up-*")) == held
    assert (await ask(up.urls["http"])).status_code == 200


async def test_without_a_models_folder_nothing_starts(tmp_path: Path) -> None:
    """A mistyped --models ends the first start with 1 and a line that says what to do; it is never ready."""
    up = Up(tmp_path)
    await up.program.start()
    assert await asyncio.wait_for(up.program.wait(), SECONDS) == 1
    up.log.close()
    assert f"models folder {tmp_path / 'models'}: not found; create it" in up.said()
    assert "Traceback" not in up.said()
    assert not up.ready_file.exists()


async def test_a_monitor_that_dies_is_started_again_on_its_port(up: Up) -> None:
    """The death is told in a line, and the same address answers again."""
    pid = _child_of(up.urls["pid"], "monitor")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: "monitor was ended by SIGKILL; starting it again" in up.said(), "the death is told")
    await until(lambda: _answers(up.urls["monitor"]), "the monitor answers again", SECONDS)
    assert (await ask(up.urls["http"])).status_code == 200


async def test_a_program_that_cannot_be_started_is_tried_again(up: Up) -> None:
    """Where the system has no room for the next process, `up` says so, and starts it once there is some."""
    await until(lambda: "stops in order" in up.said(), "all is told that is told at a start")
    limits = resource.prlimit(up.urls["pid"], resource.RLIMIT_NOFILE)
    resource.prlimit(up.urls["pid"], resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        os.kill(_child_of(up.urls["pid"], "monitor"), signal.SIGKILL)
        await until(lambda: "monitor cannot be started now: Too many open files" in up.said(), "it is told")
    finally:
        resource.prlimit(up.urls["pid"], resource.RLIMIT_NOFILE, limits)
    await until(lambda: _answers(up.urls["monitor"]), "the monitor answers again", SECONDS)


async def test_nothing_outlives_it_when_it_is_killed(up: Up) -> None:
    """SIGKILL of `up` ends gateway and monitor too."""
    pids = [_child_of(up.urls["pid"], name) for name in ("gateway", "monitor")]
    os.kill(up.urls["pid"], signal.SIGKILL)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "both have ended", SECONDS)


@pytest.mark.parametrize("numbers", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT] * 3])
async def test_a_stop_before_it_is_ready_is_a_stop(tmp_path: Path, numbers: list[signal.Signals]) -> None:
    """However early and however often it is told to stop: no traceback, no process and no file is left."""
    (tmp_path / "models").mkdir()
    up = Up(tmp_path)
    await up.program.start()
    await until(lambda: bool(list(tmp_path.glob("data/up-*/monitor.json"))), "it has begun", SECONDS)
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(up.program.pid, number)
    assert await asyncio.wait_for(up.program.wait(), SECONDS) == 0 or len(numbers) > 1, up.said()
    up.log.close()
    assert "Traceback" not in up.said()
    assert _processes_of(tmp_path) == []
    assert not list(tmp_path.glob("data/up-*"))  # noqa: ASYNC240  one look at a local folder


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
async def test_a_wish_before_it_is_ready_waits_until_it_is(up_later: Up, number: signal.Signals) -> None:
    """Who asks for changed settings, or new workers, while the gateway starts ends nothing, and has them."""
    await up_later.program.start()
    await until(lambda: bool(list(up_later.folder.glob("data/up-*/monitor.json"))), "it has begun", SECONDS)
    os.kill(up_later.program.pid, number)
    await up_later.program.ready(up_later.ready_file, SECONDS)
    done = "settings-reloaded" if number == signal.SIGHUP else "workers-replacing"
    await until(lambda: done in up_later.said(), "the wish is fulfilled", SECONDS)


async def test_a_reload_before_the_monitor_answers_does_not_end_it(up_later: Up) -> None:
    """A gateway that takes up changed settings while the monitor still starts is followed once it answers."""
    await up_later.program.start()
    ready = up_later.folder / "data"
    await until(lambda: bool(_children(up_later.program.pid, "monitor")), "it has begun", SECONDS)
    monitor = _child_of(up_later.program.pid, "monitor")
    os.kill(monitor, signal.SIGSTOP)
    await until(lambda: bool(list(ready.glob("up-*/gateway.ready"))), "the gateway answers", SECONDS)
    operator = json.loads(next(ready.glob("up-*/gateway.ready")).read_bytes())["operator"]
    up_later.config.write_text("monitor: {poll: 2s}\n")
    _reload(operator)
    os.kill(monitor, signal.SIGCONT)
    await up_later.program.ready(up_later.ready_file, SECONDS)
    await until(lambda: "take up changed settings" in up_later.said(), "the monitor follows", SECONDS)


def _processes_of(folder: Path) -> list[str]:
    """The command lines that name a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if f"{folder}/data" in line]


async def test_a_stop_under_load_loses_nothing(up: Up) -> None:
    """SIGTERM at 500 requests/s: who was let in is answered, and client, log and monitor count alike."""
    body = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}]}'
    total_rows = 0
    for _ in range(count(1, 10)):
        load = Load(Plan(up.urls["http"], "/v2/models/m/infer", body, rate=500, seconds=600.0))
        running = asyncio.create_task(load.run())
        await until(lambda load=load: len(load.shots) > 500, "the load is under way", SECONDS)  # type: ignore[misc]
        assert await up.program.stop(SECONDS), up.said()
        load.stop()
        shots = await running
        refused = {shot.fault for shot in shots if shot.status != 200}
        # Nobody lets it in, or its connection was closed between two requests: safe to send again elsewhere.
        assert refused <= {"ConnectionRefusedError", "IncompleteReadError"}
        total_rows += sum(shot.status == 200 for shot in shots)
        assert logged_rows(up.folder / "data" / "log") == total_rows
        assert monitors.counted(up.folder / "data") == total_rows
        await up.start()
        assert await rows_read(up.urls["monitor"]) == total_rows


def logged_rows(folder: Path) -> int:
    """How many predicted rows are in the log."""
    source = SegmentSource(folder)
    try:
        frames = [decode(body) for _, body in source.read(START, 1_000_000)]
    finally:
        source.close()
    return sum(frame.rows for frame in frames if frame.kind == Kind.PREDICTION)


async def test_changed_settings_are_taken_up(up: Up) -> None:
    """SIGHUP lets the gateway replace its workers; the monitor is started again when its settings changed."""
    monitor = _child_of(up.urls["pid"], "monitor")
    up.config.write_text("requests: {max_body_bytes: 5000}\nlimits: {header_bytes: 3000}\n")
    os.kill(up.urls["pid"], signal.SIGHUP)
    await until(lambda: "settings-reloaded" in up.said(), "they are taken up", SECONDS)
    await until(lambda: "take up changed settings" in up.said(), "the monitor follows", SECONDS)
    await until(lambda: _answers(up.urls["monitor"]), "the monitor answers again", SECONDS)
    assert _child_of(up.urls["pid"], "monitor") != monitor
    await until(lambda: not _replacing(up.urls["operator"]), "every worker is replaced", SECONDS)
    up.config.write_text("workers: 7\n")
    os.kill(up.urls["pid"], signal.SIGHUP)
    await until(lambda: "settings-not-reloaded" in up.said(), "it is refused", SECONDS)
    assert "settings workers need a restart; nothing was changed" in up.said()
    assert (await ask(up.urls["http"])).status_code == 200


async def test_settings_that_cannot_be_kept_are_in_force(up: Up) -> None:
    """Where the settings' own folder has gone a reload is told of it, and the next one is not the worse."""
    shutil.rmtree(next((up.folder / "data").glob("up-*")))
    done = "settings-reloaded who=signal changed=requests.max_body_bytes"
    for most in (5000, 6000):
        up.config.write_text(f"requests: {{max_body_bytes: {most}}}\n")
        before = up.said()
        os.kill(up.urls["pid"], signal.SIGHUP)
        await until(lambda before=before: done in up.said().removeprefix(before), "it is taken up", SECONDS)  # type: ignore[misc]
    await until(lambda: up.said().count("in force, but not for a program") == 2, "it is told each time")


async def test_a_running_program_says_where_its_settings_came_from(up: Up) -> None:
    """`config show --running` names flags and file, the monitor's too, ports, and what a reload took up."""
    asked = ("config", "show", "--running", "--json", "--operator", up.urls["operator"])
    asking = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "driftgate", *asked, stdout=asyncio.subprocess.PIPE
    )
    found = json.loads((await asking.communicate())[0])
    ports = {name: urlsplit(up.urls[name]).port for name in ("http", "operator", "monitor")}
    assert {name: found[f"{name}.port"]["value"] for name in ports} == ports
    assert found["http.port"]["source"] == "flag --http-port"
    assert up.urls["grpc"] == f"127.0.0.1:{found['grpc.port']['value']}"
    assert found["data"]["value"] == str(up.folder / "data")
    assert found["monitor.poll"]["source"] == "default"
    assert _told(up.urls["monitor"]) == found
    up.config.write_text("monitor: {poll: 2s}\n")
    os.kill(up.urls["pid"], signal.SIGHUP)
    taken = {"value": 2.0, "source": f"file {up.config}"}
    await until(lambda: _told(up.urls["operator"])["monitor.poll"] == taken, "it is told", SECONDS)
    assert _told(up.urls["operator"])["http.port"] == found["http.port"]


def _child_of(parent: int, module: str) -> int:
    """The process number of the child that runs a module."""
    children = _children(parent, module)
    assert children, f"process {parent} has no child that runs {module}"
    return children[0]


def _children(parent: int, module: str) -> list[int]:
    """The process numbers of the children that run a module."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(child) for child in children if f"\0{module}\0" in Path(f"/proc/{child}/cmdline").read_text()]


def _reload(operator: str) -> None:
    httpx.post(f"{operator}/v1/config/reload", trust_env=False, timeout=SECONDS).raise_for_status()


def _told(url: str) -> Any:
    return httpx.get(f"{url}/v1/config", trust_env=False, timeout=SECONDS).json()


def _replacing(operator: str) -> bool:
    return bool(httpx.get(f"{operator}/v1/workers", trust_env=False, timeout=SECONDS).json()["replacing"])


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False, timeout=SECONDS).status_code == 200
    except httpx.TransportError:
        return False


def test_the_ready_file_is_what_people_parse() -> None:
    """Names and kinds of the ready file are fixed."""
    document = msgspec.to_builtins(Addresses("http://a", "http://b", "http://c", None, 7))
    urls = {"http": "http://a", "operator": "http://b", "monitor": "http://c"}
    assert document == {**urls, "grpc": None, "pid": 7}
