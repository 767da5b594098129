"""Ask a running program whether it answers, as its settings say where and how: what a container's check does.

The gateway is asked for its readiness, the monitor for its health; neither wants a key for that. TLS is
spoken where the settings have it. Whose certificate answers is not asked: the port is our own, and is told
nothing. A port that wants clients' certificates is shown the one of `driftgate.credentials`.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from driftgate.credentials import CERT_KEY_VARIABLE, CERT_VARIABLE, Credentials
from driftgate.errors import CommandError
from groundwork.ports import TlsSettings

Program = Literal["gateway", "monitor"]
PATHS: Final[Mapping[Program, str]] = {"gateway": "/v2/health/ready", "monitor": "/healthz"}
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what listens everywhere is asked on loopback
_SECONDS: Final = 4.0
_OK: Final = 200


class Door(msgspec.Struct, frozen=True):
    """Where a program answers."""

    host: str
    port: int
    tls: TlsSettings


def probe(program: Program, door: Door, credentials: Credentials) -> str:
    """The URL that answered 200; CommandError where it did not, with why."""
    host = _WILDCARDS.get(door.host, door.host)
    scheme = "https" if door.tls.cert else "http"
    place = f"[{host}]:{door.port}" if ":" in host else f"{host}:{door.port}"
    url = f"{scheme}://{place}{PATHS[program]}"
    if door.port == 0:
        raise CommandError(f"the {program}'s port is any free one; give the port that it has")
    connection: http.client.HTTPConnection
    if door.tls.cert:
        connection = http.client.HTTPSConnection(
            host, door.port, timeout=_SECONDS, context=_context(url, door.tls, credentials)
        )
    else:
        connection = http.client.HTTPConnection(host, door.port, timeout=_SECONDS)
    try:
        connection.request("GET", PATHS[program])
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise CommandError(f"the {program} does not answer at {url}: {why}") from None
    finally:
        connection.close()
    if status != _OK:
        raise CommandError(f"the {program} answered {status} at {url}, wanted {_OK}")
    return url


def _context(url: str, tls: TlsSettings, credentials: Credentials) -> ssl.SSLContext:
    if tls.client_ca and not credentials.cert:
        raise CommandError(
            f"{url} wants a client's certificate: set {CERT_VARIABLE} and {CERT_KEY_VARIABLE} to one that "
            f"{tls.client_ca} has signed"
        )
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if credentials.cert:
        try:
            context.load_cert_chain(credentials.cert, credentials.cert_key or None)
        except (OSError, ssl.SSLError) as error:
            files = f"{credentials.cert}, {credentials.cert_key}"
            raise CommandError(f"wanted PEM files ({files}), but: {' '.join(str(error).split())}") from None
    return context
