"""Standard Webhooks signatures: HMAC-SHA256 over "id.timestamp.body", keyed by the secret's bytes.

Rules: exactly the bytes that are sent are signed; every attempt has its own timestamp; while a secret is
being changed both sign. A secret is never shown, not even in an error. A file that holds one may be written
again while the monitor runs.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from groundwork.logs import Log
from monitor.errors import WebhookError
from monitor.settings import Webhook

_PREFIX: Final = "whsec_"
_SHORTEST, _LONGEST = 24, 64


def secrets_of(webhook: Webhook, environ: Mapping[str, str] = os.environ) -> tuple[bytes, ...]:
    """The keys that sign for an endpoint, the current one first; WebhookError when one cannot be had."""
    written = [webhook.secret, *([webhook.previous_secret] if webhook.previous_secret else [])]
    return tuple(_key(_looked_up(text, webhook.endpoint, environ), webhook.endpoint) for text in written)


class SigningKeys:
    """The keys of every endpoint, as their files hold them now; any thread may ask.

    WebhookError at the start where one cannot be had; later the keys of before stay in force, and it is told.
    """

    def __init__(self, webhooks: Sequence[Webhook], log: Log) -> None:
        self._keys = {webhook.endpoint: secrets_of(webhook) for webhook in webhooks}
        self._faults: dict[str, str] = {}
        self._log = log

    def of(self, webhook: Webhook) -> tuple[bytes, ...]:
        """The keys that sign for an endpoint, the current one first. Reads its files."""
        name = webhook.endpoint
        try:
            self._keys[name] = secrets_of(webhook)
            self._faults.pop(name, None)
        except WebhookError as error:
            if self._faults.get(name) != str(error):
                self._faults[name] = str(error)
                self._log.warning("secret-not-read", endpoint=name, fault=error)
        return self._keys[name]


def sign(keys: Sequence[bytes], identifier: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one "v1,…" per key, with spaces between. `timestamp`: unix seconds."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _looked_up(text: str, endpoint: str, environ: Mapping[str, str]) -> str:
    if text.startswith("env:"):
        if text[4:] not in environ:
            raise WebhookError(
                f"webhook {endpoint}: variable {text[4:]} is not set; set it to the whsec_… secret"
            )
        return environ[text[4:]].strip()
    if text.startswith("file:"):
        try:
            return Path(text[5:]).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise WebhookError(
                f"webhook {endpoint}: its secret cannot be read from {text[5:]}: {error}"
            ) from None
    return text


def _key(secret: str, endpoint: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise WebhookError(
            f"webhook {endpoint}: wanted a secret of whsec_ and the base64 of {_SHORTEST} to {_LONGEST}"
            ' bytes, found something else; make one with `echo "whsec_$(openssl rand -base64 32)"`',
        )
    return key
