"""The two listening sockets of a gateway, opened once by the supervisor and held for as long as it lives.

Workers inherit them and come and go; what waits in a socket's queue is never lost with a worker. gRPC's
server cannot inherit a socket: its port is reserved by one that is bound and does not listen, beside which
workers listen on sockets of their own, and no other user's program can.
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
    """The data port's and the operator port's sockets and gRPC's place; owned by the supervisor."""

    def __init__(
        self, http: socket.socket, operator: socket.socket, grpc: socket.socket | None = None
    ) -> None:
        self.http = http
        self.operator = operator
        self.schemes = ("http", "http")
        self.strayed = False
        """Whether gRPC is elsewhere than where nobody asked for it, because something else is there."""
        self._grpc = grpc

    @classmethod
    def open(cls, settings: GatewaySettings) -> "Listeners":
        """Listen on both ports; ListenError names the one that cannot be had and why.

        SettingsError when the operator port would take commands from anybody, or keys or TLS cannot be used.
        """
        checked(settings)
        with contextlib.ExitStack() as opened:
            http = opened.enter_context(_listen("http", settings.http))
            operator = opened.enter_context(_listen("operator", settings.operator))
            grpc = _reserve_grpc(settings)
            opened.pop_all()
        made = cls(http, operator, grpc)
        made.strayed = grpc is not None and grpc_port_of(settings) not in (0, grpc.getsockname()[1])
        made.schemes = (_scheme(settings.http), _scheme(settings.operator))
        return made

    @property
    def grpc(self) -> str | None:
        """Where workers listen for gRPC, as "host:port"; None where it is not offered."""
        return None if self._grpc is None else _place(*self._grpc.getsockname()[:2])

    def addresses(self, pid: int) -> Addresses:
        """The ports as a client on this machine writes them."""
        http, operator = self.schemes
        return Addresses(
            http=_url(http, self.http),
            operator=_url(operator, self.operator),
            pid=pid,
            grpc=None if self._grpc is None else _reached(self._grpc),
        )

    def close(self) -> None:
        """Stop listening, once no worker does any more."""
        self.http.close()
        self.operator.close()
        if self._grpc is not None:
            self._grpc.close()


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


def _reserve_grpc(settings: GatewaySettings) -> socket.socket | None:
    """The place of gRPC; any free port instead of one that nobody asked for and that something else has."""
    host, port = settings.grpc.host, grpc_port_of(settings)
    if port is None:
        return None
    try:
        return reserve(host, port)
    except ListenError as error:
        if settings.grpc.port is not None or not _is_taken(error):
            raise
        return reserve(host, 0)


def _is_taken(error: ListenError) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE


def _has_grpc() -> bool:
    try:
        return all(importlib.util.find_spec(name) is not None for name in _GRPC_MODULES)
    except ModuleNotFoundError:  # not even the package above it
        return False


def reserve(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen, beside which processes of this user may listen.

    Bound alone, so that a port which another gateway has is refused; shared only then.
    """
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        made.close()
        raise _refusal("grpc", host, port, error) from error
    return made


def _listen(name: str, port: PortSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
    try:
        made = socket.create_server((port.host, port.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise _refusal(name, port.host, port.port, error) from error
    made.settimeout(0)
    return made


def _refusal(name: str, host: str, port: int, error: OSError) -> ListenError:
    return ListenError(
        f"cannot listen on {host}:{port} ({name}.port): {error.strerror or error}; "
        "stop what holds it, choose another port, or 0 for any free one"
    )


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
