"""TLS of the gRPC port, in gRPC's own terms; the files and the rules are those of every port.

A renewed certificate is taken up by the next handshake; one that cannot be used changes nothing and is told
once. A change of `client_ca` wants new workers, as on every port.
"""

from pathlib import Path
from typing import Any

import grpc

from groundwork.errors import SettingsError
from groundwork.key_file import fingerprint
from groundwork.logs import Log
from groundwork.ports import TlsSettings, check_tls

NAME = "grpc.tls"


def credentials(settings: TlsSettings, log: Log) -> Any:
    """What gRPC's server wants for TLS; None where none is set. SettingsError as `check_tls`."""
    check_tls(NAME, settings)
    if not settings.cert:
        return None
    certificate = Certificate(settings, log)
    return grpc.dynamic_ssl_server_credentials(
        certificate.read(), certificate.renewed, require_client_authentication=bool(settings.client_ca)
    )


class Certificate:
    """The files of a certificate and how they were when last read; used by gRPC's threads."""

    def __init__(self, settings: TlsSettings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._clients = Path(settings.client_ca).read_bytes() if settings.client_ca else None
        self._seen = self._fingerprint()

    def read(self) -> Any:
        """The files as they are now, in gRPC's form."""
        pair = (Path(self._settings.key).read_bytes(), Path(self._settings.cert).read_bytes())
        return grpc.ssl_server_certificate_configuration((pair,), self._clients)

    def renewed(self) -> Any:
        """The same, where the files have changed and can be used; None to go on as before."""
        seen = self._fingerprint()
        if seen == self._seen:
            return None
        self._seen = seen
        try:
            check_tls(NAME, self._settings)
            found = self.read()
        except (SettingsError, OSError) as error:
            self._log.error("certificate-not-reloaded", port=NAME, fault=error)
            return None
        self._log.info("certificate-reloaded", port=NAME)
        return found

    def _fingerprint(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(fingerprint(Path(file)) for file in (self._settings.cert, self._settings.key))
