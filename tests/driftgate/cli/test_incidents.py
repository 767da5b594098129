"""`driftgate incidents` and `driftgate retrains`: what the monitor tells, as people read it."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from driftgate import show
from driftgate.cli.incidents import incidents
from driftgate.cli.retrains import retrains
from monitor import views
from tests.monitor.test_views import FOUND, TOLD

ANSWERS: dict[str, Any] = {
    "/v1/incidents": {"incidents": [views.incident(FOUND)]},
    "/v1/incidents/inc_1": views.incident(FOUND),
    "/v1/retrains": {
        "retrains": [
            {
                "id": "evt_1",
                "time": TOLD,
                "event": {"data": {"model": "m", "version": "1", "reason": "risk"}},
                "report": {"state": "failed", "version": "", "message": "no \x1b[2Jdisk"},
                "reported": TOLD,
                "deliveries": [{"endpoint": "a", "state": "dead"}, {"endpoint": "b", "state": "pending"}],
            }
        ]
    },
}


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = msgspec.json.encode(ANSWERS[self.path])
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Where a monitor that knows the one incident answers."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def run(family: click.Command, *arguments: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(family, arguments, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_an_incident_is_shown_at_local_times(url: str) -> None:
    """The table and the page have the moments of the API, and a hyphen where there is none."""
    opened = show.moment(TOLD)
    row = next(
        line for line in run(incidents, "list", "--monitor", url).splitlines() if line.startswith("inc_1")
    )
    assert row.split() == ["inc_1", "m", "1", "open", *opened.split(), "-", "risk", "age"]
    page = run(incidents, "show", "inc_1", "--monitor", url)
    assert f"opened    {opened}, row 640" in page
    assert "onset     -, row 0" in page


def test_a_request_to_retrain_says_how_each_delivery_stands(url: str) -> None:
    """Every endpoint with its state, in a cell; what a job reports does nothing to a terminal."""
    assert "a: dead, b: pending  failed no [2Jdisk" in run(retrains, "list", "--monitor", url)
