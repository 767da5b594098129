"""The servers under measurement: how each is started, where it answers, and which processes are its cost."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from groundwork.key_file import save
from groundwork.keys import INFER, create
from loadtests.bench.cost import tree
from loadtests.bench.works import Work

READY_S: Final = 30.0
STOP_S: Final = 20.0
POLL_S: Final = 0.02


@dataclass(frozen=True)
class Server:
    """A started server: `url` answers the work, `pids` are charged, `beside` are printed next to them.

    `headers` are what it wants of every request besides: a key, where it asks for one.
    """

    name: str
    url: str
    pids: list[int]
    beside: list[int]
    headers: Mapping[str, str] = field(default_factory=dict)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    ready: Callable[[], bool],
    what: str,
    process: subprocess.Popen[bytes],
    seconds: float = READY_S,
    poll: float = POLL_S,
) -> None:
    """Until `ready()`, looked at every `poll` seconds; RuntimeError when it ended or the time is up."""
    limit = time.monotonic() + seconds
    pause = threading.Event()
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{what}: its process ended with {process.returncode} before it was ready")
        if time.monotonic() > limit:
            raise RuntimeError(f"{what}: not ready within {seconds:g} s")
        pause.wait(poll)


def _answers(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310  loopback
            return True
        return False

    return ready


@contextlib.contextmanager
def started(command: list[str], env: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, stopped by SIGTERM at the end, by SIGKILL if that takes too long."""
    process = subprocess.Popen(command, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def naive(work: Work, cores: str | None = None, workers: int = 1) -> Iterator[Server]:
    """The hand-written server; `workers` is always one."""
    del workers
    port = free_port()
    command = [*pinned(cores), sys.executable, "-m", "loadtests.bench.naive", str(work.model), str(port)]
    with started(command) as process:
        wait_until(_answers(f"http://127.0.0.1:{port}/"), "naive", process)
        yield Server("naive", f"http://127.0.0.1:{port}/infer", tree(process.pid), [])


@contextlib.contextmanager
def driftgate(work: Work, cores: str | None = None, workers: int = 1) -> Iterator[Server]:
    """The whole product: keys, routing, log to the spool, a live monitor, metrics; nothing switched off."""
    key, text = create("bench", [INFER], datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="driftgate-bench-") as folder:
        ready_file, keys = Path(folder) / "ready.json", Path(folder) / "keys.yaml"
        save(keys, [key])
        command = [*pinned(cores), sys.executable, "-P", "-m", "driftgate", "up"]
        command += ["--models", str(work.model.parents[2]), "--data", str(Path(folder) / "data")]
        command += ["--workers", str(workers), "--http-port", "0", "--operator-port", "0"]
        command += ["--monitor-port", "0", "--ready-file", str(ready_file)]
        with started(command, {"DRIFTGATE_KEYS_FILE": str(keys)}) as process:
            wait_until(ready_file.exists, "driftgate up", process)
            ready = json.loads(ready_file.read_bytes())
            pids = tree(process.pid)
            monitor = [pid for pid in pids if _runs(pid, "monitor")]
            model = work.model.parents[1].name
            url = f"{ready['http'].rstrip('/')}/v2/models/{model}/infer"
            charged = [pid for pid in pids if pid not in monitor]
            yield Server("driftgate", url, charged, monitor, {"Authorization": f"Bearer {text}"})


def _runs(pid: int, package: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word == package.encode() or word.startswith(f"{package}.".encode()) for word in words)


def pinned(cores: str | None) -> list[str]:
    """What stands before a command that is to run on these processors only."""
    return ["taskset", "-c", cores] if cores else []


def sides(processors: Iterable[int]) -> tuple[str, int]:
    """Of two processors or more: those of a server, as `taskset` takes them, and the generator's own."""
    *servers, generator = sorted(processors)
    return ",".join(map(str, servers)), generator


Start = Callable[..., AbstractContextManager[Server]]
SERVERS: Final[Mapping[str, Start]] = {"naive": naive, "driftgate": driftgate}
