"""Verifying a webhook as a receiver should: Standard Webhooks in a few lines, with nothing of the sender's.

The header `webhook-signature` lists `v1,BASE64` items; each is HMAC-SHA256 over `id.timestamp.body` with the
secret's bytes. One that matches is enough. A timestamp off by more than five minutes is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Final

TOLERANCE_SECONDS: Final = 300
PREFIX: Final = "whsec_"


def new_secret() -> str:
    """A fresh secret, as Standard Webhooks writes them."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def verify(secret: str, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    """What is wrong with a delivery, in words, or None when it is authentic; `now` is unix seconds."""
    name = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not name or not timestamp.isdigit():
        return "webhook-id or webhook-timestamp is missing"
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return f"webhook-timestamp {timestamp} is more than five minutes from now"
    key = base64.b64decode(secret.removeprefix(PREFIX))
    expected = hmac.new(key, f"{name}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    for item in headers.get("webhook-signature", "").split():
        version, _, given = item.partition(",")
        if version == "v1" and _same(given, expected):
            return None
    return "no signature of webhook-signature matches"


def _same(given: str, expected: bytes) -> bool:
    try:
        return hmac.compare_digest(base64.b64decode(given, validate=True), expected)
    except binascii.Error:
        return False
