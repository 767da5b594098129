"""The two listening sockets of a gateway, opened once by the supervisor and held for as long as it lives.

Workers inherit them and come and go; what waits in a socket's queue is never lost with a worker.
"""

import ipaddress
import socket
from typing import Final

import msgspec

from gateway.settings import GatewaySettings, PortSettings, checked
from groundwork.errors import DriftgateError

BACKLOG: Final = 2048


class ListenError(DriftgateError):
    """A port that cannot be listened on."""

    code = "cannot-listen"


class Addresses(msgspec.Struct, frozen=True):
    """Where a running gateway is reached, and the process that SIGTERM stops."""

    http: str
    operator: str
    pid: int


class Listeners:
    """The data port's and the operator port's sockets; owned by the supervisor."""

    def __init__(self, http: socket.socket, operator: socket.socket) -> None:
        self.http = http
        self.operator = operator
        self.schemes = ("http", "http")

    @classmethod
    def open(cls, settings: GatewaySettings) -> "Listeners":
        """Listen on both ports; ListenError names the one that cannot be had and why.

        SettingsError when the operator port would take commands from anybody, or keys or TLS cannot be used.
        """
        checked(settings)
        http = _listen("http", settings.http)
        try:
            made = cls(http, _listen("operator", settings.operator))
        except ListenError:
            http.close()
            raise
        made.schemes = (_scheme(settings.http), _scheme(settings.operator))
        return made

    def addresses(self, pid: int) -> Addresses:
        """The URLs of both ports as a client on this machine writes them."""
        http, operator = self.schemes
        return Addresses(http=_url(http, self.http), operator=_url(operator, self.operator), pid=pid)

    def close(self) -> None:
        """Stop listening, once no worker does any more."""
        self.http.close()
        self.operator.close()


def _listen(name: str, port: PortSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    try:
        made = socket.create_server((port.host, port.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ListenError(
            f"cannot listen on {port.host}:{port.port} ({name}.port): {reason}; "
            "stop what holds it, choose another port, or 0 for any free one"
        ) from error
    made.settimeout(0)
    return made


def _scheme(port: PortSettings) -> str:
    return "https" if port.tls.cert else "http"


def _url(scheme: str, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        address = ipaddress.ip_address("::1" if address.version == 6 else "127.0.0.1")  # noqa: PLR2004  IPv6
    host = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004  IPv6
    return f"{scheme}://{host}:{port}"
