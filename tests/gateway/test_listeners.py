"""The two listening sockets."""

import os
import socket

import pytest

from gateway.listeners import GRPC_PORT, HTTP_PORT, ListenError, Listeners
from gateway.settings import GatewaySettings, GrpcSettings, PortSettings
from groundwork.errors import SettingsError

FREE = PortSettings(port=0)


def test_free_ports_are_taken_and_named() -> None:
    """Port 0 listens on a free port, and the addresses are URLs a client can use."""
    listeners = Listeners.open(GatewaySettings(http=FREE, operator=FREE))
    addresses = listeners.addresses(42)
    port = listeners.http.getsockname()[1]
    assert (addresses.http, addresses.pid) == (f"http://127.0.0.1:{port}", 42)
    with socket.create_connection(("127.0.0.1", port)):
        pass
    listeners.close()


def test_every_address_is_shown_as_loopback() -> None:
    """A data port on all addresses is named by one that works from this machine."""
    listeners = Listeners.open(GatewaySettings(http=PortSettings(port=0, host="0.0.0.0"), operator=FREE))
    assert listeners.addresses(1).http.startswith("http://127.0.0.1:")
    listeners.close()


def test_ipv6_is_written_in_brackets() -> None:
    """An IPv6 address is a URL too."""
    listeners = Listeners.open(GatewaySettings(http=PortSettings(port=0, host="::1"), operator=FREE))
    assert listeners.addresses(1).http.startswith("http://[::1]:")
    listeners.close()


def test_a_taken_port_is_named() -> None:
    """A port in use says which setting asked for it, and leaves no other port open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenError, match=rf"127\.0\.0\.1:{port} \(operator\.port\): Address already in use"
        ):
            Listeners.open(GatewaySettings(http=FREE, operator=PortSettings(port=port)))


def test_an_address_of_another_machine_is_told_by_the_host() -> None:
    """What is wrong with the host is not mended by another port."""
    with pytest.raises(ListenError, match=r"\(http\.port\): .*; give http\.host an address of this machine"):
        Listeners.open(GatewaySettings(http=PortSettings(port=0, host="192.0.2.1"), operator=FREE))


@pytest.mark.parametrize("asked", [None, GRPC_PORT])
def test_grpc_goes_elsewhere_where_nobody_asked_for_a_port(asked: int | None) -> None:
    """A default port that something else has is no reason not to start; one that was asked for is."""
    host = f"127.0.{os.getpid() % 250}.77"  # ours alone, with every port
    ports = (PortSettings(port=HTTP_PORT, host=host), PortSettings(port=0, host=host))
    settings = GatewaySettings(http=ports[0], operator=ports[1], grpc=GrpcSettings(port=asked, host=host))
    with socket.create_server((host, GRPC_PORT)):
        if asked is not None:
            with pytest.raises(ListenError, match=rf"{GRPC_PORT} \(grpc\.port\)"):
                Listeners.open(settings)
            return
        made = Listeners.open(settings)
        assert made.strayed
        assert made.place not in (None, f"{host}:{GRPC_PORT}")
        made.close()
    made = Listeners.open(settings)
    assert (made.strayed, made.place) == (False, f"{host}:{GRPC_PORT}")
    made.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.test"])
def test_the_operator_port_stays_on_loopback(host: str) -> None:
    """Without keys the operator port refuses every address but loopback, and names the setting."""
    with pytest.raises(SettingsError, match=r"operator\.host is .*keys\.file"):
        Listeners.open(GatewaySettings(http=FREE, operator=PortSettings(port=0, host=host)))
