"""What every listening port may be told: TLS by files, limits on what a client may send, and where to listen.

Rules: a port that takes commands listens on loopback, or asks for keys; a certificate, its key and the
authorities of clients are files. A renewed certificate is taken up by a running program within a second; a
change of `client_ca` wants a restart, because connections that were let in would stay.
"""

import ipaddress
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec

from groundwork.errors import SettingsError
from groundwork.key_file import fingerprint
from groundwork.logs import Log
from groundwork.metrics import Instrument
from groundwork.quantities import Bytes, Seconds

REFUSED: Final = Instrument(
    name="driftgate_connections_refused_total",
    help="Connections ended because of what came, or did not come, on them.",
    labels=("port", "reason"),
)

HTTP: Final = "http/1.1"
HTTP_2: Final = "h2"
"""What is spoken behind TLS, as ALPN names it (RFC 7301)."""


class KeysSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may ask."""

    file: Annotated[
        str,
        msgspec.Meta(
            description="the keys file (`driftgate config keys create`); empty: no port asks for a key, and "
            "operator and monitor listen on loopback only"
        ),
    ] = ""


class TlsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """TLS of one port; all empty: plain HTTP."""

    cert: Annotated[
        str, msgspec.Meta(description="PEM file: the port's certificate, then its intermediates")
    ] = ""
    key: Annotated[str, msgspec.Meta(description="PEM file: the certificate's private key, no password")] = ""
    client_ca: Annotated[
        str,
        msgspec.Meta(description="PEM file: who signs clients' certificates; set: no client gets in without"),
    ] = ""


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client may take of a port; each port counts for itself."""

    header_bytes: Annotated[
        Bytes, msgspec.Meta(description="request line and headers of one request; above it: 431")
    ] = 32 * 1024
    url_bytes: Annotated[Bytes, msgspec.Meta(description="the URL of one request; above it: 414")] = 8 * 1024
    header_time: Annotated[
        Seconds, msgspec.Meta(description="from a request's first byte to its last header; longer: 408")
    ] = 10.0
    body_time: Annotated[
        Seconds, msgspec.Meta(description="from the last header to the end of the body; longer: 408")
    ] = 60.0
    idle: Annotated[
        Seconds, msgspec.Meta(description="a connection without a request is closed after this")
    ] = 75.0
    connections: Annotated[
        int, msgspec.Meta(ge=1, description="connections of one worker on one port; one more gets 503")
    ] = 800


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_reach(name: str, host: str, keys: KeysSettings) -> None:
    """SettingsError when a port that takes commands would take them from anybody; `name` is its setting."""
    if not is_loopback(host) and not keys.file:
        raise SettingsError(
            f"{name} is {host!r}, but without keys this port takes commands from whoever reaches it; "
            "set keys.file (`driftgate config keys create`), or listen on 127.0.0.1 or ::1"
        )


def check_tls(name: str, settings: TlsSettings) -> None:
    """SettingsError when TLS is half set, or its files cannot be used; `name` is the group ("http.tls")."""
    if bool(settings.cert) != bool(settings.key):
        there, missing = ("cert", "key") if settings.cert else ("key", "cert")
        raise SettingsError(f"{name}.{there} is set but {name}.{missing} is not; TLS wants both")
    if settings.client_ca and not settings.cert:
        raise SettingsError(f"{name}.client_ca is set but {name}.cert is not; set certificate and key too")
    if settings.cert:
        context_of(name, settings)


def context_of(name: str, settings: TlsSettings, spoken: str = HTTP) -> ssl.SSLContext:
    """The server's side of TLS 1.2 or later, for the protocol `spoken` (as ALPN names it).

    SettingsError naming the file that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([spoken])
    _load(lambda: context.load_cert_chain(settings.cert, settings.key, password=_no_password), name, settings)
    if settings.client_ca:
        _load(lambda: context.load_verify_locations(settings.client_ca), f"{name}.client_ca", settings)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _no_password() -> str:
    raise ssl.SSLError("the private key wants a password; write it without one, mode 0600")


def _load(load: Callable[[], None], name: str, settings: TlsSettings) -> None:
    try:
        load()
    except (OSError, ssl.SSLError) as error:
        shut = [file for file in (settings.cert, settings.key, settings.client_ca) if file and _is_shut(file)]
        if shut:
            raise SettingsError(
                f"{name}: {', '.join(shut)} cannot be read by this program (uid {os.geteuid()}): permission "
                "denied; give it to that user (chown), mode 0600"
            ) from None
        files = ", ".join(filter(None, (settings.cert, settings.key, settings.client_ca)))
        raise SettingsError(
            f"{name}: wanted PEM files ({files}), but: {' '.join(str(error).split())}"
        ) from None


def _is_shut(file: str) -> bool:
    try:
        Path(file).open("rb").close()
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


class Tls:
    """TLS of one port that runs; `context` is for new connections, None for plain HTTP."""

    def __init__(self, name: str, settings: TlsSettings, log: Log, spoken: str = HTTP) -> None:
        """SettingsError as `check_tls`."""
        check_tls(name, settings)
        self._name = name
        self._settings = settings
        self._log = log
        self.context = context_of(name, settings, spoken) if settings.cert else None
        self._seen = self._fingerprint()

    def look(self) -> None:
        """Take up a renewed certificate; one that cannot be used changes nothing and is told once."""
        if self.context is None or self._fingerprint() == self._seen:
            return
        self._seen = self._fingerprint()
        try:
            # Tried on the side first: a certificate without its key must not reach the one in use.
            context_of(self._name, self._settings)
            self.context.load_cert_chain(self._settings.cert, self._settings.key)
        except (SettingsError, OSError) as error:
            self._log.error("certificate-not-reloaded", port=self._name, fault=error)
            return
        self._log.info("certificate-reloaded", port=self._name)

    def _fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(fingerprint(Path(file)) for file in (self._settings.cert, self._settings.key) if file)
