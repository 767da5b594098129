"""Tests of monitor.app, monitor.loop and monitor.api: the program as people run it, on loopback."""

import contextlib
import http.server
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from groundwork.clock import SystemClock
from groundwork.dates import rfc3339, unix_ns
from groundwork.errors import LockedError, NewerStoreError, SettingsError
from groundwork.files import FolderLock
from groundwork.openmetrics import OPEN_CONTENT_TYPE
from monitor import app
from monitor.settings import MonitorSettings, Webhook, checked
from monitor.store import LOCK, open_store
from prediction_log.segment_sink import SegmentSink
from registry_client.directory import DirectoryRegistry
from rollouts.store import SqliteStore
from tests.monitor import worlds
from tests.monitor.worlds import Traffic
from tests.prediction_log import samples

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 60.0
STARTED: list[subprocess.Popen[bytes]] = []
DATED_NS = 10**15
"""A larger number is a time in nanoseconds; nothing else that is told is so large."""


class Receiver(http.server.ThreadingHTTPServer):
    """A webhook receiver that keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.arrived = threading.Event()
        super().__init__(("127.0.0.1", 0), _Post)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}/hook"


class _Post(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Keep it and answer 204."""
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append((dict(self.headers), body))
        self.send_response(204)
        self.end_headers()
        self.server.arrived.set()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Say nothing."""


class Running:
    """A monitor process over a data folder with a registry of one version."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.data = folder / "data"
        self.models = folder / "models"
        (self.data / "log").mkdir(parents=True, exist_ok=True)
        worlds.fill(DirectoryRegistry(str(self.models), None), "1")
        self.settings = worlds.settings(
            data=str(self.data), models=str(self.models), port=0, poll=0.05, **changes
        )
        self.ready = folder / "ready.json"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> httpx.Client:
        """Start it and wait until it is ready; a client of its API."""
        self.ready.unlink(missing_ok=True)
        file = self.ready.with_name("settings.json")
        file.write_bytes(msgspec.json.encode(self.settings))
        arguments = [sys.executable, "-m", "monitor", str(file), str(self.ready)]
        self.process = subprocess.Popen(arguments, cwd=ROOT)
        STARTED.append(self.process)
        until(lambda: self.ready.exists() or self.process is None or self.process.poll() is not None)
        url = msgspec.json.decode(self.ready.read_bytes())["monitor"]
        # Whoever asks waits with the round for the database's lock, and for a processor.
        return httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE_S)

    def tell(self, number: int) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it and wait for its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(2 * DEADLINE_S)


def until(fact: Callable[[], Any]) -> None:
    """Wait for a fact, not for a time."""
    clock = SystemClock()
    deadline, pause = clock.monotonic() + DEADLINE_S, threading.Event()
    while not fact():
        assert clock.monotonic() < deadline, "the fact did not come"
        pause.wait(0.02)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What a test that failed has started runs no longer beside those after it."""
    yield
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver."""
    made = Receiver()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.system
def test_drift_in_the_log_reaches_the_receiver_and_survives_kills(tmp_path: Path, receiver: Receiver) -> None:
    """Rows become counts, an incident and a signed event; killed and started again, nothing is told twice."""
    hook = Webhook(url=receiver.url, secret=worlds.SECRET, name="receiver")
    running = Running(tmp_path, webhooks=(hook,))
    sink, traffic = SegmentSink(running.data / "log", clock=SystemClock()), Traffic(1)
    client = running.start()
    for step in range(40):
        body, labels = traffic.predictions(
            64, shift=2.0 if step > 20 else 0.0, wrong=0.6 if step > 20 else 0.1
        )
        sink.write([body, traffic.labels(labels)])
        if step in {10, 30}:
            running.stop(signal.SIGKILL)
            client = running.start()
    until(lambda: _has_row(client, 2560.0))
    until(lambda: len(receiver.got) >= 2)
    kinds = [msgspec.json.decode(body)["type"] for _, body in receiver.got]
    assert sorted(set(kinds)) == ["drift.detected", "retrain.requested"]
    assert client.get("/healthz").json() == {"status": "ok"}
    (incident,) = client.get("/v1/incidents").json()["incidents"]
    assert client.get(f"/v1/incidents/{incident['id']}").json() == incident
    (request,) = client.get("/v1/retrains").json()["retrains"]
    assert request["deliveries"] == [{"endpoint": "receiver", "state": "delivered"}]
    assert client.post(f"/v1/retrains/{request['id']}", json={"state": "running"}).status_code == 200
    assert client.get("/v1/retrains").json()["retrains"][0]["report"]["state"] == "running"
    assert client.get("/v1/status").json()["versions"][0]["incident"] == incident["id"]
    assert client.get("/v1/drift").json()["versions"][0]["signals"]
    (labels,) = client.get("/v1/drift").json()["labels"]
    assert (labels["model"], labels["matched"], labels["waiting"]) == (worlds.MODEL, 2560, 0)
    assert client.get("/v1/status").json()["labels"] == [labels]
    assert client.get("/v1/drift?model=none").status_code == 404
    event = f"/v1/webhooks/{request['id']}"
    for path in ("/v1/status", "/v1/drift", "/v1/incidents", "/v1/webhooks", "/v1/retrains", event):
        assert [*_bare_times(client.get(path).json())] == []
    until(lambda: client.get("/v1/status").json()["lag"]["frames"] == 0)
    assert client.get("/v1/drift").json()["lag"] == {"frames": 0, "rows": 0, "bytes": 0, "seconds": 0.0}
    store = SqliteStore(running.data / "rollouts.db", SystemClock())
    assert store.last_beat("monitor") is not None
    store.close()
    sink.close()
    client.close()
    assert running.stop() == 0


def _bare_times(document: Any, name: str = "") -> Iterator[str]:
    """The names of numbers in it that would be nanoseconds, and of times that are not RFC 3339 in UTC."""
    if isinstance(document, dict | list):
        parts = document.items() if isinstance(document, dict) else ((name, part) for part in document)
        for key, part in parts:
            yield from _bare_times(part, key)
    elif isinstance(document, int | float):
        if document > DATED_NS:
            yield name
    elif name in {"time", "at", "latest", "next_at", "expires", "reported"} and document is not None:
        assert rfc3339(unix_ns(document)) == document


@pytest.mark.system
def test_what_is_not_read_yet_is_told_in_frames_rows_bytes_and_seconds(tmp_path: Path) -> None:
    """A monitor that cannot go on, here because its database is locked, says how far behind it is."""
    running = Running(tmp_path)
    sink, traffic = SegmentSink(running.data / "log", clock=SystemClock()), Traffic(1)
    traffic.time = SystemClock().now() - 90 * 10**9
    sink.write([traffic.predictions(64)[0]])
    client = running.start()
    until(lambda: _has_row(client, 64.0))
    with contextlib.closing(open_store(running.data)) as held:
        held.execute("BEGIN IMMEDIATE")
        body = traffic.predictions(64)[0]
        sink.write([body])
        until(lambda: client.get("/v1/status").json()["lag"]["frames"] == 1)
        lag = client.get("/v1/status").json()["lag"]
        assert (lag["rows"], lag["bytes"]) == (64, len(body))
        assert lag["seconds"] > 60.0
        found = client.get("/metrics").text
        assert "driftgate_monitor_lag_rows 64.0" in found
        opened = client.get("/metrics", headers={"accept": "application/openmetrics-text"})
        assert opened.headers["content-type"] == OPEN_CONTENT_TYPE
        assert opened.text.endswith("# EOF\n")
        held.execute("ROLLBACK")
    until(lambda: "driftgate_monitor_lag_rows 0.0" in client.get("/metrics").text)
    sink.close()
    client.close()
    assert running.stop() == 0


def _has_row(client: httpx.Client, rows: float) -> bool:
    """Whether the metrics count so many predicted rows."""
    name, kind = "driftgate_monitor_rows_total", 'kind="prediction"'
    lines = client.get("/metrics").text.splitlines()
    return any(name in line and kind in line and float(line.split()[-1]) == rows for line in lines)


@pytest.mark.system
def test_the_api_answers_mistakes_in_one_line(tmp_path: Path, receiver: Receiver) -> None:
    """Unknown names are 404, bad requests 400, each with one line of JSON and never a traceback."""
    hook = Webhook(url=receiver.url, secret=worlds.SECRET, name="receiver")
    running = Running(tmp_path, webhooks=(hook,))
    client = running.start()
    for method, path, content, status in (
        ("GET", "/v1/incidents/none", b"", 404),
        ("GET", "/v1/webhooks/none", b"", 404),
        ("GET", "/v1/schemas/none", b"", 404),
        ("GET", "/nothing", b"", 404),
        ("GET", "/v1/drift?model=none", b"", 404),
        ("GET", f"/v1/drift?model={worlds.MODEL}&version=77", b"", 404),
        ("POST", "/v1/status", b"", 405),
        ("GET", "/v1/incidents?limit=0", b"", 400),
        ("GET", "/v1/incidents?limit=x", b"", 400),
        ("POST", "/v1/webhooks/none/replay", b"", 404),
        ("POST", "/v1/webhooks/test", b"{", 400),
        ("POST", "/v1/webhooks/test", b'{"endpoint":"\xff"}', 400),
        ("POST", "/v1/webhooks/test", b'{"endpoint":"none"}', 404),
        ("POST", "/v1/retrains/none", b'{"state":"running"}', 404),
        ("POST", "/v1/retrains/none", b'{"state":"dancing"}', 400),
        ("POST", "/v1/retrains/none", b" " * 70_000, 400),
    ):
        answer = client.request(method, path, content=content)
        assert answer.status_code == status, path
        assert "\n" not in answer.json()["error"]
    tested = client.post("/v1/webhooks/test", json={"endpoint": "receiver"}).json()
    assert tested["status"] == 204
    assert msgspec.json.decode(receiver.got[0][1])["type"] == "webhook.test"
    assert worlds.SECRET not in client.get("/v1/webhooks").text
    assert set(client.get("/v1/schemas").json()) >= {"drift.detected", "retrain.requested"}
    client.close()
    assert running.stop(signal.SIGINT) == 0


@pytest.mark.system
def test_a_stopping_monitor_catches_up_first(tmp_path: Path) -> None:
    """What is in the log when SIGTERM comes is counted and committed before the exit."""
    running = Running(tmp_path, webhooks=(), catch_up=2 * DEADLINE_S)
    running.start().close()
    sink, traffic = SegmentSink(running.data / "log", clock=SystemClock()), Traffic(1)
    sink.write([traffic.predictions(8)[0] for _ in range(300)])
    assert running.stop() == 0
    client = running.start()
    assert _has_row(client, 2400.0)
    client.close()
    sink.close()
    running.stop()


@pytest.mark.system
def test_it_outlives_a_hang_up(tmp_path: Path) -> None:
    """SIGHUP with changed settings: the monitor goes on by those it has, and is stopped as ever."""
    running = Running(tmp_path, webhooks=())
    client = running.start()
    changed = msgspec.structs.replace(running.settings, poll=9.0)
    running.ready.with_name("settings.json").write_bytes(msgspec.json.encode(changed))
    running.tell(signal.SIGHUP)
    assert client.get("/healthz").is_success
    client.close()
    assert running.stop() == 0


def start(data: Path) -> int:
    """Start it here; for what refuses to."""
    own = worlds.settings(data=str(data), port=0)
    return app.run(own, print, lambda: own)


def test_a_second_monitor_of_a_folder_is_refused(tmp_path: Path) -> None:
    """One monitor per data folder."""
    with FolderLock.acquire(tmp_path / LOCK), pytest.raises(LockedError):
        start(tmp_path)


def test_a_newer_log_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    """A newer segment ends the program at once, by name, instead of a pipeline that never gets on."""
    with contextlib.closing(SegmentSink(tmp_path / "log")) as sink:
        sink.write([samples.make_frame()])
    with contextlib.closing(sqlite3.connect(tmp_path / "log" / "000001.seg")) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(NewerStoreError, match=r"000001\.seg"):
        start(tmp_path)
    assert not (tmp_path / LOCK).exists()


def test_settings_that_cannot_be_honoured_are_refused() -> None:
    """An address off loopback, and two endpoints of one name, are errors that say what to do."""
    with pytest.raises(SettingsError, match=r"monitor\.host is .*keys\.file"):
        checked(worlds.settings(host="0.0.0.0"))
    hook = Webhook(url="http://x", secret=worlds.SECRET)
    with pytest.raises(SettingsError, match="its own name"):
        checked(worlds.settings(webhooks=(hook, hook)))
    for url in ("", "jobs.example/retrain", "ftp://jobs.example", "http://", "http://jobs:notaport/"):
        with pytest.raises(SettingsError, match=r"monitor\.webhooks: url is .*wanted"):
            checked(worlds.settings(webhooks=(Webhook(url=url, secret=worlds.SECRET),)))


def test_settings_are_a_document() -> None:
    """Settings survive being written as JSON; an unknown key is an error."""
    chosen = worlds.settings()
    assert msgspec.json.decode(msgspec.json.encode(chosen), type=MonitorSettings) == chosen
    with pytest.raises(msgspec.ValidationError, match="budget"):
        msgspec.json.decode(b'{"data":"d","models":"m","budget":1}', type=MonitorSettings)


@pytest.mark.system
def test_the_port_may_not_be_taken(tmp_path: Path) -> None:
    """A taken port is one line and exit status 1."""
    (tmp_path / "data").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = worlds.settings(
            data=str(tmp_path / "data"), models=str(tmp_path), port=taken.getsockname()[1]
        )
        file = tmp_path / "settings.json"
        file.write_bytes(msgspec.json.encode(chosen))
        arguments = [sys.executable, "-m", "monitor", str(file), os.devnull]
        done = subprocess.run(arguments, cwd=ROOT, capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert b"choose another" in done.stderr
    assert b"Traceback" not in done.stderr
