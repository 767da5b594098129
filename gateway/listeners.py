"""The listening sockets of a gateway, opened once by the supervisor and held for as long as it lives.

Workers inherit them and come and go; what waits in a socket's queue is never lost with a worker.
"""

import contextlib
import errno
import importlib.util
import ipaddress
import socket
from typing import Final

import msgspec

from gateway.settings import GatewaySettings, PortSettings, checked
from groundwork.errors import DriftgateError, SettingsError

BACKLOG: Final = 2048
GRPC_PORT: Final = 8082
"""Where gRPC is answered beside HTTP_PORT, when nobody says where."""
HTTP_PORT: Final = 8080
_GRPC_MODULES: Final = ("grpc", "google.protobuf")


class ListenError(DriftgateError):
    """A port that cannot be listened on."""

    code = "cannot-listen"


class Addresses(msgspec.Struct, frozen=True):
    """Where a running gateway is reached, and the process that SIGTERM stops."""

    http: str
    operator: str
    pid: int
    grpc: str | None = None
    """As "host:port", for gRPC knows no URLs; None where it is not offered."""


class Listeners:
    """The sockets of data port, operator port and, where it is offered, gRPC; owned by the supervisor."""

    def __init__(
        self, http: socket.socket, operator: socket.socket, grpc: socket.socket | None = None
    ) -> None:
        self.http = http
        self.operator = operator
        self.schemes = ("http", "http")
        self.strayed = False
        """Whether gRPC is elsewhere than where nobody asked for it, because something else is there."""
        self.grpc = grpc

    @classmethod
    def open(cls, settings: GatewaySettings) -> "Listeners":
        """Listen on both ports; ListenError names the one that cannot be had and why.

        SettingsError when the operator port would take commands from anybody, or keys or TLS cannot be used.
        """
        checked(settings)
        with contextlib.ExitStack() as opened:
            http = opened.enter_context(_listen("http", settings.http.host, settings.http.port))
            operator = opened.enter_context(
                _listen("operator", settings.operator.host, settings.operator.port)
            )
            grpc = _listen_grpc(settings)
            opened.pop_all()
        made = cls(http, operator, grpc)
        made.strayed = grpc is not None and grpc_port_of(settings) not in (0, grpc.getsockname()[1])
        made.schemes = (_scheme(settings.http), _scheme(settings.operator))
        return made

    @property
    def all(self) -> list[socket.socket]:
        """Every socket there is."""
        return [one for one in (self.http, self.operator, self.grpc) if one is not None]

    @property
    def place(self) -> str | None:
        """Where gRPC is answered, as "host:port"; None where it is not offered."""
        return None if self.grpc is None else _place(*self.grpc.getsockname()[:2])

    def addresses(self, pid: int) -> Addresses:
        """The ports as a client on this machine writes them."""
        http, operator = self.schemes
        return Addresses(
            http=_url(http, self.http),
            operator=_url(operator, self.operator),
            pid=pid,
            grpc=None if self.grpc is None else _reached(self.grpc),
        )

    def close(self) -> None:
        """Stop listening, once no worker does any more."""
        for one in self.all:
            one.close()


def grpc_port_of(settings: GatewaySettings) -> int | None:
    """The port of gRPC, 0 for any free one; None where it is not offered.

    SettingsError where a port is set and the extra is missing.
    """
    port = settings.grpc.port
    if not settings.grpc.enabled:
        return None
    if not _has_grpc():
        if port is None:
            return None
        raise SettingsError(
            f"grpc.port is {port}, but the extra is not installed: pip install 'driftgate[grpc]', "
            "or take the setting away"
        )
    if port is not None:
        return port
    return GRPC_PORT if settings.http.port == HTTP_PORT else 0


def _listen_grpc(settings: GatewaySettings) -> socket.socket | None:
    """The socket of gRPC; any free port instead of one that nobody asked for and that something else has."""
    host, port = settings.grpc.host, grpc_port_of(settings)
    if port is None:
        return None
    try:
        return _listen("grpc", host, port)
    except ListenError as error:
        if settings.grpc.port is not None or not _is_taken(error):
            raise
        return _listen("grpc", host, 0)


def _is_taken(error: ListenError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE


def _has_grpc() -> bool:
    try:
        return all(importlib.util.find_spec(name) is not None for name in _GRPC_MODULES)
    except ModuleNotFoundError:  # not even the package above it
        return False


def _listen(name: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise _refusal(name, host, port, error) from error
    made.settimeout(0)
    return made


def _refusal(name: str, host: str, port: int, error: OSError) -> ListenError:
    return ListenError(
        f"cannot listen on {host}:{port} ({name}.port): {error.strerror or error}; {_remedy(name, error)}"
    )


def _remedy(name: str, error: OSError) -> str:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"give {name}.host an address of this machine"
    if error.errno == errno.EACCES:
        return "choose a port above 1023, or let this user have lower ones (CAP_NET_BIND_SERVICE)"
    return "stop what holds it, choose another port, or 0 for any free one"


def _scheme(port: PortSettings) -> str:
    return "https" if port.tls.cert else "http"


def _url(scheme: str, listener: socket.socket) -> str:
    return f"{scheme}://{_reached(listener)}"


def _reached(listener: socket.socket) -> str:
    """The place of a socket as a client on this machine writes it."""
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host)
    if address.is_unspecified:
        host = "::1" if address.version == 6 else "127.0.0.1"  # noqa: PLR2004  IPv6
    return _place(host, port)


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
