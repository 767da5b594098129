"""One post to a receiver, over real connections."""

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.posting import Poster
from tests.keys import Authority


class _Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Who signs for the receiver, and is known to nobody."""
    return Authority(tmp_path, "company")


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    """A receiver with TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("receiver"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


async def test_a_receiver_that_nobody_vouches_for_gets_nothing(url: str) -> None:
    """Without a signature of somebody who is trusted no event leaves, and the attempt says why."""
    poster = Poster()
    found = await poster.post(url, b"{}", {})
    assert found.status == 0
    assert "CERTIFICATE_VERIFY_FAILED" in found.said
    await poster.close()


async def test_a_receiver_is_trusted_as_the_system_trusts(
    url: str, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority of a company's own that this system knows may sign for its receivers."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    poster = Poster()
    assert (await poster.post(url, b"{}", {})).status == 204
    await poster.close()
