"""TLS of the gRPC port."""

import io
from pathlib import Path

import grpc
import pytest

from gateway.grpc_port.certificates import Certificate, credentials
from gateway.settings import GatewaySettings, GrpcSettings
from groundwork.clock import FakeClock
from groundwork.errors import SettingsError
from groundwork.logs import Log
from groundwork.ports import TlsSettings
from tests.gateway.grpc_port.ports import CODES, Client, served
from tests.keys import Authority


def settings(tls: TlsSettings) -> GatewaySettings:
    """Those of a gRPC port with TLS."""
    return GatewaySettings(grpc=GrpcSettings(tls=tls))


def contents(*files: str) -> list[bytes]:
    """What is in some files."""
    return [Path(file).read_bytes() for file in files]


async def test_tls_is_spoken(tmp_path: Path) -> None:
    """A client that trusts the authority is answered; one that speaks plainly is not."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("gateway")
    async with served(tmp_path / "world", settings(TlsSettings(cert, key))) as there:
        trusting = Client(there.address, grpc.ssl_channel_credentials(authority.file.read_bytes()))
        assert (await trusting.infer()).code is CODES.OK
        await trusting.channel.close()
        assert (await there.client.infer()).code is CODES.UNAVAILABLE


async def test_clients_show_certificates_where_they_must(tmp_path: Path) -> None:
    """With client_ca set, a client without a certificate of it does not get in."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("gateway")
    mine = contents(*authority.issue("client"))
    root = authority.file.read_bytes()
    async with served(tmp_path / "world", settings(TlsSettings(cert, key, str(authority.file)))) as there:
        shown = Client(there.address, grpc.ssl_channel_credentials(root, mine[1], mine[0]))
        hidden = Client(there.address, grpc.ssl_channel_credentials(root))
        assert (await shown.infer()).code is CODES.OK
        assert (await hidden.infer()).code is CODES.UNAVAILABLE
        await shown.channel.close()
        await hidden.channel.close()


def test_a_renewed_certificate_is_taken_up_once(tmp_path: Path) -> None:
    """Changed files are read again; ones that cannot be used change nothing and are told once."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("gateway")
    lines = io.StringIO()
    held = Certificate(TlsSettings(cert, key), Log(lines, FakeClock()))
    assert held.renewed() is None
    authority.issue("gateway")
    assert held.renewed() is not None
    assert held.renewed() is None
    Path(cert).write_text("no certificate")
    assert (held.renewed(), held.renewed()) == (None, None)
    assert lines.getvalue().count("certificate-not-reloaded") == 1


def test_half_of_tls_is_refused(tmp_path: Path) -> None:
    """A certificate without its key is an error before anything listens; neither is plain gRPC."""
    log = Log(io.StringIO(), FakeClock())
    assert credentials(TlsSettings(), log) is None
    with pytest.raises(SettingsError, match=r"grpc\.tls\.cert is set"):
        credentials(TlsSettings(cert=str(tmp_path / "a.pem")), log)
