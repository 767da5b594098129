"""`driftgate webhooks`: what became of a delivery, and what comes next."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from driftgate import show
from driftgate.cli.webhooks import last_said, webhooks

AT = "2023-11-14T22:13:20.000Z"
LATER = "2023-11-14T22:13:50.000Z"


def tried(at: str, status: int) -> dict[str, Any]:
    """One attempt as the monitor tells it."""
    return {"at": at, "status": status, "said": "", "took_ms": 3}


@pytest.mark.parametrize(
    ("state", "history", "next_at", "said"),
    [
        ("pending", [], None, None),
        (
            "pending",
            [tried(AT, 0)],
            LATER,
            f"no answer at {show.moment(AT)}, again at {show.moment(LATER)}",
        ),
        ("pending", [tried(AT, 503)], None, f"503 at {show.moment(AT)}"),
        ("delivered", [tried(AT, 0), tried(LATER, 202)], None, f"202 at {show.moment(LATER)}"),
    ],
)
def test_a_delivery_says_when_it_is_tried_again(
    state: str, history: list[Any], next_at: str | None, said: str | None
) -> None:
    """The latest attempt, and the next one only where there is one to come."""
    assert last_said({"state": state, "history": history, "next_at": next_at}) == said


class _Monitor(http.server.BaseHTTPRequestHandler):
    """Tells in its answer which path it was asked for."""

    def do_POST(self) -> None:
        body = b'{"deliveries": 1, "path": "%s"}' % self.path.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where a monitor answers that says what it was asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Monitor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("given", "asked"),
    [((), ""), (("--to", "training"), "?endpoint=training"), (("--to", "a&b"), "?endpoint=a%26b")],
)
def test_a_replay_goes_to_the_endpoint_that_was_named(url: str, given: tuple[str, ...], asked: str) -> None:
    """The monitor is told the one endpoint of `--to`, for without it every endpoint gets the event again."""
    done = CliRunner().invoke(webhooks, ["replay", "evt_1", *given, "--json", "--monitor", url])
    assert f'"/v1/webhooks/evt_1/replay{asked}"' in done.output
