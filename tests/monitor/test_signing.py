"""Tests of monitor.signing, against the reference implementation."""

import io
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook as Reference

from groundwork.clock import FakeClock
from groundwork.logs import Log
from monitor.errors import WebhookError
from monitor.settings import Webhook
from monitor.signing import SigningKeys, secrets_of, sign
from tests.monitor.worlds import SECRET

OTHER = "whsec_" + "QUJD" * 8


def test_the_test_vector() -> None:
    """The published vector signs to the published value."""
    body = b'{"type":"webhook.test","timestamp":"2026-11-05T10:22:11Z","data":{"test":true}}'
    keys = secrets_of(Webhook(url="http://x", secret=SECRET))
    signature = sign(keys, "evt_01JB8Z2M6T4N", 1_793_874_131, body)
    assert signature == "v1,chRNxj7EhJtb5C+G3KnjXTyMQOt72pIxtvM5u3Y0Hmc="


@pytest.mark.parametrize("verifier", [SECRET, OTHER])
def test_receivers_verify_with_the_old_and_with_the_new_secret(verifier: str) -> None:
    """While a secret is being changed, a reference verifier with either accepts what is sent."""
    keys = secrets_of(Webhook(url="http://x", secret=SECRET, previous_secret=OTHER))
    now = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": sign(keys, "evt_1", now, b'{"a":1}'),
    }
    assert Reference(verifier).verify('{"a":1}', headers) == {"a": 1}


def test_a_file_that_is_written_again_signs_from_then_on(tmp_path: Path) -> None:
    """A secret renewed in its file needs no restart; one that is broken leaves the old one in force."""
    file, told = tmp_path / "secret", io.StringIO()
    file.write_text(SECRET)
    webhook = Webhook(url="http://x", secret=f"file:{file}", name="jobs")
    keys = SigningKeys([webhook], Log(told, FakeClock()))
    old = keys.of(webhook)
    file.write_text(OTHER)
    new = keys.of(webhook)
    assert new == secrets_of(Webhook(url="http://x", secret=OTHER)) != old
    for _ in range(2):
        file.write_text("whsec_cut")
        assert keys.of(webhook) == new
    assert told.getvalue().count("secret-not-read") == 1
    assert "whsec_cut" not in told.getvalue()


def test_secrets_come_from_where_they_are_named(tmp_path: Path) -> None:
    """A secret may stand in a variable, in a file, or in the settings."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n", encoding="ascii")
    literal = secrets_of(Webhook(url="http://x", secret=SECRET))
    assert secrets_of(Webhook(url="http://x", secret="env:HOOK"), {"HOOK": SECRET}) == literal
    assert secrets_of(Webhook(url="http://x", secret=f"file:{file}")) == literal


@pytest.mark.parametrize(
    "secret", ["", "hunter2-hunter2-hunter2", "whsec_abc", "whsec_***", "env:NOT_SET", "file:/not/there"]
)
def test_a_secret_that_cannot_be_used_is_refused_and_not_shown(secret: str) -> None:
    """A missing, short or malformed secret is an error that names the endpoint and never the secret."""
    with pytest.raises(WebhookError) as refused:
        secrets_of(Webhook(url="http://x", secret=secret, name="receiver"), {})
    assert "receiver" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the command of the hint is openssl's")
def test_the_hint_of_a_refused_secret_leads_to_one_that_is_taken(tmp_path: Path) -> None:
    """Whoever types the command of the message into a file has a secret."""
    with pytest.raises(WebhookError) as refused:
        secrets_of(Webhook(url="http://x", secret="hunter2"))
    command = str(refused.value).split("`")[1]
    file = tmp_path / "secret"
    with file.open("wb") as out:
        subprocess.run(["/usr/bin/env", "bash", "-c", command], stdout=out, check=True)
    assert [len(key) for key in secrets_of(Webhook(url="http://x", secret=f"file:{file}"))] == [32]
