"""Verifying webhooks in a few lines: what the reference library signs is taken, everything else is not."""

import datetime as dt

import pytest
from standardwebhooks.webhooks import Webhook

from driftgate.demo.signature import new_secret, verify

NOW = 1_793_874_131
BODY = b'{"type":"retrain.requested"}'


def signed(secret: str, *, at: int = NOW, body: bytes = BODY) -> dict[str, str]:
    """Headers as the reference library signs them."""
    when = dt.datetime.fromtimestamp(at, tz=dt.UTC)
    signature = Webhook(secret).sign("evt_1", when, body.decode())
    return {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def test_what_the_reference_library_signs_is_authentic() -> None:
    """A fresh secret of ours works with it."""
    secret = new_secret()
    assert verify(secret, signed(secret), BODY, NOW + 10) is None


def test_one_of_several_signatures_is_enough() -> None:
    """While secrets are changed over, the old and the new sign."""
    secret = new_secret()
    headers = signed(secret)
    headers["webhook-signature"] = f"v1,AAAA v2,{'x' * 8} {headers['webhook-signature']}"
    assert verify(secret, headers, BODY, NOW) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-signature": "v1,AAAA"}, "no signature"),
        ({"webhook-signature": "v1,not base64!"}, "no signature"),
        ({"webhook-signature": ""}, "no signature"),
        ({"webhook-id": "evt_2"}, "no signature"),
        ({"webhook-id": ""}, "missing"),
        ({"webhook-timestamp": "soon"}, "missing"),
        ({"webhook-timestamp": str(NOW - 301)}, "five minutes"),
    ],
)
def test_anything_else_is_refused_with_a_reason(change: dict[str, str], why: str) -> None:
    """A changed header is not authentic."""
    secret = new_secret()
    assert why in (verify(secret, {**signed(secret), **change}, BODY, NOW) or "")


def test_a_changed_body_is_refused() -> None:
    """The signature covers every byte."""
    secret = new_secret()
    assert verify(secret, signed(secret), BODY + b" ", NOW) is not None
