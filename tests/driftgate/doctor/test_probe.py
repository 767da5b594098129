"""A container's health check: one question to a running program, where and as its settings say."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from driftgate.cli.doctor import doctor
from driftgate.credentials import Credentials
from driftgate.doctor.probe import PATHS, Door, probe
from driftgate.errors import CommandError
from groundwork.ports import TlsSettings, context_of
from tests.keys import Authority

LOOPBACK = "127.0.0.1"
PLAIN = TlsSettings()


class Answers(http.server.BaseHTTPRequestHandler):
    """200 on the gateway's readiness, 503 elsewhere."""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200 if self.path == PATHS["gateway"] else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's own name
        """Say nothing."""


@contextlib.contextmanager
def answering(tls: TlsSettings = PLAIN) -> Iterator[int]:
    """The port of a program that answers."""
    server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Answers)
    if tls.cert:
        server.socket = context_of("http.tls", tls).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("host", [LOOPBACK, "0.0.0.0"])
def test_who_answers_is_well(host: str) -> None:
    """200 on its own path is well, also where it listens everywhere."""
    with answering() as port:
        url = probe("gateway", Door(host, port, PLAIN), Credentials())
        assert url == f"http://{LOOPBACK}:{port}/v2/health/ready"


def test_what_is_not_well_is_said_in_one_line() -> None:
    """Another status, nobody there, and a port that nobody knows are each an error that says so."""
    with answering() as port, pytest.raises(CommandError, match="answered 503"):
        probe("monitor", Door(LOOPBACK, port, PLAIN), Credentials())
    with pytest.raises(CommandError, match="does not answer"):
        probe("gateway", Door(LOOPBACK, port, PLAIN), Credentials())
    with pytest.raises(CommandError, match="any free one"):
        probe("gateway", Door(LOOPBACK, 0, PLAIN), Credentials())


def test_tls_is_spoken_where_it_is_set(tmp_path: Path) -> None:
    """A port with a certificate is asked by TLS, whoever signed it; asked plainly it is not well."""
    tls = TlsSettings(*Authority(tmp_path).issue("gateway"))
    with answering(tls) as port:
        assert probe("gateway", Door(LOOPBACK, port, tls), Credentials()).startswith("https://")
        with pytest.raises(CommandError):
            probe("gateway", Door(LOOPBACK, port, PLAIN), Credentials())


def test_a_client_s_certificate_is_shown_where_it_is_wanted(tmp_path: Path) -> None:
    """With client_ca the command's own certificate is shown; without one the error says what to set."""
    authority = Authority(tmp_path)
    tls = TlsSettings(*authority.issue("gateway"), client_ca=str(authority.file))
    cert, key = authority.issue("probe")
    with answering(tls) as port:
        door = Door(LOOPBACK, port, tls)
        assert probe("gateway", door, Credentials(cert=cert, cert_key=key))
        with pytest.raises(CommandError, match="DRIFTGATE_CERT"):
            probe("gateway", door, Credentials())
        with pytest.raises(CommandError, match="PEM files"):
            probe("gateway", door, Credentials(cert=key))


def test_the_verb_asks_by_settings_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`doctor --probe` takes TLS from the environment and the port from a flag, and looks at nothing else."""
    cert, key = Authority(tmp_path).issue("gateway")
    monkeypatch.setenv("DRIFTGATE_HTTP_TLS_CERT", cert)
    monkeypatch.setenv("DRIFTGATE_HTTP_TLS_KEY", key)
    asked = ["--probe", "gateway", "--data", str(tmp_path / "none"), "--http-port"]
    with answering(TlsSettings(cert, key)) as port:
        done = CliRunner().invoke(doctor, [*asked, str(port), "--json"], standalone_mode=False)
    assert (done.return_value, done.exception) == (0, None)
    assert f"https://{LOOPBACK}:{port}/v2/health/ready" in done.output
    failed = CliRunner().invoke(doctor, [*asked, str(port)], standalone_mode=False)
    assert isinstance(failed.exception, CommandError)
