"""Between gRPC's clients and its server: TLS, who is let in, and the goodbye under load."""

import asyncio
import stat
from pathlib import Path

import grpc
import pytest

from gateway.grpc_port.relay import NAME, address_of
from gateway.settings import GatewaySettings, GrpcSettings
from groundwork.ports import LimitSettings, TlsSettings
from tests.facts import until
from tests.gateway.grpc_port.ports import CODES, Client, served
from tests.keys import Authority


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::7"])
def test_a_client_s_address_is_found_again(address: str) -> None:
    """What gRPC calls a peer ends with the client's own address."""
    assert address_of(f"unix-abstract:driftgate/7-ab12cd34-9/{address}") == address


def settings(tls: TlsSettings) -> GatewaySettings:
    """Those of a gRPC port with TLS."""
    return GatewaySettings(grpc=GrpcSettings(tls=tls))


def contents(*files: str) -> list[bytes]:
    """What is in some files."""
    return [Path(file).read_bytes() for file in files]


async def test_tls_is_spoken(tmp_path: Path) -> None:
    """A client that trusts the authority is answered; one that speaks plainly is not, and is counted."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("gateway")
    async with served(tmp_path / "world", settings(TlsSettings(cert, key))) as there:
        trusting = Client(there.address, grpc.ssl_channel_credentials(authority.file.read_bytes()))
        assert (await trusting.infer()).code is CODES.OK
        await trusting.channel.close()
        assert (await there.client.infer()).code is CODES.UNAVAILABLE
        assert set(there.refused) == {"no-tls"}


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


async def test_one_connection_too_many_is_refused(tmp_path: Path) -> None:
    """Connections are bounded; one more is ended at once and counted, and leaves its place to another."""
    async with served(tmp_path, GatewaySettings(limits=LimitSettings(connections=1))) as there:
        assert (await there.client.infer()).code is CODES.OK
        other = Client(there.address)
        assert (await other.infer()).code is CODES.UNAVAILABLE
        assert "too-many-connections" in there.refused
        await there.client.channel.close()
        await until(lambda: not there.port.connections, "the first one has gone")
        assert (await other.infer(wait_for_ready=True)).code is CODES.OK
        await other.channel.close()


async def test_a_stranger_does_not_stay(tmp_path: Path) -> None:
    """Who says nothing that is HTTP/2 is parted with; gRPC's own socket is private to this user."""
    limits = LimitSettings(header_time=0.2)
    async with served(tmp_path, GatewaySettings(limits=limits)) as there:
        assert stat.S_IMODE(there.world.slots.stat().st_mode) == 0o700
        assert (there.world.slots / NAME).is_socket()
        host, port = there.address.rsplit(":", 1)
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n" * 10):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(said)
            async with asyncio.timeout(30):
                await reader.read()
            writer.transport.abort()
        await until(lambda: not there.port.connections, "both have gone")


class Asking:
    """A client that asks as fast as it can, several calls at once, until it is told to go elsewhere."""

    def __init__(self, client: Client) -> None:
        self.codes: list[grpc.StatusCode] = []
        self.under_way = asyncio.Event()
        self._client = client

    async def ask(self) -> None:
        """Until a call is refused, or nobody listens any more."""
        while not self.codes or self.codes[-1] is CODES.OK:
            self.codes.append((await self._client.infer()).code)
            if len(self.codes) > 20:
                self.under_way.set()


async def test_a_goodbye_under_load_cancels_no_call(tmp_path: Path) -> None:
    """Every call that comes before, at and after the goodbye is answered, or was never sent (UNAVAILABLE)."""
    for turn in range(5):
        async with served(tmp_path / str(turn)) as there:
            asking = [Asking(there.client) for _ in range(8)]
            tasks = [asyncio.create_task(one.ask()) for one in asking]
            await asyncio.gather(*(one.under_way.wait() for one in asking))
            closing = asyncio.create_task(there.port.close(linger=30.0, limit=30.0))
            await closing
            assert not there.port.connections
            there.place.close()
            await asyncio.gather(*tasks)
            assert {code for one in asking for code in one.codes} == {CODES.OK, CODES.UNAVAILABLE}
