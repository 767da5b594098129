"""What the command shows to an API: a key, and the certificates of TLS.

The key comes from DRIFTGATE_KEY, or from the client file; never from a flag, which every process of the
machine could read. Certificates come from `--ca`, `--cert` and `--key` before the verb, from variables, or
from the client file:

    key: dg_…
    ca: ca.pem                     # whom to trust, instead of what the system trusts
    cert: me.pem                   # our own certificate, where the port asks for one
    cert_key: me.key

The client file is what DRIFTGATE_CLIENT_FILE names, else ~/.config/driftgate/client.yaml where that exists.
Rules: a file with a key in it belongs to its owner alone; a flag wins over a variable, a variable over the
file; paths in the file are relative to it.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from driftgate.errors import CommandError
from groundwork import decoders, marks

KEY_VARIABLE: Final = "DRIFTGATE_KEY"
CA_VARIABLE: Final = "DRIFTGATE_CA"
CERT_VARIABLE: Final = "DRIFTGATE_CERT"
CERT_KEY_VARIABLE: Final = "DRIFTGATE_CERT_KEY"
FILE_VARIABLE: Final = "DRIFTGATE_CLIENT_FILE"
VARIABLES: Final = frozenset({KEY_VARIABLE, CA_VARIABLE, CERT_VARIABLE, CERT_KEY_VARIABLE, FILE_VARIABLE})
CLIENT_FILE: Final = Path("driftgate") / "client.yaml"


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One client's credentials; empty is none."""

    key: str = ""
    ca: str = ""
    cert: str = ""
    cert_key: str = ""

    def headers(self) -> dict[str, str]:
        """What a request carries; CommandError when the key could not be sent."""
        if not self.key:
            return {}
        if not self.key.isascii() or not self.key.isprintable():
            raise CommandError(f"the key ({KEY_VARIABLE} or the client file) is not one: wanted dg_…")
        return {"authorization": f"Bearer {self.key}"}

    def verify(self) -> ssl.SSLContext | bool:
        """How a server's certificate is judged, and ours shown; without any file as the system does it.

        CommandError naming files that cannot be used.
        """
        if not (self.ca or self.cert):
            return True
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.cert:
                context.load_cert_chain(self.cert, self.cert_key or None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ca, self.cert, self.cert_key)))
            raise CommandError(f"wanted PEM files ({files}), but: {' '.join(str(error).split())}") from None
        return context


def resolve(environ: Mapping[str, str], *, ca: str = "", cert: str = "", cert_key: str = "") -> Credentials:
    """Flags over variables over the client file; CommandError when that file cannot be used."""
    file = _client_file(environ)
    found = _read(file) if file is not None else Credentials()
    return Credentials(
        key=environ.get(KEY_VARIABLE, "").strip() or found.key,
        ca=ca or environ.get(CA_VARIABLE, "") or found.ca,
        cert=cert or environ.get(CERT_VARIABLE, "") or found.cert,
        cert_key=cert_key or environ.get(CERT_KEY_VARIABLE, "") or found.cert_key,
    )


def current() -> Credentials:
    """What the running command was told by its flags, the environment and the client file."""
    running = click.get_current_context(silent=True)
    flags = (None if running is None else running.find_object(Credentials)) or Credentials()
    return resolve(os.environ, ca=flags.ca, cert=flags.cert, cert_key=flags.cert_key)


def _client_file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(FILE_VARIABLE, "")
    if named:
        return Path(named)
    above = environ.get("XDG_CONFIG_HOME", "")
    if not above and not environ.get("HOME"):
        return None
    file = (Path(above) if above else Path(environ["HOME"]) / ".config") / CLIENT_FILE
    return file if file.is_file() else None


def _read(file: Path) -> Credentials:
    content = b""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        content = file.read_bytes() or b"{}"
        found = decoders.converted(msgspec.yaml.decode(content), Credentials)
        doubt = marks.doubt(content, is_read=True)
    except OSError as error:
        raise CommandError(f"client file {file}: {error.strerror}; see {FILE_VARIABLE}") from None
    except msgspec.ValidationError as error:
        raise CommandError(f"client file {file}: {marks.misfit(error, content)}; correct it there") from None
    except marks.UNREADABLE as error:
        told = marks.unreadable(error, content)
        raise CommandError(f"client file {file}: wanted YAML, but {told}; correct it there") from None
    if doubt is not None:
        raise CommandError(f"client file {file}: {doubt}")
    if found.key and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CommandError(
            f"client file {file} holds a key and has the mode {mode:04o}, wanted 0600; chmod 600 {file}"
        )
    given = [name for name in ("ca", "cert", "cert_key") if getattr(found, name)]
    return Credentials(found.key, **{name: str(file.parent / getattr(found, name)) for name in given})
