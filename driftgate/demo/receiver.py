"""The demo's retraining receiver: a program that is called by webhook and answers with a new version.

    python -m driftgate.demo.receiver STAGE READY.json SEED

It is what a team would write around its own training job: verify the signature, answer 202 at once, do each
request once however often it comes, tell the monitor how it goes, and start the rollout when a version is
published. Each step is noted as a JSON line, for whoever wants to know what happened.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import msgspec

from driftgate.demo import policies, retraining, training
from driftgate.demo.signature import verify
from driftgate.demo.stage import Stage
from driftgate.errors import DemoError
from driftgate.remote import Api
from groundwork.errors import DriftgateError
from groundwork.files import write_atomic

MOST_BYTES: Final = 1 << 20
LABELLED_ROWS: Final = 2000
ACTOR: Final = "retraining"


class Note(msgspec.Struct, frozen=True):
    """One thing that the receiver did: `at` is unix seconds."""

    at: float
    what: str
    facts: dict[str, Any]


class Receiver:
    """The requests to retrain and what became of them; one thread works them off."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._seed = seed
        self._secret = stage.secret.read_text().strip()
        self._seen: set[str] = set()
        self._orders: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._writing = threading.Lock()

    def note(self, what: str, **facts: Any) -> None:
        """Write a line that others read."""
        line = msgspec.json.encode(Note(time.time(), what, facts)) + b"\n"
        with self._writing, self._stage.notes.open("ab") as file:
            file.write(line)

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """A delivery: the status to answer with, and a word."""
        wrong = verify(self._secret, headers, body, time.time())
        if wrong is not None:
            self.note("refused", why=wrong)
            return 401, wrong
        event = msgspec.json.decode(body)
        if event["type"] != "retrain.requested":
            return 202, "nothing to do"
        if event["id"] in self._seen:
            return 202, "known already"
        self._seen.add(event["id"])
        data = event["data"]
        self.note("verified", event=event["id"], version=data["version"], incident=data["incident"])
        self._orders.put(event)
        return 202, "retraining"

    def work(self) -> None:
        """Do the requests one after the other, until told to stop."""
        while (event := self._orders.get()) is not None:
            try:
                self._retrain(event)
            except DriftgateError as error:
                self.note("failed", version=event["data"]["version"], why=str(error))
                self._tell(event["id"], "failed", "--message", str(error)[:200])

    def stop(self) -> None:
        """Let `work` return."""
        self._orders.put(None)

    def _retrain(self, event: dict[str, Any]) -> None:
        data = event["data"]
        answering = self._api("operator").get(f"/v1/models/{training.MODEL}")["stable"]
        if data["version"] != answering:
            raise DemoError(f"version {data['version']} does not answer any more, {answering} does")
        self._tell(event["id"], "running")
        order = retraining.Order(
            models=self._stage.models,
            data=self._stage.data,
            since=data["window"]["from"],
            rows=LABELLED_ROWS,
            seed=self._seed,
        )
        self._wait_for_labels(data)
        exported = retraining.labelled_window(order, self._stage.folder / "window.parquet")
        result = retraining.make(order, exported)
        if result.accuracy <= result.present_accuracy:
            raise DemoError(f"the new version is no better ({result.accuracy:.1%}) than what answers now")
        self.note("published", **msgspec.to_builtins(result))
        reason = f"retrained for {data['incident']}"
        self._driftgate(
            *("rollout", "start", training.MODEL, "--to", result.version, "--file", str(policies.ROLLOUT)),
            *("--operator", self._url("operator"), "--actor", ACTOR, "--reason", reason),
        )
        self.note("started", version=result.version)
        self._tell(event["id"], "succeeded", "--version", result.version)

    def _wait_for_labels(self, data: dict[str, Any]) -> None:
        """Return when the monitor has joined enough labels since the onset: cheaper to ask than to export."""
        before = data["labelled"] - data["labelled_since_onset"]
        wanted = before + LABELLED_ROWS * (1 + retraining.EARLIEST)
        deadline = time.monotonic() + retraining.WAIT_SECONDS
        pause = threading.Event()
        while time.monotonic() < deadline:
            found = self._api("monitor").get("/v1/drift", model=data["model"], version=data["version"])
            if any(version["accuracy"]["labelled"] >= wanted for version in found["versions"]):
                return
            pause.wait(retraining.LOOK_SECONDS)

    def _api(self, name: str) -> Api:
        return Api(name, self._url(name))

    def _tell(self, event: str, state: str, *more: str) -> None:
        """Report to the monitor how it goes."""
        self._driftgate("retrains", "report", event, state, *more, "--monitor", self._url("monitor"))

    def _url(self, name: str) -> str:
        """An address of the running ring, from its ready file."""
        return str(msgspec.json.decode(self._stage.ready("up").read_bytes())[name])

    def _driftgate(self, *arguments: str) -> None:
        command = [sys.executable, "-P", "-m", "driftgate", *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            raise DemoError(f"`driftgate {' '.join(arguments[:2])}` failed: {done.stderr.decode().strip()}")


def build(receiver: Receiver) -> ThreadingHTTPServer:
    """The HTTP server on any free loopback port."""

    class Endpoint(BaseHTTPRequestHandler):
        """POST /retrain."""

        def do_POST(self) -> None:
            """Take a delivery."""
            length = int(self.headers.get("content-length", "0"))
            body = self.rfile.read(min(length, MOST_BYTES))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, said = receiver.take(headers, body) if self.path == "/retrain" else (404, "no such path")
            answer = said.encode()
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            """Say nothing: the notes say it."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)


def main() -> int:
    """Serve until SIGTERM."""
    stage, ready, seed = Stage(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
    receiver = Receiver(stage, seed)
    server = build(receiver)
    worker = threading.Thread(target=receiver.work, daemon=True)
    worker.start()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    host, port = server.server_address[:2]
    write_atomic(ready, msgspec.json.encode({"url": f"http://{host!s}:{port}"}))
    stopping.wait()
    server.shutdown()
    receiver.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
